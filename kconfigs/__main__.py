# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m kconfigs`: kernels, flavors, configs and the cache, from the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from common import commandline
from kconfigs.commands import add_commands


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 a config lacks something, 2 interrupted, 3 an error of the harness, 4 wrong use."""
    options = _parser().parse_args(arguments)
    return commandline.run(lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = commandline.Parser(prog="python -m kconfigs", description="Kernels to test, built or found.")
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
