# SPDX-License-Identifier: GPL-2.0-or-later
"""The files in a Debian package, read in a stream and trusted in nothing; see deb(5).

A package is an ar archive of two compressed tar archives.  Sizes and names in it are whatever its author wrote: each
is checked against what is there and against kconfigs.input_limits before anything is read.  Nothing is written here.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tarfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Self

from kconfigs import input_limits
from kconfigs.decompression import PIECE, DamagedDataError, Pieces, unpacked

_MAGIC = b"!<arch>\n"
_HEAD = 60
_SUFFIXES = {"": "", ".gz": "gzip", ".xz": "xz", ".zst": "zstd", ".bz2": "bzip2", ".lzma": "lzma"}
"""What the compressed archives are called, and the formats (kconfigs.decompression)."""
_LONG_NAMES = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
_KNOWN_TYPES = _LONG_NAMES | {
    tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE,
    tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
}  # fmt: skip
"""dpkg refuses all others.  Extended headers may have any size, and sparse files any number of pieces."""


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
            for member, archive in members:
                if member.name.removeprefix("./") == "control" and member.isreg():
                    if member.size > input_limits.CONTROL:
                        raise DamagedDataError(f"its control file has {member.size} bytes")
                    return _content(archive, member).read().decode(errors="replace")
        raise DamagedDataError("it has no control file")

    def files(self) -> Generator[tuple[str, IO[bytes]], None, None]:
        """The regular files, as name and content; the content must be read before the next one is asked for.

        Links, devices and pipes are left out.  Close it if you stop before its end.
        """
        with contextlib.closing(self._members("data", input_limits.PACKAGE)) as members:
            for count, (member, archive) in enumerate(members):
                if count >= input_limits.PACKAGE_FILES:
                    raise DamagedDataError(f"it has more than {input_limits.PACKAGE_FILES} files")
                if member.isreg():
                    yield member.name, _content(archive, member)

    def _members(self, kind: str, limit: int) -> Generator[tuple[tarfile.TarInfo, tarfile.TarFile], None, None]:
        """What is in the archive of that kind, which unpacks to at most `limit` bytes."""
        part = next((part for part in self._parts if part.name.partition(".")[0] == kind), None)
        if part is None:
            raise DamagedDataError(f"it has no {kind}.tar")
        suffix = part.name.removeprefix(f"{kind}.tar")
        if suffix not in _SUFFIXES:
            raise DamagedDataError(f"{part.name} is packed in an unknown format")
        packed = self._read(part)
        content = unpacked(_SUFFIXES[suffix], packed, limit) if suffix else packed
        with contextlib.closing(content):
            stream = io.BufferedReader(_Stream(content), PIECE)
            try:
                with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
                    for member in archive:
                        # tarfile itself remembers every member, which nobody asks for.
                        archive.members = []  # type: ignore[attr-defined]
                        if member.size > limit:
                            raise DamagedDataError(f"a file in {part.name} claims to have {member.size} bytes")
                        yield member, archive
            except (tarfile.TarError, ValueError) as error:
                raise DamagedDataError(f"{part.name}: {error}") from error
            # Only the end of the compressed data shows whether it was whole.
            for _ in content:
                pass

    def _read(self, part: _Part) -> Pieces:
        for start in range(0, part.size, PIECE):
            self._file.seek(part.start + start)
            yield self._file.read(min(PIECE, part.size - start))


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


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    assert content is not None
    return content


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file, for tarfile."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        target = memoryview(buffer)
        count = min(len(target), len(self._rest))
        target[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


class _Member(tarfile.TarInfo):
    """A header that is checked before tarfile acts on it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            # tarfile takes garbage for the end of the archive.
            if bytes(buf).strip(b"\0"):
                raise tarfile.ReadError(f"a header is invalid: {error}") from error
            raise
        if member.type not in _KNOWN_TYPES:
            raise tarfile.ReadError(f"a member has the unknown type {member.type!r}")
        if member.size < 0 or (member.type in _LONG_NAMES and member.size > input_limits.PATH):
            raise tarfile.ReadError(f"a header claims to have {member.size} bytes")
        return member
