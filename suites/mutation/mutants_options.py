# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `kconform mutants`, and what they mean for the tests of a mutant."""

from __future__ import annotations

import argparse

from common.commandline import Parser, whole_number
from common.paths import users_path
from common.project_files import REPORTS
from kconfigs.architectures import architecture_argument, machine
from suites.mutation.mechanical_mutants import FILES
from suites.mutation.mutant_table import HISTORY, RACES, areas
from suites.mutation.mutant_tester import chooses_tests

SECONDS = 300
"""How long races are repeated on each mutant."""


def parser(description: str | None = None) -> argparse.ArgumentParser:
    """The parser of the command; `description` is what its help begins with."""
    parser = Parser(
        prog="kconform mutants", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = sorted({*areas(), *FILES})
    parser.add_argument("area", choices=known, metavar="AREA", help=", ".join(known))
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--history", action="store_true", help="bring back bugs that the kernel once had")
    kind.add_argument("--races", action="store_true", help="faults that several processors show")
    kind.add_argument(
        "--mechanical",
        type=whole_number("mutants", 1),
        metavar="N",
        help="draw N faults from the area's kernel files",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the seed for --mechanical (1)")
    parser.add_argument(
        "--arch",
        type=architecture_argument,
        default=machine(),
        metavar="NAME",
        help="build kernels of this architecture, such as arm64",
    )
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="only this mutant; repeatable")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first survivor")
    parser.add_argument(
        "--all-areas",
        action=argparse.BooleanOptionalAction,
        help="after the area's tests, run those of all other areas (default: only with --history)",
    )
    parser.add_argument(
        "--touched-only",
        action="store_true",
        help="leave out the tests that do not execute what a mutant changes, as far as that is recorded",
    )
    parser.add_argument(
        "--reproducers",
        action="store_true",
        help="make a reproducer of each test that fails, and try it on the mutant and on the unchanged kernel",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="build nothing: list the edits of all tables of the area that do not match the source",
    )
    parser.add_argument(
        "--source", type=users_path, metavar="DIR", help="a kernel tree (default: the distribution's)"
    )
    parser.add_argument(
        "--objects",
        type=users_path,
        metavar="DIR",
        help="the tree's object directory, already built; then both are used in place instead of being copied",
    )
    parser.add_argument(
        "--seconds",
        type=whole_number("seconds", 1),
        metavar="N",
        help=f"with --races: how long the tests of an area are repeated on each mutant ({SECONDS}), and those that it"
        " names as its first for a third of it",
    )
    parser.add_argument(
        "--pytest",
        metavar="ARGS",
        help="further arguments for pytest (-n 2; with --races, those that repeat the races on two processors)",
    )
    default = REPORTS / "mutants.json"
    parser.add_argument(
        "--results",
        type=users_path,
        default=default,
        metavar="FILE",
        help=f"where the results go (default: {default})",
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep the results in FILE of mutants that were detected or survived"
    )
    parser.add_argument("--table", type=users_path, metavar="FILE", help="also write the results as Markdown")
    return parser


def table_name(options: argparse.Namespace) -> str:
    """The table that the options name; empty if they name none."""
    return HISTORY if options.history else RACES if options.races else ""


def pytest_arguments(options: argparse.Namespace) -> tuple[list[str], list[str] | None]:
    """Arguments for pytest with the tests of areas, and with those that a mutant names as its first."""
    if options.pytest is None and options.races:
        together = options.seconds or SECONDS
        alone = max(1, together // 3)
        return ["--cpus=2", f"--race-seconds={together}", "-mraces"], ["--cpus=2", f"--race-seconds={alone}"]
    arguments = ["-n", "2"] if options.pytest is None else options.pytest.split()
    # If they choose tests, such as the walks, it is the strength of these that is measured.
    return arguments, None if chooses_tests(arguments) else []
