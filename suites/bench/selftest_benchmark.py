# SPDX-License-Identifier: GPL-2.0-or-later
"""Upstream's seccomp selftest compared with our suite: checks per second, in guests of the same kernel.

    kconform bench-selftest [--rounds N]

The selftest is compiled from the distribution's kernel source, in the cache; the repository contains none of it.
It runs as root, in one guest.  Our suite is the whole area, with one worker and a new guest for each test.  Both
passed test cases and checks are counted: evaluated assertions in the selftest, and outcomes of calls in our suite.
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
from guests.vm.clone_pool import Pool
from kconfigs.build.build_progress import for_stderr
from kconfigs.build.toolchain import Toolchain
from kconfigs.cache import Cache
from kconfigs.fetch import fetch, source_tree
from kconfigs.kernel import Kernel
from kconfigs.resolve import packaged_source
from suites.bench.check_counter import COUNT_TO

ROOT = Path(__file__).parents[2]
DEADLINE_S = 300.0
O_CREAT = 0o100
# Assertions are counted in memory that all processes of the selftest share, and printed when the first one exits.
# Counting makes no system calls, which the selftest filters.
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
    """The counts and the duration of a run."""

    cases: int
    checks: int
    seconds: float


def built(tree: Path, cache: Cache) -> Path:
    """A directory with two static programs: `plain`, and `counted`, which counts its assertions."""

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
        (folder / "count.h").write_text(COUNTER, encoding="utf-8")
        _run([*compile_it, "-include", str(folder / "count.h"), "-o", str(folder / "counted")])
        shutil.rmtree(headers)

    key = f"seccomp-{tree.parent.name}-{re.sub(r'[^0-9.]+', '-', Toolchain().identity())[:32].strip('-')}"
    return cache.get("selftests", key, make)


def count_assertions(header: Path) -> None:
    """Make the header's assertion macros count.  KconformError if they look different."""
    text, edits = re.subn(
        r"(#define __EXPECT\w*\([^)]*\)(?:\s|\\)*do \{)", r"\1 kconform_count();", header.read_text(encoding="utf-8")
    )
    if not edits:
        raise KconformError("the selftest's assertions were not found", hint="compare with kselftest_harness.h")
    header.write_text(text, encoding="utf-8")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()
        raise KconformError(
            f"upstream's selftest could not be built: {output[0] if output else command[0]}",
            hint="it needs libcap-dev; `./kconform doctor --install` installs it",
        )


def upstream(pool: Pool, kernel: Kernel, program: Path) -> tuple[float, str]:
    """The seconds in the guest from execve() to exit, and the output."""
    guest: Guest = pool.take(kernel)
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
    """The number in the selftest's output that the pattern matches.  KconformError if there is none."""
    found = re.search(pattern, output, re.MULTILINE)
    if found is None:
        last = output.strip().splitlines()[-1:] or ["nothing"]
        raise KconformError(f"upstream's selftest printed no {pattern!r}; its last line: {last[0]}")
    return int(found[1])


def theirs(kernel: Kernel, rounds: int, programs: Path) -> Figures:
    pool = Pool(Cache())
    runs = [upstream(pool, kernel, programs / "plain") for _ in range(rounds)]
    _, counted = upstream(pool, kernel, programs / "counted")
    pool.close()
    cases = statistics.median(number_in(output, r"^# Totals: pass:(\d+)") for _, output in runs)
    return Figures(
        int(cases), number_in(counted, r"^# checks: (\d+)"), statistics.median(seconds for seconds, _ in runs)
    )


def ours(kernel: Kernel) -> Figures:
    with tempfile.TemporaryDirectory(prefix="kconform-") as scratch:
        report, counts = Path(scratch, "report"), Path(scratch, "checks")
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "suites.bench.check_counter"]
        command += ["-p", "no:cacheprovider", "--kernel=source", f"--flavor={kernel.flavor}"]
        command += [f"--report-dir={report}", "suites/seccomp"]
        environment = {**os.environ, COUNT_TO: str(counts)}
        # The first run creates the templates.
        for _ in range(2):
            start = time.perf_counter()
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
            took = time.perf_counter() - start
        if done.returncode:
            raise KconformError(f"the suite ended with exit status {done.returncode}: {done.stdout.strip()[-500:]}")
        results = json.loads((report / "results.json").read_text(encoding="utf-8"))["results"]
        passed = sum(result["outcome"] == "pass" for result in results)
        return Figures(passed, int(counts.read_text(encoding="utf-8")), took)


def table(kernel: Kernel, rows: dict[str, Figures]) -> Table:
    drawn = Table(title=f"seccomp on {kernel.id}, one guest at a time")
    for column in ("what", "time", "cases", "per second", "checks", "per second"):
        drawn.add_column(column, justify="left" if column == "what" else "right", no_wrap=True)
    for name, row in rows.items():
        counts = [text for count in (row.cases, row.checks) for text in (f"{count:,}", f"{count / row.seconds:,.1f}")]
        drawn.add_row(name, f"{row.seconds:.1f} s", *counts)
    return drawn


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(prog="kconform bench-selftest", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of the selftest (default: 3)")
    options = parser.parse_args(arguments)
    try:
        source = packaged_source()
        with for_stderr() as progress:
            kernel = fetch(source, None, progress)
        programs = built(source_tree(source), Cache())
        rows = {"upstream's selftest": theirs(kernel, options.rounds, programs)}
        rows["our suite, including clones"] = ours(kernel)
    except KconformError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_status
    Terminal().print(table(kernel, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
