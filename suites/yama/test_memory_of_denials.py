# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing remains in memory of an access that was denied: neither the names in the log line nor the two tasks.

Yama logs a denial once the refused call is over (task_work_add()), and until then holds references on both tasks.
Each test refuses more than the log shows: what is suppressed there takes memory just the same.
"""

from __future__ import annotations

import pytest

from guests.call_plan import Plan, run, spare_slot
from guests.guest import Guest
from guests.task import Task
from guests.uapi import WALL, Ptrace
from suites.slab_growth import CHILDREN, SIZE_IS_EXACT, TASK_SIZE, check_stops_growing
from suites.yama.support.accesses import SCOPE

pytestmark = [
    pytest.mark.needs("SECURITY_YAMA", "SYSCTL"),
    SIZE_IS_EXACT,
    pytest.mark.requirement("yama.no-leak-denied"),
]

NAME_SIZE = 1000
"""Bytes of a command line."""
DENIALS, INFO_SIZE = 4096, 32
"""Denials in a period, and less than struct access_report_info has, the smallest that each of them allocates."""


def with_long_name(guest: Guest, name: str) -> Task:
    """A task with a command line of more than 1,000 bytes."""
    task = guest.spawn(name)
    task.execute_again("x" * NAME_SIZE).result()
    return task


@pytest.mark.parametrize("side", ["tracer", "target"])
def test_log_line(guest: Guest, side: str) -> None:
    """Many denials leave neither a copy of a command line nor the structure that has the line wait."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = (
        with_long_name(guest, name) if name == side else guest.spawn(name) for name in ("tracer", "target")
    )
    plan = Plan(tracer.slot)
    plan.call("ptrace", Ptrace.ATTACH, target.tid, 0, 0)

    def attempt() -> None:
        assert run(tracer, plan, DENIALS) == [{"EPERM": DENIALS}]

    check_stops_growing(guest, attempt, DENIALS * INFO_SIZE)


@pytest.mark.parametrize("side", ["tracer", "target"])
def test_tasks(guest: Guest, side: str) -> None:
    """Many tasks that were refused, or that another was refused to trace, are freed after their exit."""
    guest.set_sysctl(SCOPE, 2)
    parent, stranger = guest.spawn("parent"), guest.spawn("stranger")
    plan, child = Plan(parent.slot), Plan(spare_slot(0))
    if side == "tracer":
        child.call("ptrace", Ptrace.ATTACH, stranger.tid, 0, 0)
    else:
        child.call("ptrace", Ptrace.TRACEME, 0, 0, 0)
    plan.call("wait4", plan.child(child), 0, WALL, 0)

    def attempt() -> None:
        child.send(guest, 1)
        assert run(parent, plan, CHILDREN) == [{"OK": CHILDREN}] * 2
        assert child.counts(guest) == [{"EPERM": CHILDREN}]

    check_stops_growing(guest, attempt, CHILDREN * TASK_SIZE)
