# SPDX-License-Identifier: GPL-2.0-or-later
"""How many processors a kernel runs on, by its log: fewer than the machine has, if it does not find them all."""

from __future__ import annotations

import re

from guests.errors import BootError

_BROUGHT_UP = re.compile(r"Brought up \d{1,6} nodes?, (\d{1,6}) CPUs?")
"""kernel/smp.c: smp_init().  A kernel without SMP says nothing of the kind."""


def check_brought_up(log: str, asked: int, console: str) -> None:
    """BootError if the log tells of fewer processors than were asked for."""
    found = _BROUGHT_UP.search(log)
    if found and int(found[1]) < asked:
        raise BootError(
            f"the kernel runs on {found[1]} of {asked} processors",
            hint="does it have ACPI or X86_MPPARSE, by which it finds them, and is NR_CPUS as large as --cpus?",
            console=console,
        )
