# SPDX-License-Identifier: GPL-2.0-or-later
"""When there is no memory, a declaration changes nothing, and a denial stays a denial."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import ENOMEM, EPERM, OK
from guests.task import Task
from suites.failing_allocations import MARKS, FailingAllocations
from suites.process_accesses import read_memory
from suites.yama.support.accesses import SCOPE

pytestmark = [pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "CROSS_MEMORY_ATTACH"), *MARKS]


@pytest.mark.requirement("yama.no-memory")
def test_declaration(guest: Guest) -> None:
    """The exception declared before remains if the one that is to replace it finds no memory."""
    guest.set_sysctl(SCOPE, 1)
    before, after = guest.spawn("before"), guest.spawn("after")

    def target() -> Task:
        task = guest.spawn("target")
        task.set_ptracer(before).result()
        return task

    outcomes = []
    for task, done in FailingAllocations(guest).one_after_another(target, lambda task: task.set_ptracer(after)):
        outcomes.append(done)
        failed = done != OK
        assert read_memory(before, task) == (OK if failed else EPERM)
        assert read_memory(after, task) == (EPERM if failed else OK)
    assert outcomes[-1] == OK
    assert outcomes[0] == ENOMEM


@pytest.mark.requirement("yama.no-memory")
def test_denial(guest: Guest) -> None:
    """An access is denied even if there is no memory to log that; the control is one that is allowed."""
    guest.set_sysctl(SCOPE, 1)
    target, shell = guest.spawn("target"), guest.spawn("shell")
    failing = FailingAllocations(guest)
    attempts = failing.one_after_another(lambda: guest.spawn("tracer"), lambda tracer: tracer.attach(target))
    denied = [done for _, done in attempts]
    assert [done for done in denied if done != EPERM] == []
    child = shell.spawn("child")
    assert shell.attach_and_wait(child) == OK
