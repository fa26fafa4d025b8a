# SPDX-License-Identifier: GPL-2.0-or-later
"""Which QEMU runs the guests: the one that the user chose, one on PATH, or that of Red Hat's distributions."""

from __future__ import annotations

import platform
import shutil

from guests.errors import QemuError

LIBEXEC = "/usr/libexec/qemu-kvm"
"""Where RHEL and CentOS Stream keep their only QEMU, which is for the machine's own architecture."""


def find_qemu(arch: str = "x86_64", chosen: str | None = None) -> str:
    """The path of the QEMU for guests of an architecture.  QemuError if there is none.

    `chosen` is a path, or a name to look up on PATH; if it is given, nothing else is considered.
    """
    name = f"qemu-system-{arch}"
    if chosen is not None:
        path = shutil.which(chosen)
        if path is None:
            raise QemuError(f"{chosen} is not a program that can be run", hint=f"give the path of a {name}")
        return path
    for candidate in (name, LIBEXEC) if arch == platform.machine() else (name,):
        path = shutil.which(candidate)
        if path is not None:
            return path
    raise QemuError(f"{name} is not installed", hint="run `python -m guests doctor`, which can install it")
