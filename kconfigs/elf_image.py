# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels as ELF files (vmlinux), which QEMU boots if they have an entry point for PVH.

CONFIG_PVH adds that as a note of Xen's (XEN_ELFNOTE_PHYS32_ENTRY in include/xen/interface/elfnote.h).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_HEADER = struct.Struct("<4sBB12xH12xQ14xHH6x")
"""e_ident (magic, class, data), e_machine, e_phoff, e_phentsize, e_phnum."""
_SEGMENT = struct.Struct("<I4xQ8xQ8xQ8x")
"""p_type, p_offset, p_paddr, p_memsz."""
_NOTE = struct.Struct("<III")
_64_BIT, _LITTLE_ENDIAN, _X86_64 = 2, 1, 62
_LOAD, _NOTES = 1, 4
_PVH_ENTRY = 18
_NOTES_SIZE = 64 << 10
"""Bytes that are read of a segment with notes.  A kernel's has 512."""


def pvh_memory(file: BinaryIO) -> int:
    """The first address that the kernel in an ELF file leaves free in memory; 0 if QEMU cannot boot it.

    Only the headers are read, and the notes.
    """
    file.seek(0)
    head = file.read(0x10000)
    if len(head) < 64:
        return 0
    magic, bits, order, machine, segments, size, count = _HEADER.unpack_from(head)
    if (magic, bits, order, machine, size) != (b"\x7fELF", _64_BIT, _LITTLE_ENDIAN, _X86_64, _SEGMENT.size):
        return 0
    if segments + count * size > len(head):
        return 0
    end, has_entry = 0, False
    for place in range(segments, segments + count * size, size):
        kind, offset, address, length = _SEGMENT.unpack_from(head, place)
        if kind == _LOAD:
            end = max(end, address + length)
        elif kind == _NOTES and offset < 1 << 62:
            file.seek(offset)
            has_entry = has_entry or _has_pvh_entry(file.read(_NOTES_SIZE))
    return end if has_entry else 0


def _has_pvh_entry(notes: bytes) -> bool:
    place = 0
    while place + _NOTE.size <= len(notes):
        name_size, size, kind = _NOTE.unpack_from(notes, place)
        name = notes[place + _NOTE.size : place + _NOTE.size + name_size]
        if name == b"Xen\0" and kind == _PVH_ENTRY:
            return True
        place += _NOTE.size + -(-name_size // 4) * 4 + -(-size // 4) * 4
    return False
