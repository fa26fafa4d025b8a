# SPDX-License-Identifier: GPL-2.0-or-later
"""All versions of a kernel that archives still have: those of its package, and of other packages of its kind.

Debian and Ubuntu name a package after the kernel's release, as linux-image-6.1.0-56-cloud-amd64, and an archive keeps
some of the older ones.  All kernels whose names end alike are of one kind: they are built with one config.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from debian.debian_support import Version

from common.errors import UsageError
from kconfigs.debian.apt import Apt
from kconfigs.debian.deb_package import parse_control

_NAME = re.compile(r"linux-image-(?:(?P<release>\d[\w.+~]*(?:-\d+)?)-)?(?P<kind>[a-z][\w-]*)", re.ASCII)


@dataclass(frozen=True)
class OfferedKernel:
    """One version of a kernel, and where it is."""

    package: str
    version: str
    suite: str = ""
    """The suite that has it; empty for what the machine's apt offers."""

    @property
    def spec(self) -> str:
        """What --kernel takes."""
        return f"deb:{self.package}={self.version}" + (f"@{self.suite}" if self.suite else "")


def kind_of(package: str) -> str:
    """What the names of all kernels of its kind end with: `cloud-amd64`.  UsageError for another kind of name."""
    found = _NAME.fullmatch(package)
    if found is None:
        raise UsageError(
            f"{package} is not named as Debian and Ubuntu name kernels, so there are no other versions to look for",
            hint="name a package such as linux-image-cloud-amd64",
        )
    return found["kind"]


def offered(kind: str, archives: Mapping[str, Apt]) -> list[OfferedKernel]:
    """All kernels of a kind, the oldest version first.  `archives` are apt by suite, the preferred one first."""
    found: dict[str, OfferedKernel] = {}
    for suite, apt in archives.items():
        apt.ready(f"linux-image-{kind}")
        for package, version in _known(kind, apt):
            # A kernel may be in several suites.
            found.setdefault(version, OfferedKernel(package, version, suite))
    return sorted(found.values(), key=lambda kernel: Version(kernel.version))


def _known(kind: str, apt: Apt) -> list[tuple[str, str]]:
    """The names and versions of the packages that hold a kernel of this kind."""
    listed = apt.ask("apt-cache", "search", "--names-only", f"^linux-image-[0-9].*-{re.escape(kind)}$")
    names = [name for name in (line.split(" ", 1)[0] for line in listed.splitlines()) if _is_of_kind(name, kind)]
    if not names:
        return []
    try:
        shown = apt.ask("apt-cache", "show", *sorted(names))
    except subprocess.CalledProcessError as error:
        shown = str(error.stdout or "")
    packages = [parse_control(paragraph) for paragraph in re.split(r"\n\n+", shown.strip("\n")) if paragraph.strip()]
    # linux-image-6.12-cloud-amd64 is a metapackage, although its name is like those of kernels.
    return [
        (package.name, package.version)
        for package in packages
        if package.name in names and not any(part.startswith("linux-image-") for part in package.parts)
    ]


def _is_of_kind(name: str, kind: str) -> bool:
    found = _NAME.fullmatch(name)
    return found is not None and found["kind"] == kind and found["release"] is not None
