# SPDX-License-Identifier: GPL-2.0-or-later
"""Leaks: of small structures in the total of the kernel's unreclaimable slab memory, of large ones in vmalloc()'s.

Whole pages appear in no slab total; they are measured as missing from MemFree.

/proc/meminfo counts all structures together, so what may leak is repeated until even the smallest leak would show.
Allocators keep freed memory back, more and more for a while: 7.3 grows by 300 KiB in 100,000 refused installations of
filters, and then no more.  A leak does not stop, so a period without growth proves that there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from guests.errors import require
from guests.guest import Guest

SIZE_IS_EXACT = pytest.mark.lacks("KASAN", "SMP")
"""KASAN keeps freed memory back, and each of several processors keeps some."""

PERIODS = 12
TASK_SIZE, CHILDREN = 2048, 128
"""Less than a task_struct has on any architecture, and how many tasks exit in a period, where these may leak."""


def kib(guest: Guest, total: str) -> int:
    """KiB of the kernel's memory, by the name of a total in /proc/meminfo."""
    found = re.search(rf"^{total}: *(\d+) kB$", guest.read_file("/proc/meminfo"), re.MULTILINE)
    require(found is not None, f"/proc/meminfo does not show {total}")
    return int(found[1]) if found else 0


def used_kib(guest: Guest, total: str) -> int:
    """The same, but for the memory that is free, how much is not."""
    return kib(guest, "MemTotal") - kib(guest, total) if total == "MemFree" else kib(guest, total)


def check_stops_growing(
    guest: Guest, repeat: Callable[[], None], leak_bytes: int, *, total: str = "SUnreclaim", at_a_time: int = 1
) -> None:
    """Fail if the kernel's memory grows in each of 12 periods.

    `repeat` does what may leak, as often as a period has it; `leak_bytes` is the least that a period would leak.
    `total`: of structures that can only be freed, and not reclaimed, "VmallocUsed", or "MemFree".
    `at_a_time`: of so many sizes, one after each period, the smallest counts.  It is more than 1 if a period leaves
    memory that the next one frees.
    """
    sizes: list[int] = [used_kib(guest, total)] if at_a_time == 1 else []
    for _ in range(PERIODS // at_a_time):
        some = []
        for _ in range(at_a_time):
            repeat()
            some.append(used_kib(guest, total))
        sizes.append(min(some))
        if len(sizes) > 1 and sizes[-1] - sizes[-2] < at_a_time * leak_bytes // 2 // 1024:
            return
    pytest.fail(f"the kernel's memory did not stop growing: {sizes} KiB")
