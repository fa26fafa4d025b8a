# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands about the suites themselves: how strong they are, how fast, and which promise is tested where."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

PROGRAMS = {
    "mutants": ("suites.mutation.__main__", "build kernels with a fault each, and see whether the suites notice"),
    "bench": ("suites.bench.guest_benchmark", "measure how fast guests are"),
    "bisect": ("reports.tools.bisect", "for `git bisect run`: a run whose exit status git understands"),
    "bench-selftest": ("suites.bench.selftest_benchmark", "measure the seccomp suite beside upstream's selftest"),
}
"""Commands with an argument parser of their own: module and help.  Each module has `main(arguments)`."""


def add_commands(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the commands; each sets `run`, which takes the parsed options and returns an exit status."""
    for name, (module, text) in PROGRAMS.items():
        command = subparsers.add_parser(name, help=text, add_help=False)
        command.set_defaults(run=_program, module=module, hands_on=True)
    command = subparsers.add_parser(
        "requirements",
        help="list the promises, and the tests of each; further arguments are pytest's",
        add_help=False,
    )
    command.set_defaults(run=_requirements, hands_on=True)


def _program(options: argparse.Namespace) -> int:
    # Imported only if wanted: some need packages or take time that the other commands do not.
    status: int = importlib.import_module(options.module).main(options.others)
    return status


def _requirements(options: argparse.Namespace) -> int:
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "--requirements", *options.others]
    return subprocess.run(command, cwd=ROOT, check=False).returncode
