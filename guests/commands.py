# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands for the host that guests run on."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from common.errors import UsageError
from guests.host import doctor
from kconfigs import kernel_matrix
from kconfigs.architectures import architecture_argument, named_architecture
from kconfigs.spec import PackageSpec

_NAMED = re.compile(r"(?:^|=)deb:[^=@:]*:(\w+)|^--arch=(\w+)")
"""The architecture in `--kernel=deb:PACKAGE:ARCH` and in `--arch=NAME`."""
_MATRIX = re.compile(r"^--matrix=(.+)", re.DOTALL)


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
        type=architecture_argument,
        metavar="NAME",
        default=[],
        help="include what kernels of this architecture need, such as arm64; repeatable",
    )
    command.add_argument(
        "--for-run",
        nargs=argparse.REMAINDER,
        metavar="ARGS",
        default=[],
        help="the same for all architectures in these arguments of a run: in deb:PACKAGE:ARCH, in --arch=NAME, or in "
        "the file of --matrix; and the QEMU of --qemu instead of the system's",
    )
    command.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    arches = [*options.arch, *_named_in(options.for_run)]
    qemu = _qemu_in(options.for_run)
    if options.install:
        return doctor.install_missing(arches, sure=options.yes, qemu=qemu)
    return doctor.examine(arches, qemu=qemu)


def _qemu_in(words: Sequence[str]) -> str | None:
    """The QEMU that the arguments of a run name; the last one counts."""
    named = [
        following if word == "--qemu" else word.removeprefix("--qemu=")
        for word, following in zip_longest(words, words[1:])
        if word == "--qemu" or word.startswith("--qemu=")
    ]
    return named[-1] if named else None


def _named_in(words: Sequence[str]) -> Iterator[str]:
    """The architectures that the arguments of a run name.  What is wrong there, the run itself says."""
    for word, following in zip_longest(words, words[1:]):
        option = f"{word}={following}" if word in ("--arch", "--matrix") else word
        with contextlib.suppress(UsageError):
            if named := _NAMED.search(option):
                yield named_architecture(named[1] or named[2])
            elif matrix := _MATRIX.match(option):
                yield from _named_in_matrix(Path(matrix[1]))


def _named_in_matrix(path: Path) -> Iterator[str]:
    for request in kernel_matrix.load(path):
        packaged = request.spec.arch if isinstance(request.spec, PackageSpec) else ""
        if request.arch or packaged:
            yield request.arch or named_architecture(packaged)
