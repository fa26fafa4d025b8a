# SPDX-License-Identifier: GPL-2.0-or-later
"""The mark of a process that has used a capability, if Yama is the one to ask for that.

What the tracer may do without Yama, here at scope 0, leaves no mark; suites/ptrace looks at what else does.
"""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import OK
from guests.uapi import Cap
from suites.process_accesses import read_memory, used_a_capability
from suites.yama.support.accesses import SCOPE

pytestmark = [
    pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "CROSS_MEMORY_ATTACH"),
    pytest.mark.requirement("yama.capability-leaves-trace"),
]


def test_scope_1(guest: Guest) -> None:
    """At scope 1, access to a stranger leaves the mark; access to a child or a declarer of the tracer does not."""
    shell, stranger = guest.spawn("shell", caps=Cap.SYS_PTRACE), guest.spawn("stranger")
    # A new process: the one that has set its own capabilities has used some for that.
    tracer = shell.spawn("tracer")
    child, declarer = tracer.spawn("child"), guest.spawn("declarer")
    declarer.set_ptracer(tracer).result()
    guest.set_sysctl(SCOPE, 0)
    assert read_memory(tracer, stranger) == OK
    guest.set_sysctl(SCOPE, 1)
    assert read_memory(tracer, child) == OK
    assert read_memory(tracer, declarer) == OK
    assert not used_a_capability(tracer)
    assert read_memory(tracer, stranger) == OK
    assert used_a_capability(tracer)


def test_scope_2(guest: Guest) -> None:
    """At scope 2, where nothing else allows an access, access to a child leaves the mark too."""
    tracer = guest.spawn("shell", caps=Cap.SYS_PTRACE).spawn("tracer")
    child = tracer.spawn("child")
    guest.set_sysctl(SCOPE, 0)
    assert read_memory(tracer, child) == OK
    assert not used_a_capability(tracer)
    guest.set_sysctl(SCOPE, 2)
    assert read_memory(tracer, child) == OK
    assert used_a_capability(tracer)
