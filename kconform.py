# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `kconform`: runs the suites, as `tox -- ARGS` does, or one of the other commands.

Each package defines its own commands in its `commands.py`.  This module combines them.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from common import deprecation, process_defaults
from common.commandline import Parser, output, run
from common.project_files import areas, kconform_command, pytest_command, version
from common.text import did_you_mean

MODULES = ("guests.commands", "kconfigs.commands", "reports.commands", "suites.commands")
EPILOG = (
    "Without a command, it runs the suites: `kconform yama --kernel=SPEC` does what `tox -- yama --kernel=SPEC` does "
    "in a checkout.  It takes the options of pytest and of kconform; `kconform yama --help` lists them.  "
    "`kconform COMMAND --help` lists those of a command."
)

WITHOUT_GUESTS = (
    *("--help", "-h", "--version", "-V", "--collect-only", "--co", "--requirements", "--markers", "--fixtures"),
    "--fixtures-per-test",
)
"""Options of runs that start no guest, so that the machine need not have QEMU."""


def parser(command: str = "") -> Parser:
    """The parser, with the commands up to this one's module: the doctor must work without what the others import.

    If there is no such command, it exits with the status of wrong use.
    """
    made = Parser(
        prog="kconform", description="Test a kernel with the suites, or run one of these commands.", epilog=EPILOG
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for module in MODULES:
        importlib.import_module(module).add_commands(commands)
        if command in commands.choices:
            return made
    if command and not command.startswith("-"):
        known = areas()
        meant = did_you_mean(command, (*commands.choices, *known))
        made.error(f"{command!r} is neither a command nor one of the areas {', '.join(known)}{meant}")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites, or the command that the command line specifies, and return the exit status."""
    process_defaults.restore()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--version"]:
        return run(lambda: output(f"kconform {version()}"))
    if runs_suites(words):
        return run(lambda: run_suites(words))
    made = parser(words[0])
    options, others = made.parse_known_args(words)
    options.others = others
    deprecation.warn_of_arguments(words[1:], words[0])
    if getattr(options, "own_parser", False):
        # The command parses the other arguments and handles its errors: git interprets the exit status of bisect.
        return int(options.run(options))
    if others:
        made.error(f"unrecognized arguments: {' '.join(others)}")
    return run(lambda: options.run(options))


def runs_suites(words: Sequence[str]) -> bool:
    """Whether these arguments are those of a run: none, or they begin with an option, an area or a test."""
    first = words[0] if words else "-"
    if first in ("-h", "--help"):
        return False
    return first.startswith("-") or first in areas() or "/" in first or "::" in first


def run_suites(words: Sequence[str]) -> int:
    """Install what the machine lacks, as `tox` does, and become pytest.  If that fails, the doctor's exit status."""
    if set(WITHOUT_GUESTS).isdisjoint(words):
        consent = [] if sys.stdin is not None and sys.stdin.isatty() else ["--yes"]
        doctor = kconform_command("doctor", "--install", *consent, "--for-run", *words)
        status = subprocess.run(doctor, check=False).returncode
        if status:
            return status
    before = ["-n", "auto", "--maxprocesses=8"]
    return _become(pytest_command(*before, *words))


def _become(command: list[str]) -> NoReturn:
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    sys.exit(main())
