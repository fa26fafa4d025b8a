# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform soak`: run tests many times in one session, and look for drift, lost results and leftovers.

    kconform soak --times 20 -- -n 2                             the whole suite, 20 times
    kconform soak --times 60 --faults 1 -- suites/yama -k talk   with faults of the host in some of the guests

Arguments after -- are pytest's.  Exit status: 0 nothing drifted, was lost or left behind, and no kernel was blamed
for an injected fault; 1 otherwise; 2 interrupted; 3 the tests could not be run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from common.child_command import wait_for_tests
from common.commandline import Parser, run
from common.project_files import pytest_command
from suites import marked_processes
from suites.soak.guest_faults import INJECTED
from suites.soak.repetition import Sample

MAY_GROW = {"rss_mib": 32.0, "descriptors": 8, "children": 1, "duration_s": 0.5}
"""How much the median of a process's last pass may be above that of an early one; of a duration, as a fraction."""
PER_TEST_MIB = 12 / 1024
"""What pytest and the report keep of each test to the end of a run: an item, three reports, a result."""


@dataclass(frozen=True)
class Drift:
    """A quantity of one process: its median in an early and in the last pass.

    The first passes fill caches: each worker keeps a descriptor for each template that it has used.
    """

    worker: str
    what: str
    early: float
    late: float
    tests: int = 0
    """How many tests were between the two."""

    @property
    def too_much(self) -> bool:
        allowed = MAY_GROW[self.what] + (PER_TEST_MIB * self.tests if self.what == "rss_mib" else 0)
        return self.late > (self.early * (1 + allowed) if self.what == "duration_s" else self.early + allowed)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return run(lambda: _soak(options))


def _soak(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="kconform-soak-") as scratch:
        folder = Path(scratch)
        status, left = _run(options, folder)
        samples = [
            msgspec.json.decode(line, type=Sample)
            for path in sorted(folder.glob("*.jsonl"))
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
        results = _results(folder / "report")
    ran = [sample for sample in samples if sample.duration_s]
    if not ran or not results:
        print(f"soak: no test ran (pytest ended with {status})", file=sys.stderr)
        return 3
    drifts = list(drift(samples, options.times))
    if options.faults is not None:
        drifts = [each for each in drifts if each.what != "duration_s"]  # faults take time, and at random
    problems = [*lost(ran, options.times), *blamed(ran, results, status), *left]
    problems += [
        f"{each.worker}: {each.what} grows from {each.early:.2f} to {each.late:.2f}"
        for each in drifts
        if each.too_much
    ]
    _print(ran, drifts)
    for problem in problems:
        print(f"soak: {problem}")
    print(
        f"soak: {len(ran)} tests, {sum(bool(sample.fault) for sample in ran)} with a fault, {len(problems)} problems"
    )
    return 1 if problems else 0


def _run(options: argparse.Namespace, folder: Path) -> tuple[int, list[str]]:
    """Run the tests.  pytest's exit status, and a sentence for each process that is left behind."""
    mark = marked_processes.new_mark("KCONFORM_SOAK")
    command = ["env", mark, *pytest_command("-p", "no:cacheprovider")]
    command += ["-p", "suites.soak.repetition", "--soak-times", str(options.times), "--soak-samples", str(folder)]
    command += ["--soak-faults", str(options.faults)] if options.faults is not None else []
    command += ["--report-dir", str(folder / "report"), "-q", *options.pytest]
    status = wait_for_tests(command)
    left = [f"left behind: {each.info['name']} ({each.pid})" for each in marked_processes.living(mark)]
    return status, left


def _results(report: Path) -> list[dict[str, str]]:
    try:
        found: list[dict[str, str]] = json.loads((report / "results.json").read_text(encoding="utf-8"))["results"]
    except (OSError, ValueError):
        return []
    return found


def passes(samples: Sequence[Sample], times: int) -> list[list[Sample]]:
    """The samples of one process in as many parts of equal length."""
    size = max(1, len(samples) // times)
    return [list(samples[number * size : (number + 1) * size]) for number in range(times)]


def drift(samples: Sequence[Sample], times: int) -> Iterator[Drift]:
    """Each quantity of each process, after a fourth of the passes and in the last; nothing for fewer than four."""
    if times < 4:
        return
    for worker in sorted({sample.worker for sample in samples}):
        own = sorted((sample for sample in samples if sample.worker == worker), key=lambda sample: sample.end_s)
        parts = [part for part in passes(own, times) if part]
        first = max(1, len(parts) // 4)
        for what in MAY_GROW:
            early, late = (
                statistics.median(getattr(each, what) for each in part) for part in (parts[first], parts[-1])
            )
            yield Drift(worker, what, early, late, tests=sum(map(len, parts[first:-1])))


def lost(ran: Sequence[Sample], times: int) -> Iterator[str]:
    """Tests that did not run as often as they should have."""
    for nodeid, count in Counter(sample.nodeid for sample in ran).items():
        if count != times:
            yield f"{nodeid} ran {count} times instead of {times}"


def blamed(ran: Sequence[Sample], results: Sequence[dict[str, str]], status: int) -> Iterator[str]:
    """Broken promises, which a good kernel does not have, and errors of tests that had no fault."""
    known = {result["nodeid"] for result in results}
    for nodeid in sorted({sample.nodeid for sample in ran} - known):
        yield f"{nodeid} has no result"
    for result in results:
        if result["outcome"] == "fail":
            yield f"{result['nodeid']} blames the kernel: {result['reason']}"
    faulty = {sample.nodeid for sample in ran if sample.fault}
    for result in results:
        if result["outcome"] == "error" and result["nodeid"] not in faulty and INJECTED not in result["reason"]:
            yield f"{result['nodeid']} is an error without a fault: {result['reason']}"
    if len(results) != len(ran):
        yield f"there are {len(results)} results of {len(ran)} tests"
    if status not in (0, 3):
        yield f"pytest ended with {status}"


def _print(ran: Sequence[Sample], drifts: Sequence[Drift]) -> None:
    table = Table("process", "quantity", "early", "last pass", "")
    for each in drifts:
        row = (each.worker, each.what, f"{each.early:.2f}", f"{each.late:.2f}")
        table.add_row(*row, "grows" if each.too_much else "")
    Console().print(table)
    counts = Counter(sample.fault for sample in ran if sample.fault)
    for kind, count in sorted(counts.items()):
        print(f"soak: fault {kind}: {count}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="kconform soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, metavar="N", help="how often each test runs (20)")
    parser.add_argument("--faults", type=int, metavar="SEED", help="inject faults of the host at random")
    parser.add_argument("pytest", nargs="*", metavar="ARGS", help="arguments for pytest, after --")
    return parser


if __name__ == "__main__":
    sys.exit(main())
