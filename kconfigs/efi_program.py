# SPDX-License-Identifier: GPL-2.0-or-later
"""EFI programs: their machine, and where their sections are.

They have the format PE32+ ("PE Format" in Microsoft's documentation).  A kernel with EFI_STUB is such a program, and
so is a unified kernel image, which has a kernel in its section .linux (the UAPI Group's specification of that name).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

_MACHINES = {0x8664: "x86_64", 0x014C: "i386", 0xAA64: "aarch64", 0x5064: "riscv64", 0x01C2: "arm"}
_COFF = struct.Struct("<4sHH12xH2x")
_SECTION = struct.Struct("<8sIIII16x")


@dataclass(frozen=True)
class EfiSection:
    """Where the content of a section is in the file."""

    start: int
    size: int


@dataclass(frozen=True)
class EfiProgram:
    """What the headers of a program say."""

    machine: str
    """`uname -m`, or `an unknown architecture`."""
    sections: Mapping[str, EfiSection]
    """Of several with one name, the first."""


def read_program(head: bytes) -> EfiProgram | None:
    """The program that a file begins with; None if it is none.  Sections with headers beyond `head` are left out."""
    if head[:2] != b"MZ" or len(head) < 0x40:
        return None
    (where,) = struct.unpack_from("<I", head, 0x3C)
    if len(head) < where + _COFF.size:
        return None
    signature, machine, count, optional_size = _COFF.unpack_from(head, where)
    if signature != b"PE\0\0":
        return None
    sections: dict[str, EfiSection] = {}
    table = where + _COFF.size + optional_size
    for place in range(table, min(table + count * _SECTION.size, len(head) - _SECTION.size + 1), _SECTION.size):
        raw, size, _, stored, start = _SECTION.unpack_from(head, place)
        # The stored size is rounded up; in memory, a section may be longer than what is stored of it.
        sections.setdefault(raw.rstrip(b"\0").decode("latin-1"), EfiSection(start, min(size, stored) or stored))
    return EfiProgram(_MACHINES.get(machine, "an unknown architecture"), sections)


def read_section(file: BinaryIO, section: EfiSection, limit: int) -> bytes:
    """The first bytes of a section, at most `limit`; fewer if the file ends before."""
    file.seek(section.start)
    return file.read(min(limit, section.size))


def is_whole(file: BinaryIO, section: EfiSection) -> bool:
    return section.start + section.size <= os.fstat(file.fileno()).st_size
