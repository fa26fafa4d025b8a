# SPDX-License-Identifier: GPL-2.0-or-later
"""The signals that filters force on a task, as its tracer, its handler and its dispositions see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from guests.bpf import Action, kill_process, policy, rule, trap
from guests.call_arguments import Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINVAL, OK, Expected, killed, returned
from guests.syscalls.base import Pending
from guests.syscalls.signals import SYS_SECCOMP, SignalInfo
from guests.task import Task
from guests.uapi import PTRACE_EVENT_EXIT, Ptrace, PtraceOption, Signal
from suites.seccomp.support.filtered_tasks import (
    check_caught,
    first_of_a_pid_namespace,
    signal_mask,
    status,
    trapped,
    unprivileged,
)
from suites.seccomp.support.syscall_traced_pair import SYSCALL_STOP

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

HANDLED = 42
"""The result that the handler sets."""
KILLED = killed(Signal.SYS)


def leave(_: Task) -> None:
    """Leave SIGSYS as it is."""


def catch(task: Task) -> None:
    task.catch(Signal.SYS, result=HANDLED).result()


def ignore(task: Task) -> None:
    task.ignore(Signal.SYS).result()


def block(task: Task) -> None:
    task.block(Signal.SYS).result()


def catch_and_block(task: Task) -> None:
    catch(task)
    block(task)


@dataclass(frozen=True)
class Disposition:
    """What a task does with SIGSYS, and what TRAP leaves of it."""

    prepare: Callable[[Task], None]
    before: frozenset[str]
    """Which lines of /proc/PID/status have the signal: SigBlk, SigIgn, SigCgt."""
    forced: frozenset[str]
    """The same once the signal was forced: a signal that could not be delivered gets its default disposition."""
    delivered: Expected
    """The result of the call if the signal is delivered."""


# fmt: off
DISPOSITIONS = {
    "default":             Disposition(leave,  frozenset(),           frozenset(),           KILLED),
    "caught":              Disposition(catch,  frozenset({"SigCgt"}), frozenset({"SigCgt"}), returned(HANDLED)),
    "ignored":             Disposition(ignore, frozenset({"SigIgn"}), frozenset(),           KILLED),
    "blocked":             Disposition(block,  frozenset({"SigBlk"}), frozenset(),           KILLED),
    "caught-and-blocked":  Disposition(catch_and_block, frozenset({"SigBlk", "SigCgt"}), frozenset(), KILLED),
}
# fmt: on
each_disposition = pytest.mark.parametrize("disposition", DISPOSITIONS)


def shown(guest: Guest, task: Task) -> frozenset[str]:
    """The lines of the task's status that have SIGSYS."""
    lines = status(guest, task)
    return frozenset(
        name for name in ("SigBlk", "SigIgn", "SigCgt") if int(lines[name], 16) & signal_mask(Signal.SYS)
    )


def trapped_task(guest: Guest, disposition: str) -> Task:
    """A task whose getppid() is trapped."""
    task = unprivileged(guest)
    DISPOSITIONS[disposition].prepare(task)
    require(shown(guest, task) == DISPOSITIONS[disposition].before, f"{task} has another disposition of SIGSYS")
    task.install(policy(trap("getppid", data=7))).result()
    return task


# TRAP


@each_disposition
@pytest.mark.parametrize("passed_on", [True, False], ids=["passed-on", "suppressed"])
@pytest.mark.requirement("seccomp.trap-forced")
def test_a_tracer_sees_every_trap(guest: Guest, disposition: str, passed_on: bool) -> None:
    """A tracer sees TRAP's signal whatever its tracee does with SIGSYS, and decides whether it is delivered.

    By then, a SIGSYS that was blocked or ignored has its default disposition.
    """
    row = DISPOSITIONS[disposition]
    tracee = trapped_task(guest, disposition)
    tracer = guest.root("tracer")
    tracer.seize(tracee).result()
    call = tracee.begin("getppid")
    stop = tracer.wait(tracee)
    assert (stop.stopped_by, stop.event) == (Signal.SYS, 0)
    siginfo = tracer.ptrace(Ptrace.GETSIGINFO, tracee, 0, Out(128)).read()
    info = SignalInfo.decode_siginfo(siginfo, tracer.abi)
    assert (info.signal, info.errno, info.code) == (Signal.SYS, 7, SYS_SECCOMP)
    assert (info.syscall, info.arch) == (tracee.number("getppid"), tracee.abi.audit_arch)
    assert shown(guest, tracee) == row.forced
    tracer.resume(tracee, Signal.SYS if passed_on else 0).result()
    assert call.outcome() == (row.delivered if passed_on else trapped(tracee))


@pytest.mark.requirement("seccomp.trap-forced")
@pytest.mark.parametrize("disposition", ["default", "ignored", "blocked"])
def test_a_tracer_passes_another_signal_on(guest: Guest, disposition: str) -> None:
    """A tracer can replace TRAP's signal by another one, which the tracee then handles; the call does not run."""
    tracee = trapped_task(guest, disposition)
    tracee.catch(Signal.USR1, result=HANDLED).result()
    tracer = guest.root("tracer")
    tracer.seize(tracee).result()
    call = tracee.begin("getppid")
    require(tracer.wait(tracee).stopped_by == Signal.SYS, f"{tracee} did not stop for SIGSYS")
    tracer.resume(tracee, Signal.USR1).result()
    assert call.outcome() == returned(HANDLED)
    assert check_caught(tracee).signal == Signal.USR1


@pytest.mark.requirement("seccomp.trap-blocked")
def test_a_trap_in_the_handler(guest: Guest) -> None:
    """SIGSYS is blocked while its handler runs, so a trapped call of the handler kills, though the first did not."""
    survivor, victim = unprivileged(guest, "survivor"), unprivileged(guest, "victim")
    for task, names in ((survivor, ["getppid"]), (victim, ["getppid", "rt_sigreturn"])):
        catch(task)
        task.install(policy(trap(*names))).result()
    assert survivor.call("getppid") == returned(HANDLED)
    assert victim.call("getppid") == KILLED


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("seccomp.trap-init")
@pytest.mark.parametrize("traced", [True, False], ids=["traced", "untraced"])
@pytest.mark.parametrize("disposition", ["default", "ignored", "blocked"])
def test_the_first_process_of_a_pid_namespace(guest: Guest, disposition: str, traced: bool) -> None:
    """TRAP kills the first process of a pid namespace, but not if it is traced, even if its tracer passes it on."""
    tracer = guest.root("tracer")
    first = first_of_a_pid_namespace(guest, parent=tracer)
    DISPOSITIONS[disposition].prepare(first)
    first.install(policy(trap("getppid"))).result()
    if not traced:
        assert first.call("getppid") == KILLED
        return
    tracer.seize(first).result()
    call = first.begin("getppid")
    assert tracer.wait(first).stopped_by == Signal.SYS
    tracer.resume(first, Signal.SYS).result()
    assert call.outcome() == trapped(first)


# KILL_PROCESS and KILL_THREAD


@each_disposition
@pytest.mark.requirement("seccomp.kill-exit-event")
@pytest.mark.parametrize("action", [Action.KILL_PROCESS, Action.KILL_THREAD], ids=lambda one: one.name)
def test_the_exit_event_of_a_kill(guest: Guest, action: Action, disposition: str) -> None:
    """The only stop of a tracee that its filter kills is its exit event: the status is SIGSYS, and the registers
    are those of the call."""
    tracer = guest.root("tracer")
    tracee = tracer.spawn("tracee", quiet=True)
    DISPOSITIONS[disposition].prepare(tracee)
    tracee.install(policy(rule(action, "getppid"))).result()
    tracer.seize(tracee, PtraceOption.TRACEEXIT).result()
    tracee.begin("getppid", 0x1234)
    assert tracer.wait(tracee).event == PTRACE_EVENT_EXIT
    assert tracer.event_message(tracee) == Signal.SYS
    registers = tracer.rolled_back_registers(tracee)
    assert (registers.nr, registers.arguments[0]) == (tracee.number("getppid"), 0x1234)
    tracer.resume(tracee).result()
    assert tracer.wait(tracee).raw == Signal.SYS


@pytest.mark.requirement("seccomp.kill-exit-event")
def test_exit_events_of_all_threads(guest: Guest) -> None:
    """The exit events of a process that KILL_PROCESS ends have SIGSYS as status in all of its threads.

    Before 5.16, the caller's event comes when the other threads have gone on from theirs.
    """
    tracer = guest.root("tracer")
    leader = tracer.spawn("leader", quiet=True)
    caller, third = leader.thread("caller"), leader.thread("third")
    caller.install(policy(kill_process("getppid"))).result()
    for thread in (leader, third, caller):
        tracer.seize(thread, PtraceOption.TRACEEXIT).result()
    caller.begin("getppid")
    for thread in (leader, third, caller):
        assert tracer.wait(thread).event == PTRACE_EVENT_EXIT
        assert tracer.event_message(thread) == Signal.SYS
        tracer.resume(thread).result()
    for thread in (third, caller, leader):
        assert tracer.wait(thread).raw == Signal.SYS


def killed_at_its_exit(tracer: Task, tracee: Task) -> Pending:
    """The getppid() of a tracee, which KILL_PROCESS ends; its tracer holds it at the exit of the call."""
    tracee.install(policy(kill_process("getppid"))).result()
    tracer.seize_and_stop(tracee, PtraceOption.TRACESYSGOOD)
    tracer.resume_to_syscall(tracee).result()
    call = tracee.begin("getppid")
    require(tracer.wait(tracee).stopped_by == SYSCALL_STOP, f"{tracee} did not stop at the entry of its call")
    tracer.resume_to_syscall(tracee).result()
    require(tracer.wait(tracee).stopped_by == SYSCALL_STOP, f"{tracee} did not stop at the exit of its call")
    return call


@pytest.mark.requirement("seccomp.kill-immutable")
def test_a_disposition_cannot_be_changed_after_the_kill(guest: Guest) -> None:
    """Between KILL_PROCESS and the death, no other thread can change the disposition of SIGSYS.

    A tracer holds the killed call at its exit, while the other threads still run.
    """
    tracer = guest.spawn("tracer")
    leader = unprivileged(guest, "leader", parent=tracer)
    other = leader.thread("other")
    # The control: before the call, it can.
    assert other.ignore(Signal.SYS) == OK
    killed_at_its_exit(tracer, leader)
    assert other.ignore(Signal.SYS) == EINVAL
    assert other.catch(Signal.SYS) == EINVAL
    assert other.ignore(Signal.USR1) == OK
    tracer.resume(leader).result()
    assert tracer.wait(leader).killed_by == Signal.SYS


@pytest.mark.requirement("seccomp.kill-unblockable")
def test_a_tracer_cannot_block_the_signal_of_a_kill(guest: Guest) -> None:
    """A tracer that blocks SIGSYS in its tracee, at the exit of a killed call, does not save the tracee either."""
    tracer = guest.spawn("tracer")
    tracee = unprivileged(guest, "tracee", parent=tracer)
    call = killed_at_its_exit(tracer, tracee)
    mask = tracer.abi.pack("Q", signal_mask(Signal.SYS))
    tracer.ptrace(Ptrace.SETSIGMASK, tracee, len(mask), mask).result()
    tracer.resume(tracee).result()
    assert call.outcome() == KILLED


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Action.TRAP, id="TRAP", marks=pytest.mark.requirement("seccomp.trap-blocked")),
        pytest.param(Action.KILL_PROCESS, id="KILL_PROCESS", marks=pytest.mark.requirement("seccomp.kill-process")),
    ],
)
def test_a_sigsys_is_pending_already(guest: Guest, action: Action) -> None:
    """A task that blocks SIGSYS is killed in the call that its filter ends, even if a SIGSYS was pending before.

    The kernel then queues no further SIGSYS, and has to look for the one that was blocked.
    """
    task = unprivileged(guest)
    block(task)
    task.call("tgkill", task.pid, task.tid, Signal.SYS).result()
    require(int(status(guest, task)["SigPnd"], 16) == signal_mask(Signal.SYS), f"{task} has no pending SIGSYS alone")
    task.install(policy(rule(action, "getppid"))).result()
    assert task.call("getuid") == returned(1000)
    assert task.call("getppid") == KILLED
