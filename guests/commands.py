# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands for the host that guests run on."""

from __future__ import annotations

import argparse
import re
from typing import Any

from guests.host import doctor
from kconfigs.architectures import ARCHITECTURES, from_debian

_NAMED = re.compile(r"(?:^|=)deb:[^=@:]*:(\w+)")
"""The architecture in `--kernel=deb:PACKAGE:ARCH`."""


def add_commands(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the commands; each sets `run`, which takes the parsed options and returns an exit status."""
    command = subparsers.add_parser("doctor", help="report what this machine can do, and what it lacks")
    command.add_argument(
        "--install",
        action="store_true",
        help="install what is missing with the system's package manager, if permitted",
    )
    command.add_argument("--yes", action="store_true", help="with --install: do not ask first, even on a terminal")
    command.add_argument(
        "--arch",
        action="append",
        type=_arch,
        metavar="NAME",
        default=[],
        help="what kernels of another architecture need, too, such as arm64; repeatable",
    )
    command.add_argument(
        "--for-run",
        nargs=argparse.REMAINDER,
        metavar="ARGS",
        default=[],
        help="the same for the architectures of the kernels that these arguments of a run name, as deb:PACKAGE:ARCH",
    )
    command.set_defaults(run=_doctor)


def _arch(text: str) -> str:
    name = from_debian(text)
    if name not in ARCHITECTURES:
        known = ", ".join(one.debian for one in ARCHITECTURES.values())
        raise argparse.ArgumentTypeError(f"{text!r} is not an architecture that can be tested ({known})")
    return name


def _doctor(options: argparse.Namespace) -> int:
    named = [from_debian(name) for word in options.for_run for name in _NAMED.findall(word)]
    arches = [*options.arch, *(name for name in named if name in ARCHITECTURES)]
    return doctor.install_missing(arches, sure=options.yes) if options.install else doctor.examine(arches)
