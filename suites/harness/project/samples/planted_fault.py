# SPDX-License-Identifier: GPL-2.0-or-later
"""A pytest plugin (`-p suites.harness.project.samples.planted_fault`): kernels with a fault, without building one.

KCONFORM_FAULT=FUNCTION:VALUE makes a function of the kernel return a value at once, in all guests.  The machine code
is written into the memory of each clone before it runs, as in suites/harness/guests/planted_code.py.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from guests.guest import Guest
from suites.harness.guests import planted_code

FAULT = os.environ.get("KCONFORM_FAULT", "")
LOADED_AT = 0x1000000
"""The physical address of _text in a kernel that is built here (CONFIG_PHYSICAL_START, without KASLR)."""
_resume = Guest.resume


@cache
def _address(symbols: Path, function: str) -> int:
    """The offset of the function from the beginning of the kernel's code."""
    found = {name: int(address, 16) for address, _, name in map(str.split, symbols.read_text().splitlines())}
    return found[function] - found["_text"]


def _planted_resume(guest: Guest) -> None:
    guest.wait_until_loaded()
    function, _, value = FAULT.partition(":")
    symbols = guest.kernel.image.parent / "System.map"
    place = planted_code.memory_of(guest) + LOADED_AT + _address(symbols, function)
    code = b"\x48\xc7\xc0" + int(value or "0").to_bytes(4, "little", signed=True) + b"\xc3"  # mov $value, %rax; ret
    with Path(f"/proc/{guest.pid}/mem").open("r+b", buffering=0) as memory:
        os.pwrite(memory.fileno(), code, place)
    _resume(guest)


if FAULT:
    setattr(Guest, "resume", _planted_resume)  # noqa: B010 - mypy takes a function for one without self
