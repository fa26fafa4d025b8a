# SPDX-License-Identifier: GPL-2.0-or-later
"""ELF files of any architecture, as tests read and write them (include/uapi/linux/elf.h)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_AT_CLASS, _CLASS_64 = 4, 2
_AT_ORDER, _BIG_ENDIAN = 5, 2
_HEADERS = {4: "16sHHIIIIIHHHHHH", 8: "16sHHIQQQIHHHHHH"}
_PROGRAM_HEADERS = {4: "IIIIIIII", 8: "IIQQQQQQ"}
_SECTION_HEADERS = {4: "IIIIIIIIII", 8: "IIQQQQIIQQ"}
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


class ElfLayout:
    """The layout of headers in an ELF file: the size of words, and the order of bytes."""

    def __init__(self, file: bytes) -> None:
        """`file` begins like one that has the layout."""
        self._word = 8 if file[_AT_CLASS] == _CLASS_64 else 4
        order = ">" if file[_AT_ORDER] == _BIG_ENDIAN else "<"
        self._header = struct.Struct(order + _HEADERS[self._word])
        self._program_header = struct.Struct(order + _PROGRAM_HEADERS[self._word])
        self._section_header = struct.Struct(order + _SECTION_HEADERS[self._word])

    def head_size(self, segments: int) -> int:
        """Bytes of the header and the program headers."""
        return self._header.size + segments * self._program_header.size

    def head(self, like: bytes, entry: int, segments: list[ProgramHeader]) -> bytes:
        """The header of a program for the machine of another one, and its program headers."""
        ident, _, machine, _, _, _, _, flags, *_ = self._header.unpack_from(like)
        sizes = (self._header.size, self._program_header.size, len(segments), 0, 0, 0)
        header = self._header.pack(ident, _ET_EXEC, machine, 1, entry, self._header.size, 0, flags, *sizes)
        return header + b"".join(map(self._packed, segments))

    def _packed(self, one: ProgramHeader) -> bytes:
        where = (one.offset, one.address, 0, one.size, one.size)
        fields = (one.flags, *where) if self._word == 8 else (*where, one.flags)
        return self._program_header.pack(one.kind, *fields, one.alignment)

    def program_headers(self, file: bytes) -> list[ProgramHeader]:
        """Those of a file."""
        header = self._header.unpack_from(file)
        start, size, count = header[5], header[9], header[10]
        found = []
        for number in range(count):
            kind, *fields, alignment = self._program_header.unpack_from(file, start + number * size)
            flags = fields.pop(0 if self._word == 8 else -1)
            offset, address, _, length, _ = fields
            found.append(ProgramHeader(kind, flags, offset, address, length, alignment))
        return found

    def with_late_section_headers(self, file: bytes, at: int) -> bytes:
        """The file, with its section headers moved to the end, at this offset, and zeros before them."""
        header = list(self._header.unpack_from(file))
        start, size, count = header[6], header[11], header[12]
        header[6] = at
        content = file.ljust(at, b"\0") + file[start : start + size * count]
        return self._header.pack(*header) + content[self._header.size :]

    def without_section_names(self, file: bytes) -> bytes:
        """The file, whose table of the names of its sections is now empty, and begins where the file does."""
        header = self._header.unpack_from(file)
        start, names = header[6], header[-1]
        at = start + names * self._section_header.size
        fields = list(self._section_header.unpack_from(file, at))
        fields[4:6] = 0, 0  # sh_offset and sh_size
        content = bytearray(file)
        self._section_header.pack_into(content, at, *fields)
        return bytes(content)
