# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands for the host that guests run on."""

from __future__ import annotations

import argparse
from typing import Any

from guests.host import doctor


def add_commands(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the commands; each sets `run`, which takes the parsed options and returns an exit status."""
    command = subparsers.add_parser("doctor", help="report what this machine can do, and what it lacks")
    command.add_argument(
        "--install",
        action="store_true",
        help="install what is missing with the system's package manager, if permitted",
    )
    command.add_argument("--yes", action="store_true", help="with --install: do not ask first, even on a terminal")
    command.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    return doctor.install_missing(sure=options.yes) if options.install else doctor.examine()
