# SPDX-License-Identifier: GPL-2.0-or-later
"""ELF files of 32 and of 64 bits, as tests read and write them (include/uapi/linux/elf.h)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_CLASS_64, _AT_CLASS = 2, 4
_HEADERS = {4: struct.Struct("<16sHHIIIIIHHHHHH"), 8: struct.Struct("<16sHHIQQQIHHHHHH")}
_PROGRAM_HEADERS = {4: struct.Struct("<IIIIIIII"), 8: struct.Struct("<IIQQQQQQ")}
"""By the size of a word."""
_ET_EXEC = 2


@dataclass(frozen=True)
class ProgramHeader:
    """A part of a program: where it is in the file and in memory."""

    kind: int
    flags: int
    offset: int
    address: int
    size: int
    alignment: int


def word_of(file: bytes) -> int:
    """The size of a word in an ELF file."""
    return 8 if file[_AT_CLASS] == _CLASS_64 else 4


def head_size(word: int, segments: int) -> int:
    """Bytes of the header and the program headers."""
    return _HEADERS[word].size + segments * _PROGRAM_HEADERS[word].size


def head(like: bytes, entry: int, segments: list[ProgramHeader]) -> bytes:
    """The header of a program for the machine of another one, and its program headers."""
    word = word_of(like)
    ident, _, machine, _, _, _, _, flags, *_ = _HEADERS[word].unpack_from(like)
    sizes = (_HEADERS[word].size, _PROGRAM_HEADERS[word].size, len(segments), 0, 0, 0)
    header = _HEADERS[word].pack(ident, _ET_EXEC, machine, 1, entry, _HEADERS[word].size, 0, flags, *sizes)
    return header + b"".join(_packed(word, segment) for segment in segments)


def _packed(word: int, one: ProgramHeader) -> bytes:
    where = (one.offset, one.address, 0, one.size, one.size)
    fields = (one.flags, *where) if word == 8 else (*where, one.flags)
    return _PROGRAM_HEADERS[word].pack(one.kind, *fields, one.alignment)


def program_headers(file: bytes) -> list[ProgramHeader]:
    """Those of an ELF file."""
    word = word_of(file)
    header = _HEADERS[word].unpack_from(file)
    start, size, count = header[5], header[9], header[10]
    found = []
    for number in range(count):
        kind, *fields, alignment = _PROGRAM_HEADERS[word].unpack_from(file, start + number * size)
        flags = fields.pop(0 if word == 8 else -1)
        offset, address, _, length, _ = fields
        found.append(ProgramHeader(kind, flags, offset, address, length, alignment))
    return found
