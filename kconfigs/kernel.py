# SPDX-License-Identifier: GPL-2.0-or-later
"""The value that the rest of the project knows a kernel by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from kconfigs.fragments import Config

OLDEST = (5, 10)
"""The oldest Linux that a good result was seen of: the agent counts on calls that older ones have not."""


def version_of(release: str) -> tuple[int, ...]:
    """The leading numbers of a release: `6.1.0-56-cloud-amd64` is (6, 1, 0)."""
    match = re.match(r"\d+(?:\.\d+)*", release)
    return tuple(int(n) for n in match[0].split(".")) if match else ()


def require_supported(what: str, version: tuple[int, ...]) -> None:
    """UsageError for a kernel that is too old; one of unknown version, `()`, is let through."""
    if version and version < OLDEST:
        this, oldest = (".".join(map(str, numbers)) for numbers in (version, OLDEST))
        raise UsageError(f"{what} is Linux {this}, and {oldest} is the oldest that can be tested")


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted: an image, its configuration, and where it came from."""

    name: str
    """What test ids call it, without the flavor: `debian-6.12.117`."""
    flavor: str
    """The flavor that it was built with, or `shipped` for a kernel that was found, not built."""
    release: str
    """`uname -r`."""
    arch: str
    """`uname -m`."""
    image: Path
    config: Config
    modules: Path | None
    """A directory with the kernel's modules somewhere below it (.ko, .ko.xz, .ko.zst), if there is one."""
    spec: str
    """The SPEC that the user gave for it."""
    identity: str
    """What the source calls this state: a package version, a commit, a digest."""
    digest: str
    """sha256 over image and config, hexadecimal: the same kernel has the same digest everywhere."""
    stable: tuple[int, ...] = ()
    """The stable version that it was made from, where the release does not tell: Debian's 5.10.0-46 is 5.10.262."""

    @property
    def id(self) -> str:
        """Kernel and flavor as test ids put them first: `debian-6.12.117/full`."""
        return f"{self.name}/{self.flavor}"

    @property
    def version(self) -> tuple[int, ...]:
        """Of the stable version, or else of the release, see `version_of`."""
        return self.stable or version_of(self.release)
