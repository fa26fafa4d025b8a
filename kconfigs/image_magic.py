# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel images of other architectures than x86, by their magic numbers."""

from __future__ import annotations

from kconfigs import zimage
from kconfigs.efi_program import read_program


def other_arch(head: bytes) -> str | None:
    """The architecture of an image that begins with these bytes; None if it is not one of these images."""
    if head[56:60] == b"ARM\x64":
        return "aarch64"
    if head[56:60] == b"RSC\x05":
        return "riscv64"
    if zimage.is_zimage(head):
        return "arm"
    # EP_OFFSET and EP_STRING in arch/s390/boot/head.S
    if head[0x10008:0x1000E] == b"S390EP":
        return "s390x"
    # EFI_ZBOOT (drivers/firmware/efi/libstub/zboot-header.S), which x86 does not have.
    if head[4:8] == b"zimg" and (program := read_program(head)) is not None:
        return program.machine
    return None
