# SPDX-License-Identifier: GPL-2.0-or-later
"""The value that the rest of the project knows a kernel by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from common.versions import Version, release_version
from kconfigs.kconfig import Config


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted: an image, its configuration, and where it came from."""

    name: str
    """What test ids call it, without the flavor: `debian-6.12.117`."""
    flavor: str
    """The flavor that it was built with, or SHIPPED (kconfigs.sources)."""
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
    """As from `kernel_digest`."""
    lost_options: str = ""
    """A sentence about the options of the user's config that it does not have; empty if there are none."""
    counted: Path | None = None
    """What a build has kept for gcov, if the kernel counts which lines it executes (kconfigs/build/gcov_notes.py)."""
    arguments: tuple[str, ...] = ()
    """What the machine was booted with that runs it; empty for a kernel that is booted here."""
    target: str = ""
    """What --target calls that machine; empty for a kernel that is booted here."""
    stable: Version = ()
    """The stable version that it was made from, if the release does not have it: Debian's 5.10.0-46 is 5.10.262."""

    @property
    def id(self) -> str:
        """Kernel and flavor, as test ids begin with them: `debian-6.12.117/full`."""
        return f"{self.name}/{self.flavor}"

    @property
    def version(self) -> Version:
        """The stable version, or else the numbers that the release begins with."""
        return self.stable or release_version(self.release)


def kernel_digest(image: Path, config: Config) -> str:
    """sha256 of image and config, in hexadecimal: the same kernel has the same digest wherever it came from."""
    with image.open("rb") as file:
        content = hashlib.file_digest(file, "sha256")
    content.update(config.digest.encode())
    return content.hexdigest()
