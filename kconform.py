# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `kconform`: everything except for test runs, which use pytest directly (`tox -- ARGS`).

Each package defines its own commands.  This module combines them, as conftest.py does with their fixtures.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from common import deprecation, process_defaults
from common.commandline import Parser, run

MODULES = ("guests.commands", "kconfigs.commands", "reports.commands", "suites.commands")
EPILOG = "See also `kconform COMMAND --help`.  `tox -- ARGS` runs the suites; ARGS are pytest's, including `--help`."


def parser(command: str = "") -> Parser:
    """The parser, with the commands up to this one's module: the doctor must work without what the others import."""
    made = Parser(prog="kconform", description="Commands for everything except test runs.", epilog=EPILOG)
    commands = made.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for module in MODULES:
        importlib.import_module(module).add_commands(commands)
        if command in commands.choices:
            break
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the command line specifies, and return the exit status."""
    process_defaults.restore()
    words = list(sys.argv[1:] if arguments is None else arguments)
    made = parser(words[0] if words else "")
    options, others = made.parse_known_args(words)
    options.others = others
    deprecation.warn_of_arguments(words[1:], words[0])
    if getattr(options, "own_parser", False):
        # The command parses the other arguments and handles its errors: git interprets the exit status of bisect.
        return int(options.run(options))
    if others:
        made.error(f"unrecognized arguments: {' '.join(others)}")
    return run(lambda: options.run(options))


if __name__ == "__main__":
    sys.exit(main())
