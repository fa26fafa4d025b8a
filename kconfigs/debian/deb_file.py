# SPDX-License-Identifier: GPL-2.0-or-later
"""The files in a Debian package, read in a stream and trusted in nothing; see deb(5).

A package is an ar archive of two compressed tar archives.  Sizes and names in it are whatever its author wrote: each
is checked against what is there and against kconfigs.input_limits before anything is read.  Nothing is written here.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from kconfigs import input_limits
from kconfigs.decompression import DamagedDataError, pieces_of, unpacked
from kconfigs.packages.kernel_files import Files
from kconfigs.packages.tar_archive import Members, regular_files, tar_members, text_of

_MAGIC = b"!<arch>\n"
_HEAD = 60
_SUFFIXES = {"": None, ".gz": "gzip", ".xz": "xz", ".zst": "zstd", ".bz2": "bzip2", ".lzma": "lzma"}
"""What the compressed archives are called, and the formats (kconfigs.decompression)."""


@dataclass(frozen=True)
class _Part:
    """A member of the ar archive, and where its content is."""

    name: str
    start: int
    size: int


class DebFile:
    """A package in an open file.  DamagedDataError if it is none; TooLargeError where it exceeds a limit."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._parts = list(_parts(file))
        if not self._parts or self._parts[0].name != "debian-binary":
            raise DamagedDataError("it is not an ar archive that begins with debian-binary")

    def control(self) -> str:
        """The text of the control file."""
        with contextlib.closing(self._members("control", input_limits.CONTROL_ARCHIVE)) as members:
            text = text_of(members, "control", "control file")
        if text is None:
            raise DamagedDataError("it has no control file")
        return text

    def files(self) -> Files:
        """The regular files.  Links, devices and pipes are left out."""
        return regular_files(self._members("data", input_limits.PACKAGE))

    def _members(self, kind: str, limit: int) -> Members:
        """What is in the archive of that kind, which unpacks to at most `limit` bytes."""
        part = next((part for part in self._parts if part.name.partition(".")[0] == kind), None)
        if part is None:
            raise DamagedDataError(f"it has no {kind}.tar")
        suffix = part.name.removeprefix(f"{kind}.tar")
        if suffix not in _SUFFIXES:
            raise DamagedDataError(f"{part.name} is packed in an unknown format")
        content = unpacked(_SUFFIXES[suffix], pieces_of(self._file, part.start, part.size), limit)
        return tar_members(part.name, content, limit)


def _parts(file: BinaryIO) -> Iterator[_Part]:
    whole = os.fstat(file.fileno()).st_size
    if file.read(len(_MAGIC)) != _MAGIC:
        raise DamagedDataError("it is not an ar archive")
    place = len(_MAGIC)
    for _ in range(input_limits.PACKAGE_PARTS):
        file.seek(place)
        head = file.read(_HEAD)
        if not head.strip(b"\n"):
            return
        size = re.fullmatch(rb"(\d+) *", head[48:58])
        if len(head) < _HEAD or head[58:] != b"`\n" or size is None:
            raise DamagedDataError("a header of its ar archive is invalid")
        start = place + _HEAD
        part = _Part(head[:16].decode("ascii", "replace").rstrip(" ").removesuffix("/"), start, int(size[1]))
        if start + part.size > whole:
            raise DamagedDataError(f"it ends in the middle of {part.name}")
        yield part
        place = start + part.size + part.size % 2
    raise DamagedDataError(f"its ar archive has more than {input_limits.PACKAGE_PARTS} members")
