# SPDX-License-Identifier: GPL-2.0-or-later
"""Upstream's selftest of seccomp beside ours: how much each checks in a second, in guests of the same kernel.

    kconform bench-selftest [--rounds N]

The selftest is compiled from the distribution's kernel source, in the cache; nothing of it comes into the repository.
It runs as root, in one guest.  Ours is the whole area, by one worker, with a new guest for each test.  Two things are
counted: test cases that passed; and checks, which are assertions that were evaluated there, and calls whose outcome
was compared or demanded here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console as Terminal
from rich.table import Table

from common.commandline import Parser
from guests.errors import KconformError
from guests.guest import Guest
from guests.uapi import O_RDWR
from guests.vm.pool import Pool
from kconfigs.build.build_progress import for_stderr
from kconfigs.build.kbuild import toolchain
from kconfigs.cache import Cache
from kconfigs.fetch import fetch, source_tree
from kconfigs.kernel import Kernel
from kconfigs.resolve import packaged_source
from suites.bench.count_checks import COUNT_TO

ROOT = Path(__file__).parents[2]
DEADLINE_S = 300.0
O_CREAT = 0o100
# Assertions are counted in memory that all processes of the selftest share, and told at the end of the first one.  No
# system call is made for it: the selftest filters them.
COUNTER = """\
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
static unsigned int *kconform_checks;
static int kconform_forked;
static void kconform_in_child(void) { kconform_forked = 1; }
__attribute__((constructor)) static void kconform_start(void)
{
	kconform_checks = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_atfork(0, 0, kconform_in_child);
}
__attribute__((destructor)) static void kconform_end(void)
{
	if (!kconform_forked)
		printf("# checks: %u\\n", *kconform_checks);
}
static void kconform_count(void) { __atomic_fetch_add(kconform_checks, 1, __ATOMIC_RELAXED); }
"""


@dataclass(frozen=True)
class Figures:
    """What a run has checked, and in how many seconds."""

    cases: int
    checks: int
    seconds: float


def built(tree: Path, cache: Cache) -> Path:
    """A directory with two static programs: `plain`, and `counted`, whose assertions are counted."""

    def make(folder: Path) -> None:
        headers, work = folder / "headers", folder / "selftests"
        _run(["make", "-s", "-C", str(tree), f"O={headers}", "headers"])
        source = tree / "tools" / "testing" / "selftests"
        for name in ("kselftest.h", "kselftest_harness.h", "seccomp/seccomp_bpf.c", "clone3/clone3_selftests.h"):
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, work / name)
        compile_it = ["gcc", "-O2", "-static", "-w", "-D_GNU_SOURCE=", "-isystem", str(headers / "usr/include")]
        compile_it += ["-I", str(work), str(work / "seccomp/seccomp_bpf.c"), "-lpthread", "-lcap"]
        _run([*compile_it, "-o", str(folder / "plain")])
        count_assertions(work / "kselftest_harness.h")
        (folder / "count.h").write_text(COUNTER)
        _run([*compile_it, "-include", str(folder / "count.h"), "-o", str(folder / "counted")])
        shutil.rmtree(headers)

    key = f"seccomp-{tree.parent.name}-{re.sub(r'[^0-9.]+', '-', toolchain())[:32].strip('-')}"
    return cache.get("selftests", key, make)


def count_assertions(header: Path) -> None:
    """Have every assertion of the header's macros counted.  KconformError where they look otherwise."""
    text, edits = re.subn(
        r"(#define __EXPECT\w*\([^)]*\)(?:\s|\\)*do \{)", r"\1 kconform_count();", header.read_text()
    )
    if not edits:
        raise KconformError("the selftest's assertions are not where they were", hint="look into kselftest_harness.h")
    header.write_text(text)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise KconformError(
            f"upstream's selftest could not be built: {said[0] if said else command[0]}",
            hint="it needs libcap-dev; `./kconform doctor --install` installs it",
        )


def upstream(stable: Pool, kernel: Kernel, program: Path) -> tuple[float, str]:
    """Seconds in the guest from execve to exit, and what it printed."""
    guest: Guest = stable.take(kernel)
    try:
        guest.upload("/selftest", program.read_bytes(), 0o755)
        task = guest.root("selftest")
        output = task.call("open", "/output", O_RDWR | O_CREAT, 0o600).result()
        for standard in (1, 2):
            task.call("dup2", output, standard).result()
        start = time.perf_counter()
        execution = task.begin("execve", "/selftest", None, None)
        guest.wait_until(lambda: task.death is not None, "the selftest to end", DEADLINE_S)
        took = time.perf_counter() - start
        execution.outcome()
        return took, guest.read_file("/output")
    finally:
        guest.close()


def number_in(output: str, pattern: str) -> int:
    """The number that the selftest printed there.  KconformError where it did not."""
    found = re.search(pattern, output, re.MULTILINE)
    if found is None:
        last = output.strip().splitlines()[-1:] or ["nothing"]
        raise KconformError(f"upstream's selftest printed no {pattern!r}; its last word: {last[0]}")
    return int(found[1])


def theirs(kernel: Kernel, rounds: int, programs: Path) -> Figures:
    stable = Pool(Cache())
    runs = [upstream(stable, kernel, programs / "plain") for _ in range(rounds)]
    _, counted = upstream(stable, kernel, programs / "counted")
    stable.close()
    cases = statistics.median(number_in(output, r"^# Totals: pass:(\d+)") for _, output in runs)
    return Figures(
        int(cases), number_in(counted, r"^# checks: (\d+)"), statistics.median(seconds for seconds, _ in runs)
    )


def ours(kernel: Kernel) -> Figures:
    with tempfile.TemporaryDirectory(prefix="kconform-") as scratch:
        report, counts = Path(scratch, "report"), Path(scratch, "checks")
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "suites.bench.count_checks"]
        command += ["-p", "no:cacheprovider", "--kernel=source", f"--flavor={kernel.flavor}"]
        command += [f"--report-dir={report}", "suites/seccomp"]
        environment = {**os.environ, COUNT_TO: str(counts)}
        # The first run makes the templates, as the first run of a machine does.
        for _ in range(2):
            start = time.perf_counter()
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            took = time.perf_counter() - start
        if done.returncode:
            raise KconformError(f"the area's own run ended with {done.returncode}: {done.stdout.strip()[-500:]}")
        results = json.loads((report / "results.json").read_text())["results"]
        held = sum(result["outcome"] == "pass" for result in results)
        return Figures(held, int(counts.read_text()), took)


def table(kernel: Kernel, rows: dict[str, Figures]) -> Table:
    drawn = Table(title=f"seccomp on {kernel.id}, one guest at a time")
    for column in ("what", "time", "cases", "a second", "checks", "a second"):
        drawn.add_column(column, justify="left" if column == "what" else "right", no_wrap=True)
    for name, row in rows.items():
        counts = [text for count in (row.cases, row.checks) for text in (f"{count:,}", f"{count / row.seconds:,.1f}")]
        drawn.add_row(name, f"{row.seconds:.1f} s", *counts)
    return drawn


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(prog="kconform bench-selftest", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of upstream's (default: 3)")
    options = parser.parse_args(arguments)
    try:
        source = packaged_source()
        with for_stderr() as progress:
            kernel = fetch(source, None, progress)
        programs = built(source_tree(source), Cache())
        rows = {"upstream's selftest": theirs(kernel, options.rounds, programs)}
        rows["ours, cloning included"] = ours(kernel)
    except KconformError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_status
    Terminal().print(table(kernel, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
