# SPDX-License-Identifier: GPL-2.0-or-later
"""Cpio archives of the "new ASCII" format (cpio(5)), which packages in .rpm have, in a stream of bytes."""

from __future__ import annotations

import contextlib
import io
import re
import stat

from kconfigs import input_limits
from kconfigs.decompression import PIECE, DamagedDataError, Pieces
from kconfigs.packages.kernel_files import Content, Files
from kconfigs.packages.tar_archive import PieceStream

_HEADER = re.compile(rb"07070[12]([0-9A-Fa-f]{104})")
_HEADER_SIZE = 110
_LAST = "TRAILER!!!"


def cpio_files(content: Pieces) -> Files:
    """The regular files.  Links, devices and pipes are left out.  DamagedDataError if it is no such archive."""
    with contextlib.closing(content):
        stream = io.BufferedReader(PieceStream(content), PIECE)
        for _ in range(input_limits.PACKAGE_FILES):
            mode, links, size, name = _header(stream)
            if name == _LAST:
                break
            file = _CpioFile(stream, size)
            # Of files that are one, only the last has the content.
            if stat.S_ISREG(mode) and (size or links <= 1):
                yield name, file
            file.skip()
            _exactly(stream, -size % 4)
        else:
            raise DamagedDataError(f"it has more than {input_limits.PACKAGE_FILES} files")
        # Only the end of the compressed data shows whether it was whole.
        for _ in content:
            pass


def _header(stream: Content) -> tuple[int, int, int, str]:
    """A file's mode, its number of links, its size and its name."""
    header = _HEADER.fullmatch(_exactly(stream, _HEADER_SIZE))
    if header is None:
        raise DamagedDataError("a header of its cpio archive is invalid")
    _, mode, _, _, links, _, size, *_, name_size, _ = (int(header[1][at : at + 8], 16) for at in range(0, 104, 8))
    if not 0 < name_size <= input_limits.PATH:
        raise DamagedDataError(f"a name in it claims to have {name_size} bytes")
    name = _exactly(stream, name_size).rstrip(b"\0")
    _exactly(stream, -(_HEADER_SIZE + name_size) % 4)
    return mode, links, size, name.decode(errors="surrogateescape")


def _exactly(stream: Content, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise DamagedDataError("its cpio archive ends in the middle")
    return content


class _CpioFile:
    """The content of one file."""

    def __init__(self, stream: Content, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int = -1, /) -> bytes:
        wanted = min(self._left, PIECE if size < 0 else size)
        content = _exactly(self._stream, wanted)
        self._left -= wanted
        return content

    def skip(self) -> None:
        while self.read(PIECE):
            pass
