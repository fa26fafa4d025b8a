# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels in tar archives: packages of Arch Linux (.pkg.tar.*) and Alpine (.apk), and what `make tarxz-pkg` makes.

The packages are tar archives with a file .PKGINFO near their beginning.  An .apk is three archives, each packed by
gzip and the first two without an end, so that they read as one; see apk-package(5).
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from kconfigs import input_limits
from kconfigs.architectures import known_as
from kconfigs.decompression import PIECE, DamagedDataError, Pieces, format_of, unpacked
from kconfigs.kernel_names import clean
from kconfigs.packages.kernel_files import Files, PackageInfo, checked_field, name_of_kernel
from kconfigs.packages.tar_archive import Members, PaxMember, regular_files, tar_members, text_of

SUFFIX = re.compile(r"\.(?:tar(?:\.\w+)?|tgz|txz|tzst)")
_BEFORE_PKGINFO = 16
"""Members that may be before .PKGINFO.  Arch has .BUILDINFO and .MTREE there, Alpine a signature."""
_HEADERS = re.compile(r".*-(?:headers|dev|doc|docs)")
_NO_ARCHITECTURE = {"any", "noarch"}


class KernelTarball:
    """A tar archive, packed or not, in an open file."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path

    def info(self) -> PackageInfo:
        """Such an archive says nothing of itself."""
        name = SUFFIX.sub("", self._path.name)
        return PackageInfo(name=name, version="", arch="", kernel_name=clean(name), linux="")

    def files(self) -> Files:
        """The regular files."""
        return regular_files(self._members())

    def _members(self) -> Members:
        self._file.seek(0)
        beginning = self._file.read(16)
        packing = format_of(beginning)
        if beginning.startswith(b"ADB"):
            raise DamagedDataError("it has the format of apk-tools 3")
        content = unpacked(packing, self._read(), input_limits.PACKAGE)
        return tar_members("its tar archive", content, input_limits.PACKAGE, PaxMember)

    def _read(self) -> Pieces:
        self._file.seek(0)
        while piece := self._file.read(PIECE):
            yield piece


class TarPackage(KernelTarball):
    """A package that describes itself in .PKGINFO.  `vendors` are words in the field `packager`, and their names."""

    vendors: Mapping[str, str] = {}
    vendor = ""
    """What test ids call it if nobody of these has packed it."""

    def info(self) -> PackageInfo:
        """What .PKGINFO says.  ValueError if a field makes no sense."""
        fields = self._fields()
        name, version, arch = (checked_field(one, fields.get(one, "")) for one in ("pkgname", "pkgver", "arch"))
        packer = f"{fields.get('packager')} {fields.get('maintainer')}"
        vendor = next((short for word, short in self.vendors.items() if word in packer), self.vendor)
        return PackageInfo(
            name=name,
            version=version,
            arch="all" if arch in _NO_ARCHITECTURE else known_as(arch),
            kernel_name=name_of_kernel(vendor, version, name),
            linux=version,
            holds_kernel=not _HEADERS.fullmatch(name),
        )

    def _fields(self) -> dict[str, str]:
        with contextlib.closing(self._members()) as members:
            text = text_of(itertools.islice(members, _BEFORE_PKGINFO), ".PKGINFO", ".PKGINFO")
        if text is None:
            raise DamagedDataError("it does not begin with .PKGINFO")
        pairs = (line.partition(" = ") for line in text.split("\n") if not line.startswith("#"))
        return {key.strip(): value.strip() for key, _, value in pairs}


class ArchPackage(TarPackage):
    vendors: Mapping[str, str] = {"archlinux.org": "arch", "manjaro.org": "manjaro"}
    vendor = "pacman"


class AlpinePackage(TarPackage):
    vendors: Mapping[str, str] = {"alpinelinux.org": "alpine", "postmarketos.org": "postmarketos"}
    vendor = "apk"
