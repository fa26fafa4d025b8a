# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads of one process that have different ids, as those of a server that serves several users."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.uapi import Cap
from suites.ptrace.support.ways import OBSERVER, few, not_closed, not_open, observer

pytestmark = pytest.mark.needs("CROSS_MEMORY_ATTACH")

OTHER = 1001


@pytest.mark.requirement("ptrace.ids-of-the-thread")
def test_ids_of_the_target(guest: Guest) -> None:
    """Each thread is open to the user whose ids it has, and closed to the user whose ids another thread has."""
    leader = guest.spawn("target", caps=Cap.SETUID | Cap.SETGID)
    thread = leader.thread("thread")
    for call in ("setresgid", "setresuid"):
        thread.call(call, OTHER, OTHER, OTHER).result()
    for task in (leader, thread):
        task.set_caps(Cap.NONE).result()
    thread.set_dumpable(True).result()
    own, other = observer(guest), guest.spawn("other", uid=OTHER, caps=OBSERVER & ~Cap.SYS_ADMIN)
    ways = [way for way in few(guest) if way.name != "pidfd_getfd"]  # which is about the process
    assert not_open(own, leader, ways) == []
    assert not_closed(own, thread, ways) == []
    assert not_open(other, thread, ways) == []
    assert not_closed(other, leader, ways) == []
