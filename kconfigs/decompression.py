# SPDX-License-Identifier: GPL-2.0-or-later
"""Packed data, unpacked piece by piece: a bomb takes neither the memory nor the disk that it asks for.

Nothing here opens a file or names one: callers make of an error the sentence that the user sees.
"""

from __future__ import annotations

import bz2
import contextlib
import lzma
import shutil
import subprocess
import tempfile
import threading
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import BinaryIO, Protocol, TypeAlias

from kconfigs import input_limits

PIECE = 1 << 20
"""Bytes of each piece, at most, that is unpacked at a time."""

MAGIC = {
    "gzip": b"\x1f\x8b",
    "xz": b"\xfd7zXZ",
    "zstd": b"\x28\xb5\x2f\xfd",
    "lz4": b"\x02\x21\x4c\x18",
    "bzip2": b"BZh",
    "lzma": b"\x5d\x00\x00",
    "lzop": b"\x89LZO",
}
"""The first bytes of each format, by the name of the program that unpacks it."""


Pieces: TypeAlias = Generator[bytes, None, None]
"""Content, piece by piece.  Close it if you stop before its end."""


class DamagedDataError(Exception):
    """The data does not unpack; it says why."""


class TooLargeError(Exception):
    """The data unpacks to more than the limit."""


class MissingProgramError(Exception):
    """The program `name`, which unpacks this format, is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not installed")
        self.name = name


def format_of(beginning: bytes) -> str | None:
    """The format whose first bytes these are."""
    return next((name for name, magic in MAGIC.items() if beginning.startswith(magic)), None)


def pieces_of(file: BinaryIO, start: int, size: int) -> Pieces:
    """A part of an open file, or what there is of it, wherever the file is read meanwhile."""
    end = start + size
    while start < end:
        file.seek(start)
        piece = file.read(min(PIECE, end - start))
        if not piece:
            return
        start += len(piece)
        yield piece


def unpacked(name: str | None, packed: Iterable[bytes], limit: int, *, has_tail: bool = False) -> Pieces:
    """The content, in pieces.  One of the errors above if there are more than `limit` bytes, or if it is damaged.

    Without a name, the data is not packed.
    `has_tail` allows for something else after the packed data, as in a kernel image.
    """
    if name is None:
        pieces: Pieces = (piece for piece in packed)
    else:
        pieces = (_by_library if name in _LIBRARIES else _by_program)(name, packed, has_tail)
    count = 0
    with contextlib.closing(pieces):
        for piece in pieces:
            count += len(piece)
            if count > limit:
                raise TooLargeError(f"more than {limit} bytes")
            yield piece


class _Decompressor(Protocol):
    """What the decompressors of lzma and bz2 have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's decompressor, in the same form."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        content = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        # zlib keeps up to a window of output that did not fit.
        self.needs_input = len(content) < max_length and not self._inner.unconsumed_tail
        return content


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(memlimit=input_limits.DECOMPRESSION_MEMORY)


_LIBRARIES: Mapping[str, Callable[[], _Decompressor]] = {
    "gzip": _Gzip,
    "xz": _xz,
    "lzma": _xz,
    "bzip2": bz2.BZ2Decompressor,
}


def _by_library(name: str, packed: Iterable[bytes], has_tail: bool) -> Pieces:
    source, decompressor, data = iter(packed), _LIBRARIES[name](), b""
    while True:
        if decompressor.eof:
            data = decompressor.unused_data
            while len(data) < len(MAGIC[name]) and (more := next(source, b"")):
                data += more
            # Several packed files in a row unpack to one.
            if has_tail or not data.startswith(MAGIC[name]):
                return
            decompressor = _LIBRARIES[name]()
        elif decompressor.needs_input:
            data = next(source, b"")
            if not data:
                raise DamagedDataError("it ends in the middle")
        try:
            piece = decompressor.decompress(data, PIECE)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise DamagedDataError(str(error)) from error
        data = b""
        if piece:
            yield piece


def _by_program(name: str, packed: Iterable[bytes], has_tail: bool) -> Pieces:
    if shutil.which(name) is None:
        raise MissingProgramError(name)
    problems: list[Exception] = []
    with tempfile.TemporaryFile() as complaint:
        program = subprocess.Popen([name, "-dc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaint)

        def feed() -> None:
            assert program.stdin is not None
            try:
                # The program itself says why it ended.
                with contextlib.suppress(BrokenPipeError), program.stdin as pipe:
                    for piece in packed:
                        pipe.write(piece)
            except Exception as error:
                problems.append(error)

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        any_output = False
        try:
            assert program.stdout is not None
            while piece := program.stdout.read(PIECE):
                any_output = True
                yield piece
            status = program.wait()
        finally:
            program.kill()
            program.wait()
            assert program.stdout is not None
            program.stdout.close()
            feeder.join()
        if problems:
            raise problems[0]
        # If it does not know what follows the packed data, it says so in its status.
        if status and not (has_tail and any_output):
            complaint.seek(0)
            said = complaint.read(4096).decode(errors="replace").strip().splitlines()
            raise DamagedDataError(said[0] if said else f"{name} ended with status {status}")
