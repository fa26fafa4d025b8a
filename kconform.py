# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `kconform`: everything but the test runs themselves, which are pytest's (`tox -- ARGS`).

Each package brings its own commands.  This module puts them side by side, as conftest.py does with their fixtures.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from common.commandline import Parser, run

MODULES = ("guests.commands", "kconfigs.commands", "reports.commands", "suites.commands")
EPILOG = (
    "`kconform COMMAND --help` says more.  `tox -- ARGS` runs the suites; ARGS are pytest's, `--help` among them."
)


def parser(command: str = "") -> Parser:
    """The command line, up to the module that has this command: the doctor must not need what the others import."""
    made = Parser(prog="kconform", description="Everything around a run of the suites.", epilog=EPILOG)
    commands = made.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for module in MODULES:
        importlib.import_module(module).add_commands(commands)
        if command in commands.choices:
            break
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    made = parser(words[0] if words else "")
    options, others = made.parse_known_args(words)
    options.others = others
    if getattr(options, "hands_on", False):
        # A program of its own takes the rest; its errors and exit status are its own: those of bisect are for git.
        return int(options.run(options))
    if others:
        made.error(f"unrecognized arguments: {' '.join(others)}")
    return run(lambda: options.run(options))


if __name__ == "__main__":
    sys.exit(main())
