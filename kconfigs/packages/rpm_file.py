# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages in .rpm: a lead, a signature, a header with the package's fields, and a packed cpio archive.

The format is described in rpm's manual ("RPM V4 Package format").  Signatures are not checked.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import BinaryIO

from kconfigs import input_limits
from kconfigs.architectures import known_as
from kconfigs.decompression import PIECE, DamagedDataError, Pieces, format_of, unpacked
from kconfigs.packages.cpio_archive import cpio_files
from kconfigs.packages.kernel_files import Files, PackageInfo, checked_field, name_of_kernel

_LEAD = struct.Struct(">4sBBH88x")
_LEAD_MAGIC = b"\xed\xab\xee\xdb"
_SOURCES = 1
"""The type of a package with sources."""
_HEADER = struct.Struct(">4s4xII")
_HEADER_MAGIC = b"\x8e\xad\xe8\x01"
_ENTRY = struct.Struct(">IIII")
_STRING, _STRING_ARRAY, _I18N_STRING = 6, 8, 9
_NAME, _VERSION, _RELEASE, _VENDOR, _ARCH, _FILE_NAMES = 1000, 1001, 1002, 1011, 1022, 1117
"""Tags of the header (rpm/rpmtag.h)."""
_IMAGE = re.compile(r"vmlinuz(?:-.*)?")

_VENDORS = {
    "Fedora": "fedora", "CentOS": "centos", "Red Hat": "rhel", "AlmaLinux": "almalinux", "Rocky": "rocky",
    "openSUSE": "opensuse", "SUSE": "suse", "Oracle": "oracle", "Amazon": "amazon",
}  # fmt: skip
"""A word in the field Vendor, and what test ids call that vendor."""


class RpmFile:
    """A package in an open file.  DamagedDataError if it is none."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        magic, _, _, kind = _LEAD.unpack(self._exactly(_LEAD.size))
        if magic != _LEAD_MAGIC:
            raise DamagedDataError("it does not begin as an .rpm file does")
        if kind == _SOURCES:
            raise DamagedDataError("it has the sources of a package")
        signature = self._header()
        self._exactly(-len(signature.store) % 8)
        self._fields = self._header()

    def info(self) -> PackageInfo:
        """What its header says.  ValueError if a field makes no sense."""
        fields = self._fields
        name = checked_field("its name", fields.text(_NAME))
        version, release = checked_field("its version", fields.text(_VERSION)), fields.text(_RELEASE)
        whole = f"{version}-{checked_field('its release', release)}"
        vendor = next((short for word, short in _VENDORS.items() if word in fields.text(_VENDOR)), "rpm")
        arch = checked_field("its architecture", fields.text(_ARCH))
        return PackageInfo(
            name=name,
            version=whole,
            arch="all" if arch == "noarch" else known_as(arch),
            kernel_name=name_of_kernel(vendor, whole, name),
            linux=version,
            holds_kernel=any(_IMAGE.fullmatch(file) for file in fields.texts(_FILE_NAMES)),
        )

    def files(self) -> Files:
        """The regular files."""
        packed = self._payload()
        beginning = next(packed, b"")
        packing = format_of(beginning)
        return cpio_files(unpacked(packing, _joined(beginning, packed), input_limits.PACKAGE))

    def _payload(self) -> Pieces:
        while piece := self._file.read(PIECE):
            yield piece

    def _header(self) -> _Fields:
        magic, count, size = _HEADER.unpack(self._exactly(_HEADER.size))
        if magic != _HEADER_MAGIC:
            raise DamagedDataError("it has no header of an .rpm file")
        if count * _ENTRY.size + size > input_limits.RPM_HEADER:
            raise DamagedDataError(f"a header claims to have {count * _ENTRY.size + size} bytes")
        index = self._exactly(count * _ENTRY.size)
        entries = {tag: (kind, offset, items) for tag, kind, offset, items in _ENTRY.iter_unpack(index)}
        return _Fields(entries, self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        content = self._file.read(size)
        if len(content) < size:
            raise DamagedDataError("it ends in the middle of its header")
        return content


class _Fields:
    """The fields of a header, by tag: type, offset in the store, and number of items."""

    def __init__(self, entries: Mapping[int, tuple[int, int, int]], store: bytes) -> None:
        self._entries, self.store = entries, store

    def text(self, tag: int) -> str:
        """A field's text, or the first of several; empty if it has none."""
        return next(iter(self.texts(tag)), "")

    def texts(self, tag: int) -> list[str]:
        kind, offset, count = self._entries.get(tag, (_STRING, 0, 0))
        if kind not in {_STRING, _STRING_ARRAY, _I18N_STRING} or count == 0:
            return []
        items = self.store[offset:].split(b"\0", count)[:count]
        return [item.decode(errors="replace") for item in items]


def _joined(beginning: bytes, rest: Pieces) -> Pieces:
    yield beginning
    yield from rest
