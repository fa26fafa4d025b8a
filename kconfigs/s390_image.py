# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel images of s390x (arch/s390/boot/head.S), which begin at address 0."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

_MARK_AT, _MARK = 0x10008, b"S390EP"
"""EP_OFFSET and EP_STRING."""
BEGINNING = _MARK_AT + len(_MARK)
"""How many bytes tell whether a file is one."""
_KERNEL_VERSION = 0x10428
"""struct parmarea: the address of the version, big-endian."""
_LONGEST = 512


def is_image(head: bytes) -> bool:
    """Whether a file that begins like this is one."""
    return head[_MARK_AT:BEGINNING] == _MARK


def version_line(file: BinaryIO) -> bytes:
    """The release, who built it, and when, from the code that unpacks the kernel; empty if the image does not say."""
    file.seek(_KERNEL_VERSION)
    address = int.from_bytes(file.read(8), "big")
    if not BEGINNING <= address < os.fstat(file.fileno()).st_size:
        return b""
    file.seek(address)
    return re.split(rb"[\n\0]", file.read(_LONGEST))[0]
