# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the symbols of a guest's kernel are, and by how much the kernel was moved (KASLR).

All clones of a template are the same machine, so a fresh one is asked: the guest itself may be dead.
"""

from __future__ import annotations

import contextlib
import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guests.abi import Abi, size_of
from guests.abis import NATIVE
from guests.errors import GuestBroke, KconformError
from guests.guest import Guest
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel

_NOTE = "III4s"
_BUILD_ID = 3
"""NT_GNU_BUILD_ID in elf(5)."""
_TEXT = re.compile(r"^([0-9a-f]+) T (?:_text|_stext)$", re.MULTILINE)
_LINKED_AT = {"x86_64": 0xFFFFFFFF81000000}
"""Where a kernel's text is linked to be: __START_KERNEL in arch/x86/include/asm/page_types.h, with the default of
CONFIG_PHYSICAL_START."""
_VMCOREINFO = "/sys/kernel/vmcoreinfo"
_MOST_VMCOREINFO = 1 << 16
"""Bytes; it has a page."""
_PARENTS = 4
"""How far above an image its vmlinux may be: it is four directories above arch/x86/boot/bzImage."""


@dataclass(frozen=True)
class Symbols:
    """What a debugger needs to know of a kernel."""

    vmlinux: Path | None
    """The file with its symbols, if there is one on this machine."""
    offset: int | None
    """What is added to the addresses of its symbols; None if that could not be found out."""
    vmcoreinfo: bytes = b""
    """What the kernel says of itself for readers of dumps; empty if it was built without that."""

    @property
    def missing(self) -> str:
        """What to do if there are no symbols; empty if there are."""
        if self.vmlinux is not None:
            return ""
        return (
            "there is no vmlinux of this kernel here: install its debug package (linux-image-...-dbg), or build the"
            " kernel from a tree"
        )


def symbols_of(guest: Guest, cache: Cache) -> Symbols:
    """The symbols of the guest's kernel.  Raises nothing: what cannot be found out is missing."""
    build_id, text, info = b"", None, b""
    abi = NATIVE[guest.kernel.arch]
    # A broken kernel may say anything, in any form.
    with (
        contextlib.suppress(KconformError, GuestBroke, OSError, ValueError, struct.error),
        _sibling(guest) as sibling,
    ):
        build_id = build_id_in(sibling.read_bytes("/sys/kernel/notes"), abi)
        text = _loaded_at(sibling)
        info = _vmcoreinfo(sibling, abi)
    vmlinux = next(
        (path for path in _candidates(guest.kernel, cache) if build_id and _contains(path, build_id)), None
    )
    linked = _linked_at(guest.kernel, vmlinux)
    return Symbols(vmlinux, text - linked if text and linked else None, info)


@contextlib.contextmanager
def _sibling(guest: Guest) -> Iterator[Guest]:
    sibling = Guest(guest.kernel, guest.template)
    with contextlib.closing(sibling):
        sibling.resume()
        yield sibling


def build_id_in(notes: bytes, abi: Abi) -> bytes:
    """The build id in ELF notes of a kernel with this ABI, with the header of its note; empty if there is none."""
    offset = 0
    while offset + size_of(_NOTE) <= len(notes):
        name_size, size, kind, name = abi.unpack_from(_NOTE, notes, offset)
        start = offset + 12 + (name_size + 3) // 4 * 4
        if kind == _BUILD_ID and name == b"GNU\0":
            return notes[offset : start + size]
        offset = start + (size + 3) // 4 * 4
    return b""


def _loaded_at(guest: Guest) -> int | None:
    """The address of the kernel's text, which is near the beginning of the list of symbols."""
    if guest.exists("/proc/sys/kernel/kptr_restrict"):
        guest.set_sysctl("kernel.kptr_restrict", 0)
    listed = guest.read_bytes("/proc/kallsyms", beginning=True).decode(errors="replace")
    found = _TEXT.search(listed)
    return int(found[1], 16) or None if found else None


def _vmcoreinfo(guest: Guest, abi: Abi) -> bytes:
    """The content of the note whose place in memory /sys/kernel/vmcoreinfo tells (kernel/vmcore_info.c)."""
    if not guest.exists(_VMCOREINFO):
        return b""
    address, size = (int(word, 16) for word in guest.read_file(_VMCOREINFO).split())
    note = guest.physical_memory(address, min(size, _MOST_VMCOREINFO))
    _, length, _, _ = abi.unpack_from(_NOTE, note)
    start = 12 + len(b"VMCOREINFO\0\0")
    return note[start : start + length]


def _linked_at(kernel: Kernel, vmlinux: Path | None) -> int | None:
    """The same address in the files of the kernel."""
    for folder in filter(None, (vmlinux and vmlinux.parent, kernel.image.parent)):
        with contextlib.suppress(OSError):
            if found := _TEXT.search((folder / "System.map").read_text(encoding="utf-8", errors="replace")):
                return int(found[1], 16)
    return _LINKED_AT.get(kernel.arch)


def _candidates(kernel: Kernel, cache: Cache) -> Iterator[Path]:
    """Files that may have the symbols: beside the image, in object directories, and in debug packages."""
    for folder in list(kernel.image.parents)[: _PARENTS + 1]:
        yield folder / "vmlinux"
    if (tree := Path(kernel.spec)).is_dir():
        yield tree / "vmlinux"
    yield from sorted(cache.root.glob("objects/*/objects/vmlinux"))
    debug = Path("/usr/lib/debug")
    yield debug / "boot" / f"vmlinux-{kernel.release}"
    yield debug / "lib/modules" / kernel.release / "vmlinux"


def _contains(path: Path, note: bytes) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(note) >= 0
    except (OSError, ValueError):
        return False
