# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of a kernel, for tests: machine code that replaces a system call in the memory of a running guest.

Kernels for use have no lkdtm, and these faults are as real.  QEMU's process maps the guest's memory, and the host can
write to it.  The call is modify_ldt(), which neither the agent nor a C library makes, so QEMU has not translated its
code before it is replaced.  For x86-64.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from guests.call_arguments import Out
from guests.errors import SetupFailed, require
from guests.guest import Guest
from guests.outcome import Outcome
from guests.syscalls.base import Pending
from guests.uapi import AT_FDCWD, O_RDONLY

REQUIRED_OPTIONS = ("KALLSYMS", "MODIFY_LDT_SYSCALL", "X86_64")

CALL = "modify_ldt"
PLACE = "__x64_sys_modify_ldt"
NEEDED = ("_text", PLACE, "__warn", "msleep")

_PIECE = 0x7000
"""Bytes to read at once."""

Symbols = Mapping[str, int]


def call_function(symbols: Symbols, name: str) -> bytes:
    """mov $address, %rax; call *%rax"""
    return b"\x48\xb8" + symbols[name].to_bytes(8, "little") + b"\xff\xd0"


def invalid_opcode(_: Symbols) -> bytes:
    """ud2, where the kernel has noted no WARN or BUG: an oops, which kills the task"""
    return b"\x0f\x0b"


def null_dereference(_: Symbols) -> bytes:
    """xor %eax, %eax; mov (%rax), %eax"""
    return b"\x31\xc0\x8b\x00"


def warning(symbols: Symbols) -> bytes:
    """__warn(file=NULL, line=0, caller=here, taint=TAINT_WARN, regs=NULL, args=NULL), and return 0"""
    arguments = b"\x31\xff\x31\xf6\x48\x8d\x15\x00\x00\x00\x00\xb9\x09\x00\x00\x00"
    arguments += b"\x45\x31\xc0\x45\x31\xc9"
    return arguments + call_function(symbols, "__warn") + b"\x31\xc0\xc3"


def double_fault(_: Symbols) -> bytes:
    """xor %rsp, %rsp; push %rax: a page fault whose handler has no stack either"""
    return b"\x48\x31\xe4\x50"


def endless_loop(_: Symbols) -> bytes:
    """jmp to itself"""
    return b"\xeb\xfe"


def endless_sleep(symbols: Symbols) -> bytes:
    """msleep(INT_MAX), which no signal interrupts"""
    return b"\xbf\xff\xff\xff\x7f" + call_function(symbols, "msleep")


def plant(guest: Guest, code: Callable[[Symbols], bytes]) -> None:
    """Replace the system call."""
    symbols, start = _layout(guest)
    place = start + symbols[PLACE] - symbols["_text"]
    address = memory_of(guest) + place
    with Path(f"/proc/{guest.pid}/mem").open("r+b", buffering=0) as memory:
        require(os.pwrite(memory.fileno(), code(symbols), address) > 0, "the guest's memory cannot be written to")


def begin(guest: Guest, code: Callable[[Symbols], bytes]) -> Pending:
    """Have a task of a guest execute this code in its kernel."""
    plant(guest, code)
    return guest.spawn("victim").begin(CALL, 0, None, 0)


def run(guest: Guest, code: Callable[[Symbols], bytes]) -> Outcome:
    """The same, and wait for the call."""
    return begin(guest, code).outcome()


def memory_of(guest: Guest) -> int:
    """The address at which the guest's QEMU maps its memory."""
    ram = str(guest.template.directory / "ram")
    for line in Path(f"/proc/{guest.pid}/maps").read_text().splitlines():
        if line.endswith(ram):
            return int(line.partition("-")[0], 16)
    raise SetupFailed(f"QEMU does not map {ram}")


def _layout(guest: Guest) -> tuple[Symbols, int]:
    """The addresses of functions, and the physical address of _text.  All clones of a template have the same."""
    if guest.template.key not in _known():
        found = re.search(r"([0-9a-f]+)-[0-9a-f]+ : Kernel code", guest.read_file("/proc/iomem"))
        require(found is not None, "/proc/iomem does not name the kernel's code")
        assert found
        _known()[guest.template.key] = _symbols(guest), int(found[1], 16)
    return _known()[guest.template.key]


@cache
def _known() -> dict[str, tuple[Symbols, int]]:
    return {}


def _symbols(guest: Guest) -> Symbols:
    """The symbols needed, from the beginning of /proc/kallsyms, which is sorted by address, and long."""
    reader = guest.root("reader")
    file = reader.call("openat", AT_FDCWD, "/proc/kallsyms", O_RDONLY, 0).result()
    symbols: dict[str, int] = {}
    rest = b""
    while set(symbols) != set(NEEDED):
        read = reader.call("read", file, Out(_PIECE), _PIECE)
        require(read.result() > 0, f"/proc/kallsyms lacks {', '.join(sorted(set(NEEDED) - set(symbols)))}")
        *lines, rest = (rest + read.read()[: read.result()]).split(b"\n")
        for line in lines:
            address, _, name = line.decode().split()[:3]
            if name in NEEDED:
                symbols[name] = int(address, 16)
    require(symbols["_text"] > 0, "/proc/kallsyms hides the addresses")
    return symbols
