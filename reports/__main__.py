# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m reports`: the commands of `reports.commands`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from common.commandline import Parser, run
from reports.commands import add_commands


def parser() -> Parser:
    """The command line."""
    top = Parser(prog="python -m reports", description="Work on the reports of runs that have ended.")
    add_commands(top.add_subparsers(required=True, metavar="COMMAND"))
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit status."""
    args = parser().parse_args(argv)
    return run(lambda: args.run(args))


if __name__ == "__main__":
    sys.exit(main())
