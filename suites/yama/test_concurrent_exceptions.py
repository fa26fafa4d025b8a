# SPDX-License-Identifier: GPL-2.0-or-later
"""Declarations and changes of the scope at the same time as accesses, and as the end of those whom they are about."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.protocol.meeting_layout import Watched
from guests.sysctl_path import sysctl_path
from guests.uapi import O_WRONLY, THREAD_FLAGS, WALL
from suites.races.race import LONGEST_BESIDE_PREEMPTION, Race
from suites.yama.support.accesses import SCOPE
from suites.yama.support.plan_steps import declare, read_by, revoke

pytestmark = [pytest.mark.races, pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "CROSS_MEMORY_ATTACH")]

EITHER = {"OK", "EPERM"}


@pytest.mark.requirement("yama.declared-at-once")
def test_declaration_and_access(guest: Guest, race: Race) -> None:
    """During a declaration, the named tracer may read or not; once it has returned, it may, until the revocation."""
    guest.set_sysctl(SCOPE, 1)
    target, tracer = guest.spawn("target"), guest.spawn("tracer")
    declaring, reading = race.plan(target), race.plan(tracer)
    race.switch(
        *(declaring, reading),
        on=lambda: declare(declaring, tracer),
        off=lambda: revoke(declaring),
        look=lambda: read_by(reading, tracer, target),
    )
    #           declared           revoked
    race.check(("OK", EITHER, "OK", "OK", EITHER, "EPERM"))


@pytest.mark.races(longest=LONGEST_BESIDE_PREEMPTION)
@pytest.mark.requirement("yama.declared-at-once")
def test_two_threads_declare(guest: Guest, race: Race) -> None:
    """Of two declarations by two threads at the same time, one remains, and admits its tracer alone.

    First there is no exception before them; then there is one, which they replace.
    """
    guest.set_sysctl(SCOPE, 1)
    target, first, second = (guest.spawn(name) for name in ("target", "first", "second"))
    thread = target.thread("thread")
    one, other = race.plan(target), race.plan(thread)
    looking, too = race.plan(first), race.plan(second)
    race.preempt(target, one)
    for before in ("none", "another"):
        race.go(one, other)
        race.watch(f"declare first ({before} before)", declare(one, first))
        race.watch("declare second", declare(other, second))
        race.meet(one, other, looking, too)
        race.watch("first reads", read_by(looking, first, target))
        race.watch("second reads", read_by(too, second, target))
        race.meet(one, other, looking, too)
    revoke(one)
    race.tally(one, other, looking, too)
    either = ("OK", "OK", "OK", "EPERM"), ("OK", "OK", "EPERM", "OK")
    race.check(*(added + replaced for added in either for replaced in either))


@pytest.mark.requirement("yama.concurrency", "yama.declared-at-once")
def test_two_processes_declare_and_revoke(guest: Guest, race: Race) -> None:
    """Two processes declare and revoke, while a tracer reads; in the end, each has what it has declared last.

    The list of exceptions is changed by both of them, and by a worker that removes what was revoked, for which they
    make way.
    """
    guest.set_sysctl(SCOPE, 1)
    first, second, tracer = (guest.spawn(name) for name in ("first", "second", "tracer"))
    one, other, reading = race.plan(first), race.plan(second), race.plan(tracer)
    race.go(one, other, reading)
    for plan in (one, other):
        for _ in range(4):
            declare(plan, tracer)
            revoke(plan)
            plan.call("sched_yield")
    race.watch("declare", declare(one, tracer))
    for target in (first, second):
        read_by(reading, tracer, target)
    race.meet(one, other, reading)
    race.watch("read the first", read_by(reading, tracer, first))
    race.watch("read the second", read_by(reading, tracer, second))
    race.tally(one, other, reading)
    race.check(("OK", "OK", "EPERM"))


@pytest.mark.requirement("yama.scope-at-once")
def test_scope_and_access(guest: Guest, race: Race) -> None:
    """During a change of the scope, a stranger may read or not; after the write, the new scope decides."""
    guest.set_sysctl(SCOPE, 1)
    target, stranger, root = guest.spawn("target"), guest.spawn("stranger"), guest.root()
    file = root.open(sysctl_path(SCOPE), O_WRONLY).result()
    changing, reading = race.plan(root), race.plan(stranger)
    race.switch(
        *(changing, reading),
        on=lambda: changing.call("pwrite64", file, b"0", 1, 0),
        off=lambda: changing.call("pwrite64", file, b"1", 1, 0),
        look=lambda: read_by(reading, stranger, target),
    )
    #           scope 0            scope 1
    race.check(("OK", EITHER, "OK", "OK", EITHER, "EPERM"))


@pytest.mark.races(longest=LONGEST_BESIDE_PREEMPTION)
@pytest.mark.requirement("yama.concurrency")
def test_declaration_and_exit_of_the_tracer(guest: Guest, race: Race) -> None:
    """A child is named while it exits and another thread reaps it; that admits nobody, then or later.

    The next child may have the memory in the kernel that this one had.  EINVAL: it was reaped before it was found by
    its number.
    """
    guest.set_sysctl(SCOPE, 1)
    parent, stranger = guest.spawn("parent"), guest.spawn("stranger")
    declaring, child, reaping, reading = race.plan(parent), race.child(), race.child(), race.plan(stranger)
    pid = declaring.child(child)
    declaring.child(reaping, THREAD_FLAGS)
    race.preempt(parent, declaring)
    race.move_away(child)
    race.move_away(reaping)
    race.watch("child reads", read_by(child, parent, parent))
    race.go(declaring, child, reaping, reading)
    race.watch("declare", declare(declaring, pid))
    race.watch("reap", reaping.call("wait4", -1, 0, WALL, 0), Watched.SIGN)
    race.watch("read meanwhile", read_by(reading, stranger, parent))
    declaring.join(reaping)
    race.meet(declaring, reading)
    race.watch("read afterwards", read_by(reading, stranger, parent))
    race.tally(declaring, reading)
    race.check(("EPERM", {"OK", "EINVAL"}, ">0", "EPERM", "EPERM"))


@pytest.mark.requirement("yama.concurrency")
def test_exit_of_the_target_and_access(guest: Guest, race: Race) -> None:
    """A child names a tracer and exits, while that and a stranger read its memory; the stranger is never admitted.

    ESRCH: it had no memory any more.
    """
    guest.set_sysctl(SCOPE, 1)
    parent, tracer, stranger = (guest.spawn(name) for name in ("parent", "tracer", "stranger"))
    starting, child, reading, trying = race.plan(parent), race.child(), race.plan(tracer), race.plan(stranger)
    pid = starting.child(child)
    race.meet(starting, reading, trying)
    taken, same = reading.take(pid), trying.take(pid)
    race.go(child, reading, trying)
    race.watch("declare", declare(child, tracer))
    race.watch("tracer reads", read_by(reading, tracer, taken))
    race.watch("stranger reads", read_by(trying, stranger, same))
    race.watch("wait", starting.call("wait4", pid, 0, WALL, 0), Watched.SIGN)
    race.tally(starting, reading, trying)
    race.check(("OK", {"OK", "EPERM", "ESRCH"}, {"EPERM", "ESRCH"}, ">0"))


@pytest.mark.requirement("yama.concurrency")
def test_exec_of_the_target_and_access(guest: Guest, race: Race) -> None:
    """A process executes another program, while its named tracer and a stranger read its memory.

    The tracer is never refused, and the stranger always.  EFAULT: the new program has not mapped that memory yet.
    """
    guest.set_sysctl(SCOPE, 1)
    target, tracer, stranger = (guest.spawn(name) for name in ("target", "tracer", "stranger"))
    target.set_ptracer(tracer).result()
    words = target.agent_arguments(guest.program)
    executing, reading, trying = race.plan(target), race.plan(tracer), race.plan(stranger)
    race.go(executing, reading, trying)
    race.watch("execute", executing.call("execve", target.store(guest.program.encode() + b"\0"), words, 0))
    race.watch("tracer reads", read_by(reading, tracer, target))
    race.watch("stranger reads", read_by(trying, stranger, target))
    race.meet(executing, reading, trying)
    race.watch("tracer afterwards", read_by(reading, tracer, target))
    race.watch("stranger afterwards", read_by(trying, stranger, target))
    race.tally(executing, reading, trying)
    race.check(("OK", {"OK", "EFAULT"}, "EPERM", "OK", "EPERM"))
