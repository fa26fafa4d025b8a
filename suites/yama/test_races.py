# SPDX-License-Identifier: GPL-2.0-or-later
"""What must hold at every moment, not only in a settled state.

A SCHED_FIFO task runs until it blocks, so while tasks with that policy hand over to one another on one processor, no
worker of the kernel runs there in between: they see the state that the call itself has left.
"""

from __future__ import annotations

import pytest

from guests.call_plan import Plan, give_realtime_priority, run, share_a_processor, spare_slot, start, start_realtime
from guests.guest import Guest
from guests.outcome import EPERM, OK
from guests.uapi import PTRACER_ANY, WALL, Ptrace, Signal
from suites.process_accesses import read_memory
from suites.slab_growth import CHILDREN, SIZE_IS_EXACT, TASK_SIZE, check_stops_growing
from suites.yama.support.accesses import SCOPE
from suites.yama.support.denials import denials
from suites.yama.support.plan_steps import declare, read_by, revoke, wait_for, wake
from suites.yama.support.yama_walk import UNUSED_PID

pytestmark = pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "CROSS_MEMORY_ATTACH")

PRIORITY, HIGHER_PRIORITY = 10, 11
"""Priorities above the agent and every kernel worker."""
DECLARATIONS, RELATION_SIZE = 5000, 32
"""Pairs of declarations in a period, and less than struct ptrace_relation has."""


@pytest.mark.requirement("yama.revoke")
def test_revoked_at_once(guest: Guest) -> None:
    """Once PR_SET_PTRACER 0 returns, access is refused, although a worker removes the entry only later.

    The target revokes the exception and wakes the tracer, which has a higher priority: nothing runs in between.
    """
    guest.set_sysctl(SCOPE, 1)
    shell = guest.root("shell")
    to_tracer, to_target = shell.pipe(), shell.pipe()
    target, tracer = shell.spawn("target"), shell.spawn("tracer")
    for task in (target, tracer):
        task.call("setresuid", 1000, 1000, 1000).result()
        task.set_dumpable(True).result()
    assert target.set_ptracer(tracer) == OK
    assert read_memory(tracer, target) == OK
    share_a_processor(target, tracer)
    rounds = 20
    revoking, reading = Plan(target.slot), Plan(tracer.slot)
    declare(revoking, tracer)
    revoke(revoking)
    wake(revoking, to_tracer)
    wait_for(revoking, to_target)
    wait_for(reading, to_tracer)
    read_by(reading, tracer, target)
    wake(reading, to_target)
    waiting = start_realtime(tracer, reading, rounds, HIGHER_PRIORITY)
    assert start_realtime(target, revoking, rounds, PRIORITY).counts() == [{"OK": rounds}] * 4
    assert waiting.counts() == [{"OK": rounds}, {"EPERM": rounds}, {"OK": rounds}]


@pytest.mark.needs("PRINTK")
@pytest.mark.requirement("yama.gone")
def test_target_that_is_gone_when_it_is_checked(guest: Guest) -> None:
    """An ancestor's PTRACE_SEIZE waits for the target's execve(), and goes on when the target has been reaped.

    ancestor ── parent ── target         calls execve(), which waits until the sibling is reaped
                            └ (sibling)  is traced by the parent

    The parent kills the target and reaps both.  The ancestor, whose priority is lower, runs only after that.
    """
    guest.set_sysctl(SCOPE, 1)
    ancestor = guest.spawn("ancestor")
    parent = ancestor.spawn("parent")
    target = parent.spawn("target")
    sibling = target.thread("sibling")
    share_a_processor(ancestor, parent, target, sibling)
    parent.seize(sibling).result()
    executing = target.begin_execute(guest.program)
    sibling.wait_state("Z")
    executing.wait_until_blocked()
    attaching = ancestor.begin("ptrace", Ptrace.SEIZE, target.tid, 0, 0, shown=f"seize({target})")
    assert attaching.blocks(), attaching
    give_realtime_priority(target, PRIORITY)
    ending = Plan(parent.slot)
    ending.call("kill", target.pid, Signal.KILL)
    for task in (sibling, target):
        ending.call("wait4", task.tid, 0, WALL, 0)
    assert start_realtime(parent, ending, priority=HIGHER_PRIORITY).counts() == [{"OK": 1}] * 3
    assert attaching.outcome() == EPERM
    # ptrace() itself would have refused that, too, and logged nothing.  A process without memory has no command line.
    assert denials(guest) == [f'ptrace attach of ""[{target.pid}] was attempted by "ancestor"[{ancestor.pid}]']


@pytest.mark.requirement("yama.replace")
def test_never_without_an_exception(guest: Guest) -> None:
    """While declarations replace one another, a tracer that all of them admit is never refused."""
    guest.set_sysctl(SCOPE, 1)
    target, tracer = guest.spawn("target"), guest.spawn("tracer")
    rounds = 2000
    declaring = Plan(target.slot)
    declare(declaring, tracer)
    declare(declaring, PTRACER_ANY)
    declaring.call("sched_yield")
    reading = Plan(tracer.slot)
    read_by(reading, tracer, target)
    reading.call("sched_yield")
    assert target.set_ptracer(tracer) == OK
    one, other = start(target, declaring, rounds), start(tracer, reading, rounds)
    assert one.counts() == [{"OK": rounds}] * 3
    assert other.counts() == [{"OK": rounds}] * 2


@pytest.mark.lacks("KASAN")  # it keeps freed memory back
@pytest.mark.requirement("yama.no-leak")
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((PTRACER_ANY, 0), id="declared-and-revoked"),
        pytest.param((PTRACER_ANY, 1), id="declared-and-replaced"),
    ],
)
def test_memory_is_freed(guest: Guest, arguments: tuple[int, int]) -> None:
    """Thousands of declarations keep memory only for the last."""
    guest.set_sysctl(SCOPE, 1)
    target = guest.spawn("target")
    plan = Plan(target.slot)
    for argument in arguments:
        declare(plan, argument)

    def declare_often() -> None:
        assert run(target, plan, DECLARATIONS) == [{"OK": DECLARATIONS}] * 2

    check_stops_growing(guest, declare_often, DECLARATIONS * RELATION_SIZE)


@SIZE_IS_EXACT
@pytest.mark.requirement("yama.no-leak")
@pytest.mark.parametrize(
    ("argument", "wanted"),
    [
        pytest.param(UNUSED_PID, "EINVAL", id="an-unused-number"),
        pytest.param(PTRACER_ANY, "OK", id="any"),
        pytest.param(0, "OK", id="zero"),
    ],
)
def test_tasks_are_freed(guest: Guest, argument: int, wanted: str) -> None:
    """Many tasks that have declared a tracer, or could not, are freed after their exit."""
    guest.set_sysctl(SCOPE, 1)
    parent = guest.spawn("parent")
    plan, child = Plan(parent.slot), Plan(spare_slot(0))
    declare(child, argument)
    plan.call("wait4", plan.child(child), 0, WALL, 0)

    def declare_and_exit() -> None:
        child.send(guest, 1)
        assert run(parent, plan, CHILDREN) == [{"OK": CHILDREN}] * 2
        assert child.counts(guest) == [{wanted: CHILDREN}]

    check_stops_growing(guest, declare_and_exit, CHILDREN * TASK_SIZE)


@pytest.mark.requirement("yama.revoke")
def test_last_of_many_declarations_counts(guest: Guest) -> None:
    """After thousands of changes, the last declaration counts."""
    guest.set_sysctl(SCOPE, 1)
    target, tracer, other = guest.spawn("target"), guest.spawn("tracer"), guest.spawn("other")
    plan = Plan(target.slot)
    for named in (tracer, 0, PTRACER_ANY, 0, other, tracer, 0, other):
        declare(plan, named)
    assert run(target, plan, 500) == [{"OK": 500}] * 8
    assert read_memory(other, target) == OK
    assert read_memory(tracer, target) == EPERM
    assert target.set_ptracer(0) == OK
    assert read_memory(other, target) == EPERM
