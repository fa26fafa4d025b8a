# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel inside a zImage of 32-bit Arm is found, although the header does not say where it begins."""

from __future__ import annotations

import gzip
import lzma
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from kconfigs.image import banner_release, embedded_config, inspect, stable_version

BANNER = b"Linux version 6.1.0-50-armmp (x@y) (gcc) # SMP Debian 6.1.176-1 (2026-07-02)\n\0"
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "xz": lzma.compress}


def zimage(kernel: bytes, *, code: bytes = b"", ends: bool = True) -> bytes:
    """A zImage: its header, the code that unpacks it, the table that says where the unpacked size is, and the packed
    kernel, which ends with that size.
    """
    if not kernel.startswith(b"\x1f\x8b"):  # gzip's format has it
        kernel += struct.pack("<I", 4711)
    table = 0x40 + len(code)
    start = table + 12
    end = start + len(kernel) - 4
    head = bytearray(0x40)
    struct.pack_into("<I", head, 0x24, 0x016F2818)
    if ends:
        struct.pack_into("<II", head, 0x34, 0x45454545, table)
    return bytes(head) + code + struct.pack("<I4sI", 6, b"KLSZ", end) + kernel


@pytest.mark.parametrize("ends", [True, False], ids=["says-where-it-ends", "does-not-say"])
@pytest.mark.parametrize("packed", PACKERS)
def test_the_kernel_is_found(tmp_path: Path, packed: str, ends: bool) -> None:
    """The code has the magic numbers of compressions, too, which are not the kernel."""
    path = tmp_path / "zImage"
    code = b"\xfd7zXZ\0 or \x1f\x8b or \x5d\0\0".ljust(300, b"x")
    path.write_bytes(zimage(PACKERS[packed](bytes(5000) + BANNER), code=code, ends=ends))
    image = inspect(path)
    assert (image.arch, banner_release(image), stable_version(image)) == ("arm", "6.1.0-50-armmp", (6, 1, 176))


@pytest.mark.parametrize("packed", PACKERS)
def test_a_kernel_without_a_configuration_is_whole(tmp_path: Path, packed: str) -> None:
    """It is unpacked to its end; what is cut off it would be damage."""
    (tmp_path / "zImage").write_bytes(zimage(PACKERS[packed](bytes(5000) + BANNER)))
    assert embedded_config(inspect(tmp_path / "zImage")) is None


@pytest.mark.parametrize(
    "content",
    [
        zimage(b"")[:0x28],
        zimage(b"\x1f\x8b damaged"),
        zimage(b"", code=b"KLSZ")[:0x3E],
        bytes(0x24) + struct.pack("<I", 0x016F2818) + bytes(12) + b"\x45" * 4 + b"\xff" * 4,
    ],
    ids=["cut-short", "damaged", "without-a-table", "a-table-beyond-its-end"],
)
def test_what_does_not_unpack_has_no_release(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "zImage").write_bytes(content)
    image = inspect(tmp_path / "zImage")
    assert (banner_release(image), stable_version(image)) == ("", ())
