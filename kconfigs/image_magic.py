# SPDX-License-Identifier: GPL-2.0-or-later
"""The architectures of images other than x86's, by their magic numbers."""

from __future__ import annotations

import struct

from kconfigs import s390_image, zimage
from kconfigs.efi_program import read_program

_ELF_MACHINES = {3: "i386", 62: "x86_64", 183: "aarch64", 243: "riscv64", 40: "arm", 21: "ppc64", 22: "s390x"}
_BOOTABLE_ELF = {b"\2\1\x15\0": "ppc64le"}
"""By class, byte order and machine."""


def elf_machine(head: bytes) -> str:
    """The architecture of an ELF file that begins with these bytes, for messages."""
    machine = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0] if len(head) > 20 else 0
    return _ELF_MACHINES.get(machine, "an unknown architecture")


def bootable_elf(head: bytes) -> str:
    """The architecture of an ELF file if QEMU boots those of its kernels as they are; otherwise empty."""
    return _BOOTABLE_ELF.get(head[4:6] + head[18:20], "") if head[:4] == b"\x7fELF" else ""


def other_arch(head: bytes) -> str | None:
    """The architecture of an image that begins with these bytes; None if this is no image of any."""
    if head[56:60] == b"ARM\x64":
        return "aarch64"
    if head[56:60] == b"RSC\x05":
        return "riscv64"
    if zimage.is_zimage(head):
        return "arm"
    if s390_image.is_image(head):
        return "s390x"
    # EFI_ZBOOT (drivers/firmware/efi/libstub/zboot-header.S), which x86 does not have.
    if head[4:8] == b"zimg" and (program := read_program(head)) is not None:
        return program.machine
    return None
