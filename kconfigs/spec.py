# SPDX-License-Identifier: GPL-2.0-or-later
"""Parses a SPEC, the value of --kernel, without looking anything up.

    source                   the newest kernel source that apt offers, built with our flavors
    TREE                     a directory: a kernel tree, built with our flavors; nothing in it is changed
    IMAGE                    a file: bzImage or vmlinuz, with its configuration beside or inside it; a unified image
    FOLDER                   a directory with a kernel that is already built or installed
    FILE.deb                 a package file, or .rpm, .apk, .pkg.tar.zst, .tar.xz ...
    FILE.rpm,FILE.rpm        package files that make one kernel together, such as its image and its modules
    deb:PACKAGE[=VERSION]    a package that apt offers; a metapackage is followed to its kernel, and linux-source-X.Y
                             is built
    deb:PACKAGE:ARCH         a package of another architecture, by Debian's name for it; it may have =VERSION, too
    running                  the kernel that runs here

`source` and `deb:` may end in @SUITE, a suite of the archive that is not in apt's sources, as in
`deb:linux-image-amd64@trixie-backports`.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from common.paths import users_path
from common.text import printable
from kconfigs.architectures import ARCHITECTURES
from kconfigs.target_machine import TargetMachine

_OFFERED = re.compile(
    r"(?:source|deb:(?P<name>[^=@:]*)(?::(?P<arch>[^=@]*))?(?:=(?P<version>[^@]*))?)(?:@(?P<suite>.*))?", re.DOTALL
)
_SUITE = re.compile(r"[a-z][a-z0-9.-]*")


@dataclass(frozen=True)
class Spec:
    """One of the kinds below."""

    text: str
    """As the user wrote it, for results and messages; a relative path in a file is made independent of that file."""


@dataclass(frozen=True)
class PackageSpec(Spec):
    """A package that apt offers."""

    package: str
    """Empty for the newest kernel source."""
    version: str = ""
    """Empty for any."""
    suite: str = ""
    """Empty for what apt offers by itself."""
    arch: str = ""
    """Debian's name of the architecture; empty for this machine's."""


@dataclass(frozen=True)
class RunningSpec(Spec):
    """The running kernel."""


@dataclass(frozen=True)
class TargetSpec(Spec):
    """The kernel that runs on a machine that somebody else booted (--target)."""

    machine: TargetMachine


@dataclass(frozen=True)
class PathSpec(Spec):
    """A tree, a folder, an image or a package file."""

    path: Path
    others: tuple[Path, ...] = ()
    """Further package files that belong to it."""


def parse(text: str, folder: Path = Path()) -> Spec:
    """What a SPEC says; a path starts at the folder.  UsageError if it says nothing.

    `source` is never a path, even where a file has that name.
    """
    if text == "running":
        return RunningSpec(text)
    if offered := _OFFERED.fullmatch(text):
        name, version, suite, arch = offered.group("name", "version", "suite", "arch")
        if name == "":
            raise UsageError(f"{printable(text)} names no package", hint="write it as in deb:linux-image-cloud-amd64")
        if suite is not None and not _SUITE.fullmatch(suite):
            raise UsageError(
                f"{suite!r} is not the name of a suite", hint="write it as in deb:linux-image-amd64@trixie-backports"
            )
        if arch is not None and arch not in {one.debian for one in ARCHITECTURES.values()}:
            known = ", ".join(one.debian for one in ARCHITECTURES.values())
            raise UsageError(
                f"{printable(text)} names an architecture that kconform cannot test yet",
                hint=f"it can test {known}; write it as in deb:linux-image-cloud-arm64:arm64",
            )
        return PackageSpec(text, name or "", version or "", suite or "", arch or "")
    names = [text]
    if "," in text and not _exists(text, folder):  # a path may have a comma
        names = text.split(",")
        if "" in names:
            raise UsageError(f"{printable(text)} lacks a file beside a comma", hint="write it as in a.deb,b.deb")
    paths = [users_path(name, folder) for name in names]
    is_there = folder != Path() and all(path.exists() for path in paths)
    return PathSpec(",".join(map(str, paths)) if is_there else text, paths[0], tuple(paths[1:]))


def _exists(text: str, folder: Path) -> bool:
    # Names of several files together may be too long for one.
    with contextlib.suppress(UsageError):
        return users_path(text, folder).exists()
    return False
