# SPDX-License-Identifier: GPL-2.0-or-later
"""kcmp(): what two processes share, and what only looks alike."""

from __future__ import annotations

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import EBADF, Expected, returned
from guests.task import Task
from guests.uapi import KCMP_FILE, KCMP_VM, Clone
from suites.process_accesses import COMMON_DESCRIPTOR

pytestmark = pytest.mark.needs("KCMP")

KCMP_FILES, KCMP_FS, KCMP_SIGHAND = 2, 3, 4
KINDS = (KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND)
SHARED = Clone.VM | Clone.FILES | Clone.FS | Clone.SIGHAND
NOT_OPEN = 999
"""A number that no descriptor has."""
SAME, DIFFERENT = returned(0), Expected("less or greater", low=1, high=2)


@pytest.mark.requirement("ptrace.kcmp-of-two")
def test_files_of_two_processes(guest: Guest) -> None:
    """Two processes that have opened a file each, under the same number, do not share it, unlike an inherited one."""
    one, other = guest.spawn("one"), guest.spawn("other")

    def compared(first: Task, second: Task, *numbers: int) -> object:
        return one.call(
            "kcmp", first.tid, second.tid, KCMP_FILE, *numbers, shown=f"kcmp({first}, {second}, {numbers})"
        )

    own, others = (task.open("/dev/null").result() for task in (one, other))
    require(own == others, "the two descriptors have different numbers")
    assert compared(one, other, COMMON_DESCRIPTOR, COMMON_DESCRIPTOR) == SAME
    for first, second in ((one, other), (other, one)):
        assert compared(first, second, own, own) == DIFFERENT
    further = other.open("/dev/null").result()
    assert compared(one, other, COMMON_DESCRIPTOR, further) == DIFFERENT
    assert compared(one, other, further, COMMON_DESCRIPTOR) == EBADF
    assert compared(other, one, further, COMMON_DESCRIPTOR) == DIFFERENT
    assert compared(one, other, COMMON_DESCRIPTOR, NOT_OPEN) == EBADF


@pytest.mark.requirement("ptrace.kcmp-of-two")
def test_what_processes_share(guest: Guest) -> None:
    """A process that shares memory, descriptors, directory and handlers has the same of each, and a child its own."""
    one = guest.spawn("one")
    sharer, child = one.spawn("sharer", flags=SHARED), one.spawn("child")
    watcher = guest.spawn("watcher")
    for kind in KINDS:
        assert watcher.kcmp(one, sharer, kind) == SAME
        assert watcher.kcmp(one, child, kind) == DIFFERENT
        assert watcher.kcmp(child, sharer, kind) == DIFFERENT
