# SPDX-License-Identifier: GPL-2.0-or-later
"""A call that resumes after a stop is filtered as restart_syscall."""

from __future__ import annotations

import struct

import pytest

from guests import bpf
from guests.bpf import Action, deny, kill_process, policy
from guests.guest import Guest
from guests.outcome import EPERM, Expected, killed
from guests.protocol.wire import Entry
from guests.syscalls.base import Pending
from guests.task import Task
from guests.uapi import Signal, number
from suites.seccomp.support.filtered_tasks import unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
HOUR = struct.pack("<qq", 3600, 0)


def interrupted(guest: Guest, task: Task, call: Pending) -> None:
    """Stop the task during its call, and continue it."""
    call.wait_until_blocked()
    guest.init.kill(task, Signal.STOP).result()
    task.wait_state("T")
    guest.init.kill(task, Signal.CONT).result()


# fmt: off
SLEEP = policy(bpf.allow("nanosleep"), default=Action.KILL_PROCESS)
SLEEP_AND_RESTART = policy(bpf.allow("nanosleep", "restart_syscall"), default=Action.KILL_PROCESS)
RESTARTED: dict[str, tuple[bpf.Program, Expected | None]] = {
    # a filter, and the result of a sleep that was interrupted; None: it continues to sleep
    "its-own-number-denied":      (policy(deny("restart_syscall", errno=EPERM)),  EPERM),
    "another-number-denied":      (policy(deny("clock_nanosleep", errno=EPERM)),  None),
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
    call = task.begin("nanosleep", HOUR, None)
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
    call = task.begin(number("nanosleep", "x32"), HOUR, None)
    interrupted(guest, task, call)
    assert call.outcome() == EPERM
