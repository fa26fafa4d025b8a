# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m guests`: the command line for the host on which guests run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common.commandline import Parser
from guests.errors import KconformError
from guests.host import doctor

INTERRUPTED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0 success, 2 interrupted, 3 a harness error, 4 something is missing, or wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        return doctor.install_missing(sure=options.yes) if options.install else doctor.examine()
    except KconformError as error:
        print(f"kconform: error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("kconform: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m guests", description="The host on which guests run.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    command = commands.add_parser("doctor", help="report what this machine can do, and what it lacks")
    command.add_argument(
        "--install",
        action="store_true",
        help="install what is missing with the system's package manager, if permitted",
    )
    command.add_argument("--yes", action="store_true", help="with --install: do not ask for confirmation")
    return parser


if __name__ == "__main__":
    sys.exit(main())
