# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of stops and numbers of processes, by pid namespace; and the trace that a capability leaves."""

from __future__ import annotations

import pytest

from guests.call_plan import Plan, spare_slot, start
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EPERM, ESRCH, OK, Outcome, exited
from guests.task import Task
from guests.uapi import (
    KCMP_VM,
    PTRACE_EVENT_EXEC,
    PTRACE_EVENT_EXIT,
    PTRACE_EVENT_FORK,
    Cap,
    Clone,
    Ptrace,
    PtraceOption,
    Signal,
)
from suites.process_accesses import read_memory, used_a_capability, vector
from suites.ptrace.support.programs import Programs, begin_execute

pytestmark = pytest.mark.needs("CROSS_MEMORY_ATTACH")


def seize(tracer: Task, pid: int, options: PtraceOption = PtraceOption.NONE) -> Outcome:
    return tracer.call("ptrace", Ptrace.SEIZE, pid, 0, options, shown=f"seize({pid}, {options.name})")


def message(tracer: Task, pid: int) -> int:
    """PTRACE_GETEVENTMSG for a tracee, by its number in the tracer's pid namespace."""
    address = tracer.store(bytes(8))
    tracer.call("ptrace", Ptrace.GETEVENTMSG, pid, 0, address, shown=f"event_message({pid})").result()
    return tracer.abi.integer(tracer.load(address, 8))


def resume(tracer: Task, pid: int) -> None:
    tracer.call("ptrace", Ptrace.CONT, pid, 0, 0, shown=f"resume({pid})").result()


def first_of_namespace(guest: Guest) -> Task:
    """The first process of a pid namespace, and root there."""
    first = guest.root("creator").spawn("first", flags=Clone.NEWPID)
    require(first.own_tid == 1, f"{first} is not the first process of its pid namespace")
    return first


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("ptrace.message-numbers")
@pytest.mark.parametrize("where", ["both-outside", "tracer-outside", "both-inside"])
def test_message_of_fork(guest: Guest, where: str) -> None:
    """The message of PTRACE_EVENT_FORK is the child's number in the tracer's pid namespace, as wait4() returns it."""
    first = first_of_namespace(guest)
    first.spawn("another").spawn("and-another")
    tracer = first.spawn("tracer") if where == "both-inside" else guest.root("tracer")
    parent = guest.root("parent") if where == "both-outside" else first.spawn("parent")
    of_parent = parent.own_tid if where == "both-inside" else parent.tid
    tracer.call(
        "ptrace", Ptrace.SEIZE, of_parent, 0, PtraceOption.TRACEFORK, shown=f"seize({parent}, TRACEFORK)"
    ).result()
    child, starting = Plan(spare_slot(0)), Plan(parent.slot)
    child.call("getpid")
    child.send(guest, 1)
    starting.child(child)
    parent.block(Signal.CHLD).result()
    running = start(parent, starting, 1)
    numbers, messages = set(), []
    # The parent's event, the child's first stop, and the child's end, of which the second may come first.
    for _ in range(3):
        pid, status = tracer.wait_for_any()
        if status.event == PTRACE_EVENT_FORK:
            messages.append((pid, message(tracer, pid)))
        elif pid != of_parent:
            numbers.add(pid)
        if status.stopped_by:
            resume(tracer, pid)
    running.counts()
    require(len(numbers) == 1, f"the children are {numbers}")
    assert messages == [(of_parent, *numbers)]


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("ptrace.message-numbers")
@pytest.mark.parametrize("where", ["tracer-outside", "both-inside"])
def test_message_of_exec(guest: Guest, where: str) -> None:
    """The message of PTRACE_EVENT_EXEC is the thread's former number in the tracer's pid namespace."""
    first = first_of_namespace(guest)
    path = Programs(guest).create()
    tracer = first.spawn("tracer") if where == "both-inside" else guest.root("tracer")
    leader = first.spawn("leader")
    thread = leader.thread("thread")
    inside = where == "both-inside"
    of_thread, of_leader = (thread.own_tid, leader.own_tid) if inside else (thread.tid, leader.tid)
    tracer.call(
        "ptrace", Ptrace.SEIZE, of_thread, 0, PtraceOption.TRACEEXEC, shown=f"seize({thread}, TRACEEXEC)"
    ).result()
    running = begin_execute(thread, path)
    pid, status = tracer.wait_for_any()
    assert (pid, status.event) == (of_leader, PTRACE_EVENT_EXEC)
    assert message(tracer, pid) == of_thread
    resume(tracer, pid)
    running.outcome().result()


@pytest.mark.requirement("ptrace.message-of-exit")
def test_message_of_exit(guest: Guest) -> None:
    """The message of PTRACE_EVENT_EXIT is the status with which the process is about to end."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    tracer.seize(tracee, PtraceOption.TRACEEXIT).result()
    ending = tracee.begin("exit_group", 7)
    assert tracer.wait(tracee).event == PTRACE_EVENT_EXIT
    assert tracer.event_message(tracee) == 7 << 8
    tracer.resume(tracee).result()
    ending.outcome().require(exited(7))


@pytest.mark.requirement("ptrace.message-of-present-stop")
def test_message_is_of_the_present_stop(guest: Guest) -> None:
    """A stop by a signal has no message: it does not have that of an earlier stop."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    path = Programs(guest).create()
    tracer.seize(tracee, PtraceOption.TRACEEXEC).result()
    running = begin_execute(tracee, path)
    assert tracer.wait(tracee).event == PTRACE_EVENT_EXEC
    assert tracer.event_message(tracee) == tracee.tid
    tracer.resume(tracee).result()
    running.outcome().result()
    tracer.kill(tracee, Signal.USR1).result()
    assert tracer.wait(tracee).stopped_by == Signal.USR1
    assert tracer.event_message(tracee) == 0


@pytest.mark.requirement("ptrace.changed-number")
def test_number_that_has_changed(guest: Guest) -> None:
    """A thread that takes its leader's number by execve() cannot be taken for the leader: ESRCH until wait4()."""
    tracer, leader = guest.spawn("tracer"), guest.spawn("leader")
    thread = leader.thread("thread")
    path = Programs(guest).create()
    for task in (leader, thread):
        tracer.seize(task, PtraceOption.TRACEEXEC).result()
    running = begin_execute(thread, path)
    leader.wait_state("t")
    assert tracer.set_options(leader, PtraceOption.NONE) == ESRCH
    assert tracer.wait(leader).event == PTRACE_EVENT_EXEC
    assert tracer.event_message(leader) == thread.tid
    assert tracer.set_options(leader, PtraceOption.NONE) == OK
    tracer.resume(leader).result()
    running.outcome().result()


# Numbers that calls take


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("ptrace.numbers-of-callers")
def test_numbers_of_callers(guest: Guest) -> None:
    """Calls take numbers of the caller's pid namespace, and cannot name a process outside, even for root."""
    first = first_of_namespace(guest)
    tracer, target = first.spawn("tracer"), first.spawn("target")
    outside = guest.root("outside")
    mine, its = vector(tracer), vector(target)
    for number, wanted in ((target.own_tid, OK), (target.tid, ESRCH), (outside.tid, ESRCH)):
        assert tracer.call("process_vm_readv", number, mine, 1, its, 1, 0) == wanted
        if guest.kernel.config.enabled("KCMP"):
            assert tracer.call("kcmp", tracer.own_tid, number, KCMP_VM, 0, 0) == wanted
        assert seize(tracer, number) == wanted
    assert read_memory(outside, target) == OK


# The trace of a capability


@pytest.mark.requirement("ptrace.capability-leaves-trace")
def test_trace_of_a_capability(guest: Guest) -> None:
    """An access that needs CAP_SYS_PTRACE marks the process as one that has used a capability, and no other does."""
    # A child does not have the mark, which changing its own credentials would leave.
    shell = guest.spawn("shell", caps=Cap.SYS_PTRACE)
    plain, capable, incapable = shell.spawn("plain"), shell.spawn("capable"), shell.spawn("incapable")
    incapable.set_caps(Cap.NONE).result()
    own, closed = guest.spawn("own"), guest.spawn("closed")
    other = guest.spawn("other", uid=1001)
    closed.set_dumpable(False).result()
    require(not any(used_a_capability(task) for task in (plain, capable, incapable)), "used before the test")
    assert read_memory(plain, own) == OK
    assert not used_a_capability(plain)
    assert read_memory(plain, closed) == OK
    assert used_a_capability(plain)
    assert read_memory(capable, other) == OK
    assert used_a_capability(capable)
    assert read_memory(incapable, other) == EPERM
    assert not used_a_capability(incapable)
