# SPDX-License-Identifier: GPL-2.0-or-later
"""Tar archives in a stream of bytes, trusted in nothing.

Sizes and names are whatever the author wrote: each is checked against kconfigs.input_limits before Python's tarfile
acts on it.  Nothing is written here.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Generator, Iterable, Iterator
from typing import IO, Any, Self

from kconfigs import input_limits
from kconfigs.decompression import PIECE, DamagedDataError, Pieces
from kconfigs.packages.kernel_files import Files

_LONG_NAMES = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
_KNOWN_TYPES = _LONG_NAMES | {
    tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE,
    tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
}  # fmt: skip
"""dpkg refuses all others.  Extended headers may have any size, and sparse files any number of pieces."""

Members = Generator[tuple[tarfile.TarInfo, tarfile.TarFile], None, None]


class TarMember(tarfile.TarInfo):
    """A header that is checked before tarfile acts on it."""

    known = _KNOWN_TYPES
    sized = _LONG_NAMES
    """Those whose content tarfile reads into memory by itself."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            # tarfile takes garbage for the end of the archive.
            if bytes(buf).strip(b"\0"):
                raise tarfile.ReadError(f"a header is invalid: {error}") from error
            raise
        if member.type not in cls.known:
            raise tarfile.ReadError(f"a member has the unknown type {member.type!r}")
        if member.size < 0 or (member.type in cls.sized and member.size > input_limits.PATH):
            raise tarfile.ReadError(f"a header claims to have {member.size} bytes")
        return member


class PaxMember(TarMember):
    """One that may have an extended header (pax(1)) of its own, as bsdtar and abuild write them."""

    known = _KNOWN_TYPES | {tarfile.XHDTYPE}
    sized = _LONG_NAMES | {tarfile.XHDTYPE}

    # tarfile reads the map of a sparse file into memory, however long it is.
    def _refuse_sparse(self, *_: Any) -> None:
        raise tarfile.ReadError("a file is sparse")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def tar_members(name: str, content: Pieces, limit: int, kind: type[TarMember] = TarMember) -> Members:
    """What is in an archive that unpacks to at most `limit` bytes; `name` is what errors call it."""
    with contextlib.closing(content):
        stream = io.BufferedReader(PieceStream(content), PIECE)
        try:
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=kind) as archive:
                for member in archive:
                    # tarfile itself remembers every member, which nobody asks for.
                    archive.members = []  # type: ignore[attr-defined]
                    if not 0 <= member.size <= limit:
                        raise DamagedDataError(f"a file in {name} claims to have {member.size} bytes")
                    yield member, archive
        # It calls itself for a header that follows another's.
        except (tarfile.TarError, ValueError, RecursionError) as error:
            raise DamagedDataError(f"{name}: {error}") from error
        # Only the end of the compressed data shows whether it was whole.
        for _ in content:
            pass


def regular_files(members: Members) -> Files:
    """The regular files among them.  Links, devices and pipes are left out."""
    with contextlib.closing(members):
        for count, (member, archive) in enumerate(members):
            if count >= input_limits.PACKAGE_FILES:
                raise DamagedDataError(f"it has more than {input_limits.PACKAGE_FILES} files")
            if member.isreg():
                yield member.name, tar_content(archive, member)


def text_of(members: Iterable[tuple[tarfile.TarInfo, tarfile.TarFile]], name: str, what: str) -> str | None:
    """The text of a small file at the top of an archive; None if it has none.  `what` is what errors call it."""
    for member, archive in members:
        if member.name.removeprefix("./") == name and member.isreg():
            if member.size > input_limits.CONTROL:
                raise DamagedDataError(f"its {what} has {member.size} bytes")
            return tar_content(archive, member).read().decode(errors="replace")
    return None


def tar_content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    assert content is not None
    return content


class PieceStream(io.RawIOBase):
    """Pieces of bytes as a file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        target = memoryview(buffer)
        count = min(len(target), len(self._rest))
        target[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
