# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform coverage`: report which lines and branches of the kernel the tests execute, and which tests execute one.

    kconform coverage                        run all areas on the flavor coverage, and print the tables
    kconform coverage yama loadpin           only these areas
    kconform coverage reports/out/coverage   print the tables of an earlier run
    kconform coverage kernel/seccomp.c:1234  the tests that execute a line, or a function instead of a line

Each guest's kernel counts what it executes, and its counters are read before it ends.  A run also records which tests
execute which lines, for `--touched` and `--since` of a test run, and for FILE:LINE here.
Exit status: 0 the tables were made, or a test executes the line; 1 no test executes the line; 3 something went wrong;
4 wrong usage; 5 nothing ran.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from common import atomic
from common.commandline import Parser, output, run
from common.errors import UsageError
from common.paths import output_path, users_path
from common.project_files import REPORTS, pytest_command
from reports.judgement.promise_coverage import KERNEL_AREAS
from reports.model import document
from reports.model.names_of_tests import without_kernel
from reports.model.report_directory import is_report
from suites.coverage import coverage_tables
from suites.coverage.argued_lines import argued_lines, load_arguments, without_place
from suites.coverage.counter_folder import folder_of
from suites.coverage.html_report import require_gcovr, write_html
from suites.coverage.line_map import find_map, joined, load_map, save_map
from suites.coverage.measurement import Measurement, measure
from suites.coverage.touched_tests import named
from suites.report_of_run import run_for_report

REPORT = REPORTS / "coverage"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return run(lambda: _coverage(options))


def _coverage(options: argparse.Namespace) -> int:
    places = [word for word in options.what if ":" in word]
    if places:
        if len(places) != len(options.what):
            raise UsageError("FILE:LINE and areas are asked for apart", hint="give only places, or only areas")
        return _tests_of(places)
    if options.html:
        require_gcovr()
    table = output_path(options.table) if options.table else None
    report = _report(options)
    folder = folder_of(report)
    found = measure(folder)
    arguments = load_arguments()
    argued = argued_lines(arguments, found.sources)
    seconds = _durations(report)
    path = save_map(joined(found.map(seconds), find_map(found.version)))
    rows = list(coverage_tables.tables(found, argued))
    output("\n".join(rows))
    if table:
        atomic.write(table, "".join(f"{row}\n" for row in rows))
    if options.missing:
        _list("", coverage_tables.listed_gaps(found, argued))
    _list("argument without a place: ", without_place(arguments, found.sources))
    _list("argument that a test refutes: ", coverage_tables.overtaken(found, argued))
    _list("no counters: ", _missing(found))
    output(
        f"coverage: the counters of {len(found.executed)} guests of {found.kernel}; {len(found.missing)} gave none"
    )
    output(f"coverage: the map of lines is {path}")
    if options.html:
        output(f"coverage: {write_html(folder, users_path(options.html))}")
    return 0


def _report(options: argparse.Namespace) -> Path:
    """The directory of the run to report on, which is run now unless it is named."""
    if len(options.what) == 1 and is_report(users_path(options.what[0])):
        return users_path(options.what[0])
    if unknown := [word for word in options.what if word not in KERNEL_AREAS]:
        raise UsageError(
            f"{unknown[0]!r} is neither an area nor the report of a run",
            hint=f"areas: {', '.join(KERNEL_AREAS)}; a line of the kernel is FILE:LINE",
        )
    report = users_path(options.report_dir).absolute()
    command = pytest_command("--vmcores=0", *shlex.split(options.pytest))
    command += [f"--kernel={options.kernel}", "--flavor=coverage", f"--report-dir={report}"]
    command += [f"--counters={folder_of(report).path}", *(f"suites/{area}" for area in options.what or KERNEL_AREAS)]
    run_for_report(command, report)
    return report


def _durations(report: Path) -> Mapping[str, float]:
    """Of each test of a report, by its name without the kernel."""
    return {without_kernel(each.nodeid, each.kernel): each.duration_s for each in document.load(report).tests()}


def _missing(found: Measurement) -> Iterable[str]:
    return (f"{name}: {reason}" for name, reason in sorted(found.missing.items()))


def _list(what: str, lines: Iterable[str]) -> None:
    for line in lines:
        output(f"{what}{line}")


def _tests_of(places: Sequence[str]) -> int:
    """Print the tests that execute any of the places, the fastest first."""
    lines = load_map()
    touched = named(lines, places)
    tests = touched.tests(lines)
    for test in sorted(tests, key=lambda test: (test.seconds, test.name)):
        output(f"{test.seconds:7.2f} s  {test.name}")
    _list("coverage: ", touched.sentences(lines))
    return 0 if tests else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="kconform coverage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", nargs="*", metavar="AREA|REPORT|FILE:LINE", help=f"{', '.join(KERNEL_AREAS)}; default: all areas"
    )
    parser.add_argument(
        "--kernel", default="source", metavar="SPEC", help="what to build with counters: source, or a tree (source)"
    )
    parser.add_argument("--report-dir", default=REPORT, metavar="DIR", help=f"default: {REPORT}")
    parser.add_argument("--pytest", default="-n 2 -q", metavar="ARGS", help="further arguments for pytest (-n 2 -q)")
    parser.add_argument("--table", metavar="FILE", help="also write the tables to a file, as Markdown")
    parser.add_argument("--html", metavar="DIR", help="also write the sources with their counts, as HTML")
    parser.add_argument("--missing", action="store_true", help="list what is neither executed nor argued")
    return parser


if __name__ == "__main__":
    sys.exit(main())
