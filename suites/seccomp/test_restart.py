# SPDX-License-Identifier: GPL-2.0-or-later
"""A call that resumes after a stop is filtered as restart_syscall, which resumes that call and no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests import bpf
from guests.abi import Abi
from guests.bpf import Action, deny, kill_process, policy
from guests.call_arguments import Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINTR, EPERM, Expected, killed, returned
from guests.protocol.wire import Entry
from guests.syscalls.base import Pending
from guests.syscalls.seccomp import Poll
from guests.task import Task
from guests.uapi import Ptrace, Signal, number
from suites.seccomp.support.filtered_tasks import need_call, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
HOUR_S = 3600
ERESTART_RESTARTBLOCK = 516
"""The kernel's own error of an interrupted call that is to resume (include/linux/errno.h)."""
CLOCK_MONOTONIC = 1


def interrupted(guest: Guest, task: Task, call: Pending) -> None:
    """Stop the task during its call, and continue it."""
    call.wait_until_blocked()
    guest.init.kill(task, Signal.STOP).result()
    task.wait_state("T")
    guest.init.kill(task, Signal.CONT).result()


# fmt: off
SLEEP = policy(bpf.allow("clock_nanosleep"), default=Action.KILL_PROCESS)
SLEEP_AND_RESTART = policy(bpf.allow("clock_nanosleep", "restart_syscall"), default=Action.KILL_PROCESS)
RESTARTED: dict[str, tuple[bpf.Policy, Expected | None]] = {
    # a filter, and the result of a sleep that was interrupted; None: it continues to sleep
    "its-own-number-denied":      (policy(deny("restart_syscall", errno=EPERM)),  EPERM),
    "another-number-denied":      (policy(deny("nanosleep", errno=EPERM)),        None),
    "killed-by-its-number":              (policy(kill_process("restart_syscall")),       killed(Signal.SYS)),
    "an-allow-list-without-it":   (SLEEP,                                          killed(Signal.SYS)),
    "an-allow-list-with-it":      (SLEEP_AND_RESTART,                                       None),
}
# fmt: on


@pytest.mark.requirement("seccomp.restart")
@pytest.mark.parametrize("case", RESTARTED)
def test_restart_syscall(guest: Guest, case: str) -> None:
    """A sleep resumes under restart_syscall's number: an allow-list with only the sleep's own number kills it."""
    program, wanted = RESTARTED[case]
    task = unprivileged(guest)
    task.install(program).result()
    call = task.begin("clock_nanosleep", CLOCK_MONOTONIC, 0, task.abi.pack("qq", HOUR_S, 0), None)
    interrupted(guest, task, call)
    if wanted is None:
        assert call.blocks(), call
    else:
        assert call.outcome() == wanted


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.restart")
def test_restart_syscall_by_int80(guest: Guest) -> None:
    """A call by int 0x80 resumes under i386's number of restart_syscall, 0."""
    task = unprivileged(guest)
    task.install(policy(deny("restart_syscall", errno=EPERM), arch="i386")).result()
    # poll() without descriptors, for a while: not every kernel has the old nanosleep.
    call = task.begin(number("poll", "i386"), 0, 0, 3_600_000, entry=Entry.INT80)
    interrupted(guest, task, call)
    assert call.outcome() == EPERM


@pytest.mark.needs("X86_X32_ABI")
@pytest.mark.boot("syscall.x32=y")
@pytest.mark.requirement("seccomp.restart")
def test_restart_syscall_as_x32(guest: Guest) -> None:
    """An x32 call resumes under restart_syscall's number with the x32 bit."""
    task = unprivileged(guest)
    task.install(policy(deny("restart_syscall", errno=EPERM), arch="x32")).result()
    call = task.begin(number("nanosleep", "x32"), task.abi.pack("qq", HOUR_S, 0), None)
    interrupted(guest, task, call)
    assert call.outcome() == EPERM


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.restart-tracer")
def test_registers_that_a_tracer_restores(guest: Guest) -> None:
    """A call by int 0x80 resumes by i386's restart_syscall also if its tracer restores its registers in a later stop.

    A debugger does that when its user has it call a function of the interrupted program.
    """
    tracer = guest.spawn("tracer")
    task = unprivileged(guest, parent=tracer)
    task.install(policy(deny("restart_syscall", errno=EPERM), arch="i386")).result()
    call = task.begin(number("poll", "i386"), 0, 0, 3_600_000, entry=Entry.INT80)
    call.wait_until_blocked()
    tracer.seize_and_stop(task)
    saved = tracer.registers(task)
    require(saved["rax"] == (-ERESTART_RESTARTBLOCK) % (1 << 64), f"{call} was not interrupted")
    # Let one instruction run instead, so that the kernel is entered again, and not by a call.
    tracer.set_registers(task, nr=-1).result()
    tracer.ptrace(Ptrace.SINGLESTEP, task).result()
    require(tracer.wait(task).stopped_by == Signal.TRAP, f"{task} has not made a step")
    tracer.set_registers(task, **saved).result()
    tracer.resume(task).result()
    assert call.outcome() == EPERM


def nanosleep(abi: Abi) -> tuple[int | bytes, ...]:
    """Its arguments: a time in longs."""
    return (abi.words(0, 1),)


def clock_nanosleep(abi: Abi) -> tuple[int | bytes, ...]:
    return CLOCK_MONOTONIC, 0, abi.pack("qq", 0, 1)


OLD = pytest.mark.needs("64BIT or COMPAT_32BIT_TIME")


@pytest.mark.requirement("seccomp.restart-data")
@pytest.mark.parametrize(
    "sleep", [pytest.param(nanosleep, marks=OLD), clock_nanosleep], ids=lambda sleep: sleep.__name__
)
def test_restart_syscall_after_a_finished_sleep(
    guest: Guest, sleep: Callable[[Abi], tuple[int | bytes, ...]]
) -> None:
    """restart_syscall() fails with EINTR after a sleep that was not interrupted, even if an earlier poll() was.

    Before the sleep, it polls again.
    """
    task = guest.spawn("task")
    need_call(task, "poll")
    reading, writing = task.abi.unpack("ii", task.call("pipe2", Out(8), 0).read())
    writer = task.spawn("writer")
    call = task.begin("poll", task.store(task.abi.pack("iHH", reading, Poll.IN, 0)), 1, -1)
    interrupted(guest, task, call)
    call.wait_until_blocked()
    writer.call("write", writing, b"x", 1).result()
    call.outcome().require(returned(1))
    task.call("restart_syscall").require(returned(1))
    task.call(sleep.__name__, *sleep(task.abi), Out(16)).result()
    assert task.call("restart_syscall") == EINTR
