# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels can be tested: the architectures, and the oldest Linux."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from common.errors import UsageError
from common.versions import Version, dotted

OLDEST: Version = (5, 10)
"""The oldest Linux that has been tested with good results: the agent needs system calls that older ones lack."""


@dataclass(frozen=True)
class Architecture:
    """What an architecture is called, and how Kbuild makes a kernel for it."""

    name: str
    """`uname -m`."""
    debian: str
    """In packages of Debian and Ubuntu."""
    srcarch: str
    """Its folder in the kernel's arch/, which is Kbuild's ARCH too."""
    target: str
    """make's target for a bootable image."""
    image: str
    """Where Kbuild puts that image, relative to the object directory."""


_TABLE = (
    Architecture("x86_64", "amd64", "x86", "bzImage", "arch/x86/boot/bzImage"),
    Architecture("aarch64", "arm64", "arm64", "Image", "arch/arm64/boot/Image"),
)

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({one.name: one for one in _TABLE})
"""Those that kernels can be built for, by `uname -m`."""


def machine() -> str:
    """This machine's architecture, as `uname -m` has it."""
    return platform.machine()


def architecture() -> Architecture:
    """This machine's.  UsageError if no kernel can be built for it."""
    try:
        return ARCHITECTURES[machine()]
    except KeyError:
        raise UsageError(
            f"building a kernel on {machine()} is not supported yet", hint="pass a kernel that is built already"
        ) from None


def from_debian(name: str) -> str:
    """`uname -m` of an architecture by Debian's name for it; an unknown one keeps its name."""
    return next((one.name for one in _TABLE if one.debian == name), name)


def require_testable(what: str, arch: str, version: Version) -> None:
    """UsageError for a kernel of another architecture, or of a version that is too old.

    An unknown version, `()`, is accepted.
    """
    if arch != machine():
        raise UsageError(
            f"{what} is a kernel for {arch}, and this machine is {machine()}",
            hint="pass a kernel for this machine's architecture",
        )
    if version and version < OLDEST:
        raise UsageError(f"{what} is Linux {dotted(version)}, and {dotted(OLDEST)} is the oldest that can be tested")
