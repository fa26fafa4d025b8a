# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform sweep`: build a kernel with one change at a time, and check that a good kernel passes with each.

    kconform sweep                                  all changes of suites/sweep/options.toml, all tests
    kconform sweep --pytest="-m quick --cases=1"    different cases of the quick tests for each kernel
    kconform sweep AUDIT=n SMP=y                    only these
    kconform sweep BPF_SYSCALL=y+BPF_LSM=y          one change, of two options
    kconform sweep --kernel=path/to/linux --table=sweep.md

A test may silently need an option that the flavor `full` has, or rely on an entry, a layout or a scheduler that other
kernels lack.  Exit status: 0 no promise was broken, and every kernel that could be built was tested; 1 a promise was
broken; 2 interrupted; 3 something else went wrong; 4 wrong usage; 5 nothing ran.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from common import atomic
from common.commandline import Parser, run
from common.paths import output_path, users_path
from common.project_files import pytest_command
from common.text import printable
from common.toml import read
from kconfigs.config_changes import parse_changes
from reports.judgement.promise_coverage import KERNEL_AREAS
from reports.model.result import BROKE, Result
from suites.report_of_run import run_for_report

OPTIONS = Path(__file__).with_name("options.toml")
NO_KERNEL = ("Kconfig drops", "could not be configured", "could not be compiled", "cannot be tested")
"""What the reasons of results say if there is no kernel with this change, or none that can be tested."""

_AND = re.compile(r"\+(?=(?:CONFIG_)?[A-Z0-9]\w*=)", re.ASCII)
"""Between two options of a change, as in the ids of tests."""
_VERSION = re.compile(r"\bthis is \d")
"""What a reason says that is about the kernel's version, which is the same for all."""


@dataclass(frozen=True)
class SweptKernel:
    """The result of one change."""

    change: str
    """Empty for the kernel without a change."""
    held: int
    waived: int
    skipped: int
    broken: Sequence[Result]
    errors: Sequence[Result]
    no_kernel: str
    """Why it was not tested; empty if it was."""
    new_skips: Sequence[tuple[str, int]]
    """Why tests are skipped, as far as none is for that reason without the change, and how many; the most first."""

    @property
    def verdict(self) -> str:
        if self.no_kernel:
            return "not tested"
        return "broken" if self.broken else "error" if self.errors else "held"

    @property
    def remark(self) -> str:
        """One sentence: what was broken, what went wrong, or what does not apply any more."""
        if self.no_kernel:
            return self.no_kernel
        if self.broken or self.errors:
            first = (*self.broken, *self.errors)[0]
            return f"{first.nodeid.rpartition('::')[2]}: {first.reason}"
        return "; ".join(f"{reason} ({count})" for reason, count in self.new_skips[:3])


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return run(lambda: _sweep(options))


def _sweep(options: argparse.Namespace) -> int:
    changes = options.changes or listed()
    for change in changes:
        parse_changes(options_of(change))  # wrong use, before anything is built
    table = output_path(options.table) if options.table else None
    with tempfile.TemporaryDirectory(prefix="kconform-sweep-") as scratch:
        matrix = Path(scratch, "kconform.toml")
        matrix.write_text(matrix_of(options.kernel, changes))
        report = users_path(options.report_dir) if options.report_dir else Path(scratch, "report")
        command = pytest_command(f"--matrix={matrix}", "--allow-dropped")
        command += [
            f"--report-dir={report.absolute()}",
            *(f"suites/{area}" for area in KERNEL_AREAS),
            *shlex.split(options.pytest),
        ]
        outcomes = judge(run_for_report(command, report.absolute()).tests())
    _print(outcomes)
    if table:
        atomic.write(table, "".join(f"{line}\n" for line in as_markdown(outcomes)))
    print(f"sweep: {len(outcomes)} kernels: {', '.join(f'{n} {v}' for v, n in _verdicts(outcomes).items())}")
    verdicts = {outcome.verdict for outcome in outcomes}
    return 1 if "broken" in verdicts else 3 if "error" in verdicts else 0


def listed(path: Path = OPTIONS) -> list[str]:
    """The changes of the table, in its order.  UsageError, with the place, if it is wrong."""
    file = read(path, "list of options")
    file.check(required=("option",))
    found = []
    for entry in file.tables("option"):
        entry.check(required=("set", "why"))
        entry.sentence("why")
        found.append(entry.text("set"))
    return found


def options_of(change: str) -> list[str]:
    """The options of a change, as for --config."""
    return _AND.split(change)


def matrix_of(kernel: str, changes: Sequence[str]) -> str:
    """The kernel without a change, and with each of the changes, as a matrix."""
    spec = json.dumps(kernel)
    entries = [f"[[kernel]]\nspec = {spec}\n"]
    entries += [f"[[kernel]]\nspec = {spec}\nfragments = {json.dumps(options_of(change))}\n" for change in changes]
    return "\n".join(entries)


def judge(results: Iterable[Result]) -> list[SweptKernel]:
    """The outcome of each change, as they were tested, but that without a change first."""
    by_change: dict[str, list[Result]] = {}
    for result in results:
        if result.kernel is not None:
            by_change.setdefault(result.kernel.partition("/")[2].partition("+")[2], []).append(result)
    plain = {result.reason for result in by_change.get("", []) if result.verdict == "skip"}
    outcomes = [_outcome(change, found, plain) for change, found in by_change.items()]
    return sorted(outcomes, key=lambda outcome: bool(outcome.change))


def _outcome(change: str, results: Sequence[Result], plain: Set[str]) -> SweptKernel:
    counts = Counter(result.verdict for result in results)
    new = Counter(
        result.reason
        for result in results
        if result.verdict == "skip" and result.reason not in plain and not _VERSION.search(result.reason)
    )
    errors = [result for result in results if result.verdict == "error"]
    absent = [result.reason for result in errors if any(words in result.reason for words in NO_KERNEL)]
    return SweptKernel(
        change,
        held=counts["pass"],
        waived=counts["waived"],
        skipped=counts["skip"],
        broken=[result for result in results if result.verdict in BROKE],
        errors=errors,
        no_kernel=absent[0] if absent and not counts["pass"] else "",
        new_skips=new.most_common(),
    )


def as_markdown(outcomes: Sequence[SweptKernel]) -> list[str]:
    """The table for a document."""
    lines = ["| change | verdict | held | waived | skipped | |", "|---|---|---:|---:|---:|---|"]
    for each in outcomes:
        remark = each.remark.replace("|", "\\|")
        change = f"`{each.change}`" if each.change else "none"
        lines.append(f"| {change} | {each.verdict} | {each.held} | {each.waived} | {each.skipped} | {remark} |")
    return lines


def _verdicts(outcomes: Iterable[SweptKernel]) -> Counter[str]:
    return Counter(outcome.verdict for outcome in outcomes)


def _print(outcomes: Sequence[SweptKernel]) -> None:
    table = Table("change", "verdict", "held", "waived", "skipped", "")
    for each in outcomes:
        counts = map(str, (each.held, each.waived, each.skipped))
        table.add_row(each.change or "none", each.verdict, *counts, printable(each.remark, 200))
    Console().print(table, markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="kconform sweep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "changes",
        nargs="*",
        metavar="CHANGE",
        help="as for --config, or several options with + between them (default: those of the table)",
    )
    parser.add_argument("--kernel", default="source", metavar="SPEC", help="the source to build from (source)")
    parser.add_argument("--table", metavar="FILE", help="also write the table as Markdown")
    parser.add_argument("--report-dir", metavar="DIR", help="keep the report")
    parser.add_argument("--pytest", default="", metavar="ARGS", help="arguments for pytest, quoted as for a shell")
    return parser


if __name__ == "__main__":
    sys.exit(main())
