# SPDX-License-Identifier: GPL-2.0-or-later
"""The lifetime of an exception: fork, threads, execve, and the exit of either side.

An exception is bound to two task_structs: on the tracee's side that of its thread group leader, on the tracer's side
that of the very task that was named, thread or not.  When one of them is freed, the exception is removed.  That
happens some time after the task has died: it must have been reaped, and an RCU grace period must have passed.  So a
test waits for what a death removes, and checks what a death must not remove once a task that died later has been
freed (`wait_for_rcu`).
"""

from __future__ import annotations

import pytest

from guests.errors import GuestBroke, SetupFailed
from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, GONE, OK, exited
from guests.task import Task
from guests.uapi import PTRACER_ANY
from suites.process_accesses import read_memory
from suites.yama.support.accesses import SCOPE

pytestmark = pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "CROSS_MEMORY_ATTACH")

NEW_PROCESSES = 48
"""Enough that one of them reuses the memory of a freed task_struct."""


def reap(parent: Task, task: Task) -> None:
    """Let a process exit, and reap it."""
    task.exit(0).require(exited(0))
    parent.reap(task).result()


def wait_until_refused(guest: Guest, tracer: Task, target: Task) -> None:
    """Wait until an exception is gone: it is removed an RCU grace period after the task has died."""
    guest.wait_until(lambda: read_memory(tracer, target) == EPERM, f"{tracer} to be refused by {target}")


# The tracee's side


@pytest.mark.requirement("yama.fork")
def test_fork_does_not_inherit(guest: Guest) -> None:
    """Neither an existing child nor one forked later has its parent's exception."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target, stranger = guest.spawn("tracer"), guest.spawn("target"), guest.spawn("stranger")
    before = target.spawn("before")
    assert target.set_ptracer(tracer) == OK
    after = target.spawn("after")
    assert read_memory(tracer, target) == OK
    assert read_memory(tracer, before) == EPERM
    assert read_memory(tracer, after) == EPERM
    assert target.set_ptracer(PTRACER_ANY) == OK
    assert read_memory(stranger, target) == OK
    assert read_memory(stranger, before) == EPERM
    assert read_memory(stranger, target.spawn("last")) == EPERM


@pytest.mark.requirement("yama.fork")
def test_new_thread_is_covered(guest: Guest) -> None:
    """A thread is not a child: the exception covers a thread that is created later too."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = guest.spawn("tracer"), guest.spawn("target")
    assert target.set_ptracer(tracer) == OK
    assert read_memory(tracer, target.thread("later")) == OK


@pytest.mark.requirement("yama.whole-process")
def test_outlives_the_declaring_thread(guest: Guest) -> None:
    """An exception remains when the thread that declared it exits."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = guest.spawn("tracer"), guest.spawn("target")
    declarer, other = target.thread("declarer"), target.thread("other")
    assert declarer.set_ptracer(tracer) == OK
    assert declarer.exit_thread() == GONE
    wait_for_rcu(guest)
    assert read_memory(tracer, target) == OK
    assert read_memory(tracer, other) == OK


@pytest.mark.requirement("yama.whole-process")
def test_outlives_the_leader(guest: Guest) -> None:
    """When the leader exits before its other threads, it is a zombie, and the exception still covers its process."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = guest.spawn("tracer"), guest.spawn("target")
    other = target.thread("other")
    assert other.set_ptracer(tracer) == OK
    target.begin("exit", 0)
    target.wait_state("Z")
    assert read_memory(tracer, other) == OK
    assert other.set_ptracer(0) == OK
    assert read_memory(tracer, other) == EPERM


@pytest.mark.requirement("yama.exec")
def test_leaders_execve_keeps_it(guest: Guest) -> None:
    """execve() by the leader keeps the exception, with and without other threads: the process is the same."""
    guest.set_sysctl(SCOPE, 1)
    tracer, stranger = guest.spawn("tracer"), guest.spawn("stranger")
    alone, leader = guest.spawn("alone"), guest.spawn("leader")
    leader.thread("other")
    for target in (alone, leader):
        assert target.set_ptracer(tracer) == OK
        assert target.execute_again() == OK
        wait_for_rcu(guest)
        assert read_memory(tracer, target) == OK
        assert read_memory(stranger, target) == EPERM


@pytest.mark.requirement("yama.exec")
def test_another_threads_execve_loses_it(guest: Guest) -> None:
    """A thread that calls execve() becomes the leader; the old leader, which had the exception, is gone."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = guest.spawn("tracer"), guest.spawn("target")
    other = target.thread("other")
    assert other.set_ptracer(tracer) == OK
    assert read_memory(tracer, target) == OK
    assert other.execute_again() == OK
    assert read_memory(tracer, target) == EPERM
    assert other.set_ptracer(tracer) == OK
    assert read_memory(tracer, target) == OK


@pytest.mark.requirement("yama.tracee-exit")
def test_exited_tracees_exception_is_gone(guest: Guest) -> None:
    """New processes have no exceptions of dead ones, even where they reuse the memory of a task_struct."""
    guest.set_sysctl(SCOPE, 1)
    shell, stranger = guest.spawn("shell"), guest.spawn("stranger")
    exiting = [shell.spawn(f"exiting-{number}") for number in range(8)]
    for task in exiting:
        assert task.set_ptracer(PTRACER_ANY) == OK
    assert read_memory(stranger, exiting[0]) == OK
    for task in exiting:
        reap(shell, task)
    wait_for_rcu(guest)
    new = [shell.spawn(f"new-{number}") for number in range(NEW_PROCESSES)]
    assert [f"{done!r}, expected EPERM" for each in new if (done := read_memory(stranger, each)) != EPERM] == []


# The tracer's side


@pytest.mark.requirement("yama.tracer-exit")
def test_tracers_exit_ends_it(guest: Guest) -> None:
    """The exception ends with the tracer: neither a child that it leaves behind nor a new process has access."""
    guest.set_sysctl(SCOPE, 1)
    shell, target = guest.spawn("shell"), guest.spawn("target")
    tracers = [shell.spawn(f"tracer-{number}") for number in range(8)]
    targets = [guest.spawn(f"target-{number}") for number in range(8)]
    child = tracers[0].spawn("child")
    for tracer, each in zip(tracers, targets, strict=True):
        assert each.set_ptracer(tracer) == OK
    assert target.set_ptracer(tracers[0]) == OK
    assert read_memory(child, target) == OK
    for tracer in tracers:
        reap(shell, tracer)
    assert read_memory(child, target) == EPERM
    wait_for_rcu(guest)
    new = [shell.spawn(f"new-{number}") for number in range(NEW_PROCESSES)]
    reads = (read_memory(tracer, each) for tracer in new for each in targets)
    assert [f"{done!r}, expected EPERM" for done in reads if done != EPERM] == []


@pytest.mark.requirement("yama.replace")
def test_first_does_not_return_when_the_second_tracer_exits(guest: Guest) -> None:
    """A second declaration replaces the first, which does not come back when the second's tracer exits."""
    guest.set_sysctl(SCOPE, 1)
    target, shell, first = guest.spawn("target"), guest.spawn("shell"), guest.spawn("first")
    second = shell.spawn("second")
    assert target.set_ptracer(first) == OK
    assert read_memory(first, target) == OK
    assert target.set_ptracer(second) == OK
    assert read_memory(second, target) == OK
    reap(shell, second)
    wait_for_rcu(guest)
    assert read_memory(first, target) == EPERM


@pytest.mark.requirement("yama.tracer-exit")
def test_tracers_exit_ends_only_its_own(guest: Guest) -> None:
    """When a tracer exits, exceptions for another tracer and for any tracer remain."""
    guest.set_sysctl(SCOPE, 1)
    shell, other, stranger = guest.spawn("shell"), guest.spawn("other"), guest.spawn("stranger")
    exiting = shell.spawn("exiting")
    for_exiting, for_other, for_any = (guest.spawn(name) for name in ("for-exiting", "for-other", "for-any"))
    assert for_exiting.set_ptracer(exiting) == OK
    assert for_other.set_ptracer(other) == OK
    assert for_any.set_ptracer(PTRACER_ANY) == OK
    reap(shell, exiting)
    wait_for_rcu(guest)
    assert read_memory(stranger, for_any) == OK
    assert read_memory(other, for_other) == OK
    assert read_memory(stranger, for_other) == EPERM


@pytest.mark.requirement("yama.tracer-thread")
def test_exception_ends_with_the_named_thread(guest: Guest) -> None:
    """A thread other than the leader can be named: its whole process has access until that thread exits."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = guest.spawn("tracer"), guest.spawn("target")
    named, other = tracer.thread("named"), tracer.thread("other")
    assert target.set_ptracer(named) == OK
    for task in (named, tracer, other):
        assert read_memory(task, target) == OK
    assert named.exit_thread() == GONE
    wait_until_refused(guest, tracer, target)
    assert read_memory(other, target) == EPERM


@pytest.mark.requirement("yama.tracer-thread")
def test_another_threads_exit_keeps_it(guest: Guest) -> None:
    """The exit of another thread of the tracer leaves the exception in place."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = guest.spawn("tracer"), guest.spawn("target")
    other = tracer.thread("other")
    assert target.set_ptracer(tracer) == OK
    assert other.exit_thread() == GONE
    wait_for_rcu(guest)
    assert read_memory(tracer, target) == OK


@pytest.mark.requirement("yama.tracer-exit")
def test_outlives_the_tracers_leader(guest: Guest) -> None:
    """When the leader of the named process exits, its other threads keep their access, and so do their children."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target, stranger = guest.spawn("tracer"), guest.spawn("target"), guest.spawn("stranger")
    thread = tracer.thread("thread")
    child = thread.spawn("child")
    assert target.set_ptracer(tracer) == OK
    tracer.begin("exit", 0)
    tracer.wait_state("Z")
    wait_for_rcu(guest)
    assert read_memory(thread, target) == OK
    assert read_memory(child, target) == OK
    assert read_memory(stranger, target) == EPERM


@pytest.mark.requirement("yama.set-ptracer-argument")
def test_named_after_its_leaders_exit(guest: Guest) -> None:
    """A process whose leader has exited can still be named, until its last thread has exited and it is reaped."""
    guest.set_sysctl(SCOPE, 1)
    shell, target = guest.spawn("shell"), guest.spawn("target")
    tracer = shell.spawn("tracer")
    thread = tracer.thread("thread")
    tracer.begin("exit", 0)
    tracer.wait_state("Z")
    assert read_memory(thread, target) == EPERM
    assert target.set_ptracer(tracer) == OK
    assert read_memory(thread, target) == OK
    assert read_memory(shell, target) == EPERM
    thread.exit_thread().require(exited(0))
    shell.reap(tracer).result()
    assert target.set_ptracer(tracer) == EINVAL


@pytest.mark.requirement("yama.exec")
def test_tracers_execve(guest: Guest) -> None:
    """The named thread's execve() keeps the exception; that of another thread of the tracer loses it."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = guest.spawn("tracer"), guest.spawn("target")
    assert target.set_ptracer(tracer) == OK
    assert tracer.execute_again() == OK
    wait_for_rcu(guest)
    assert read_memory(tracer, target) == OK

    other = tracer.thread("other")
    assert target.set_ptracer(tracer) == OK
    assert other.execute_again() == OK
    wait_until_refused(guest, other, target)

    leader, target = guest.spawn("leader"), guest.spawn("another")
    named = leader.thread("named")
    assert target.set_ptracer(named) == OK
    assert named.execute_again() == OK
    wait_for_rcu(guest)
    assert read_memory(named, target) == OK


def wait_for_rcu(guest: Guest) -> None:
    """Return once every task_struct released so far has been freed, because one released later has been.

    That one's exception, which is removed in the same way, shows when that has happened.
    """
    shell, target = guest.spawn("rcu-shell"), guest.spawn("rcu-target")
    witness = shell.thread("rcu-witness")
    target.set_ptracer(witness).result()
    read_memory(shell, target).result()
    witness.exit_thread().require(GONE)
    try:
        wait_until_refused(guest, shell, target)
    except GuestBroke as error:
        # If the kernel still answers, this breaks another promise (yama.tracer-thread) than the one under test.
        read_memory(shell, target)
        raise SetupFailed(error.message) from error
