# SPDX-License-Identifier: GPL-2.0-or-later
"""The compressed kernel inside a zImage of 32-bit Arm, whose header says where it ends, and not where it begins.

arch/arm/boot/compressed/head.S, vmlinux.lds.S.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import BinaryIO

from kconfigs import input_limits
from kconfigs.decompression import MAGIC, DamagedDataError, MissingProgramError, format_of, pieces_of, unpacked

_MAGIC, _AT_MAGIC = b"\x18\x28\x6f\x01", 0x24
_TABLE_MARK, _AT_TABLE_MARK, _AT_TABLE = b"\x45" * 4, 0x34, 0x38
_SIZE_TAG = b"KLSZ"
_CODE = 1 << 18
"""More bytes than there are before it: the code that unpacks it."""


def appended(packing: str | None) -> int:
    """The bytes of the unpacked size that Kbuild appends to a packed kernel (size_append in scripts/Makefile.lib).

    A file of gzip ends with it anyway: it is a part of the format.
    """
    return 0 if packing == "gzip" else 4


def is_zimage(head: bytes) -> bool:
    """Whether a file with these first bytes is one."""
    return head[_AT_MAGIC : _AT_MAGIC + 4] == _MAGIC


def payload(file: BinaryIO, size: int) -> tuple[int, int]:
    """The first byte of the compressed kernel, and the one after its last; the whole file if there is none."""
    file.seek(0)
    code = file.read(_CODE)
    at_size = _at_size(code)
    for start in _candidates(code):
        packing = format_of(code[start : start + 16])
        end = min(at_size + 4 - appended(packing), size) if at_size else size
        with contextlib.closing(
            unpacked(packing, pieces_of(file, start, end - start), input_limits.UNPACKED_IMAGE, has_tail=True)
        ) as pieces:
            # The code has the same magic numbers, to recognise them.
            try:
                if next(pieces, b""):
                    return start, end
            except MissingProgramError:
                return start, end
            except DamagedDataError:
                continue
    return 0, size


def _at_size(code: bytes) -> int:
    """Where the kernel's unpacked size is, in the 4 bytes with which the compressed one ends; 0 if it is unknown.

    Linux says so since 4.15.
    """
    if code[_AT_TABLE_MARK : _AT_TABLE_MARK + 4] != _TABLE_MARK:
        return 0
    (table,) = struct.unpack_from("<I", code, _AT_TABLE)
    if code[table + 4 : table + 8] != _SIZE_TAG or len(code) < table + 12:
        return 0
    return int(struct.unpack_from("<I", code, table + 8)[0])


def _candidates(code: bytes) -> Iterator[int]:
    """Where a magic number of a compression is, in order."""
    found = set()
    for magic in MAGIC.values():
        at = code.find(magic)
        while at >= 0:
            found.add(at)
            at = code.find(magic, at + 1)
    yield from sorted(found)
