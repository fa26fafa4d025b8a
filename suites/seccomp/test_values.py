# SPDX-License-Identifier: GPL-2.0-or-later
"""The effect of an action's data, and of return values that are not actions."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from guests import bpf
from guests.bpf import AUDIT_ARCH, Action, Instruction, Program, deny, load, policy, ret, trap
from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, GONE, OK, Expected, error, killed, mismatches, returned
from guests.promises import breaks
from guests.syscalls.signals import SYS_SECCOMP
from guests.task import Task
from guests.uapi import AT_FDCWD, Signal, number
from suites.seccomp.support.filtered_tasks import (
    MADE,
    allow_core_dumps,
    check_caught,
    check_not_made,
    core_dumps,
    dumped,
    trapped,
    unprivileged,
)

pytestmark = pytest.mark.needs("SECCOMP_FILTER")


def for_getppid(task: Task, *body: Instruction) -> Program:
    """A program that decides a task's getppid by these instructions, and allows every other call."""
    return load(bpf.NR), Instruction(bpf.JEQ, task.number("getppid"), 1, 0), ret(Action.ALLOW), *body


# fmt: off
ERRNO_DATA: dict[int, Expected] = {
    0:      returned(0),
    errno.EPERM: EPERM,
    errno.EINVAL: EINVAL,
    4094:   error(4094),
    4095:   error(4095),
    4096:   error(4095),
    0x7FFF: error(4095),
    0xFFFF: error(4095),
}
# fmt: on


@pytest.mark.requirement("seccomp.errno-data")
def test_errno_data(guest: Guest) -> None:
    """ERRNO's data is the errno, capped at 4095; with 0, the call returns 0 without having run."""
    found: dict[str, tuple[object, object]] = {}
    for data, wanted in ERRNO_DATA.items():
        task = unprivileged(guest)
        assert task.install(policy(deny("mkdirat", errno=data))) == OK
        found[str(data)] = (task.call("mkdirat", AT_FDCWD, f"/tmp/made-{data}", 0o755), wanted)  # noqa: S108
    assert mismatches(found) == []
    for data in ERRNO_DATA:
        check_not_made(guest, f"/tmp/made-{data}")  # noqa: S108


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.errno-data")
def test_errno_by_int80(guest: Guest) -> None:
    """ERRNO gives a 32-bit call the data as its errno, as a 32-bit number."""
    task = unprivileged(guest)
    assert task.install(policy(deny("getppid", errno=4095), arch="i386")) == OK
    assert task.call32("getppid") == error(4095)
    assert task.call("getppid") == returned(guest.init.tid)


# Unknown actions

# fmt: off
UNKNOWN = {
    "one-above-kill-thread":      0x00010000,
    "between-trap-and-errno":     0x00040000,
    "between-errno-and-notif":    0x00060000,
    "one-below-allow":            0x7FFE0000,
    "sign-bit-and-more":          0x80010000,
    "all-ones":                   0xFFFF0000,
}
# fmt: on


@core_dumps
@pytest.mark.requirement("seccomp.unknown-action", "seccomp.kill-core")
@pytest.mark.parametrize("value", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_action(guest: Guest, promised: Callable[[str], bool], value: int) -> None:
    """A value that is not an action kills the whole process, even if one of several threads made the call."""
    leader = unprivileged(guest, "leader")
    allow_core_dumps(leader)
    thread = leader.thread("thread")
    assert thread.install(for_getppid(thread, Instruction(bpf.RET_K, value))) == OK
    outcome = thread.call("getppid")
    with breaks("seccomp.unknown-action"):
        assert outcome == killed(Signal.SYS)
        assert leader.wait_death() == killed(Signal.SYS)
    with breaks("seccomp.kill-core"):
        assert outcome == dumped(promised)


@pytest.mark.requirement("seccomp.allow")
def test_the_data_of_allow_is_ignored(guest: Guest) -> None:
    """ALLOW runs the call, whatever its data."""
    task = unprivileged(guest)
    for data in (1, 0x8000, 0xFFFF):
        assert task.install(for_getppid(task, ret(Action.ALLOW, data))) == OK
    assert task.call("getppid") == returned(guest.init.tid)


# Filters that fail at run time

# The word at ARGS is the lower half of the first argument, or on a big-endian machine the upper one.
NONZERO = 1 << 32 | 1
# fmt: off
DIVISIONS = {
    "zero-from-the-call":   [load(bpf.ARGS), Instruction(bpf.TAX), load(bpf.NR), Instruction(bpf.DIV | bpf.X)],
    "zero-never-written":   [Instruction(bpf.DIV | bpf.X)],
    "zero-computed":        [Instruction(bpf.LD_IMM, 3), Instruction(bpf.SUB, 3), Instruction(bpf.TAX),
                             Instruction(bpf.DIV | bpf.X)],
}
# fmt: on


@pytest.mark.requirement("seccomp.division-by-zero")
@pytest.mark.parametrize("division", DIVISIONS.values(), ids=DIVISIONS)
def test_division_by_zero_kills(guest: Guest, division: list[Instruction]) -> None:
    """A filter that divides by zero at run time returns KILL_THREAD, whatever it would have returned."""
    leader = unprivileged(guest, "leader")
    thread = leader.thread("thread")
    assert thread.install(for_getppid(thread, *division, ret(Action.ALLOW))) == OK
    assert thread.call("getppid", 0) == GONE
    assert leader.call("getppid", 0) == returned(guest.init.tid)


@pytest.mark.requirement("seccomp.division-by-zero")
def test_division_by_nonzero(guest: Guest) -> None:
    """A filter that may divide by zero runs to its end if it divides by something else."""
    task = unprivileged(guest)
    assert task.install(for_getppid(task, *DIVISIONS["zero-from-the-call"], ret(Action.ERRNO, errno.EINVAL))) == OK
    assert task.call("getppid", NONZERO) == EINVAL
    assert task.call("getppid", 0) == killed(Signal.SYS)


# TRAP


@pytest.mark.requirement("seccomp.trap", "seccomp.trap-context")
@pytest.mark.parametrize("data", [0, 7, 0xFFFF])
def test_trap_reports_the_call(guest: Guest, data: int) -> None:
    """TRAP's handler finds the filter's data in si_errno, and the call as it was made in the saved registers."""
    task = unprivileged(guest)
    task.catch(Signal.SYS).result()
    assert task.install(policy(trap("getppid", data=data))) == OK
    with breaks("seccomp.trap"):
        assert task.call("getppid", 1, 2, 3, 4, 5, 6) == trapped(task, first=1)
        caught = check_caught(task)
        assert (caught.signal, caught.code, caught.errno) == (Signal.SYS, SYS_SECCOMP, data)
        assert (caught.syscall, caught.arch) == (task.number("getppid"), task.abi.audit_arch)
    with breaks("seccomp.trap-context"):
        assert caught.call_address == caught.registers.ip
        assert caught.registers.nr == task.number("getppid")
        assert caught.registers.has_arguments(1, 2, 3, 4, 5, 6)


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.trap", "seccomp.trap-context")
def test_trap_by_int80(guest: Guest) -> None:
    """A 32-bit call's signal has i386's number and architecture, whatever the upper half of the number's register."""
    task = unprivileged(guest)
    task.catch(Signal.SYS).result()
    assert task.install(policy(trap("getppid", data=7), arch="i386")) == OK
    getppid = number("getppid", "i386")
    with breaks("seccomp.trap"):
        assert task.call32(5 << 32 | getppid, 1) == returned(getppid)
        caught = check_caught(task)
        assert (caught.code, caught.errno) == (SYS_SECCOMP, 7)
        assert (caught.syscall, caught.arch) == (getppid, AUDIT_ARCH["i386"])
    with breaks("seccomp.trap-context"):
        assert caught.call_address == caught.registers.ip
        assert caught.registers.result == getppid


@pytest.mark.needs("X86_64")
@pytest.mark.requirement("seccomp.trap")
def test_trap_as_x32(guest: Guest) -> None:
    """An x32 call's signal has the x32 bit in its number."""
    task = unprivileged(guest)
    task.catch(Signal.SYS).result()
    assert task.install(policy(trap("getppid"), arch="x32")) == OK
    assert task.call_x32("getppid") == returned(number("getppid", "x32"))
    caught = check_caught(task)
    assert (caught.syscall, caught.arch) == (number("getppid", "x32"), AUDIT_ARCH["x86_64"])


@pytest.mark.requirement("seccomp.trap-result")
@pytest.mark.parametrize(
    "result",
    [0, 42, -errno.EINVAL, *(pytest.param(one, marks=pytest.mark.needs("64BIT")) for one in (-4096, 1 << 62))],
)
def test_a_handler_sets_the_result(guest: Guest, result: int) -> None:
    """A trapped call returns what the handler leaves in the result register, an error or not."""
    task = unprivileged(guest)
    task.catch(Signal.SYS, result=result).result()
    assert task.install(policy(trap("mkdirat"))) == OK
    assert task.call("mkdirat", AT_FDCWD, MADE, 0o755) == returned(result)
    check_not_made(guest)


@pytest.mark.requirement("seccomp.trap")
def test_trap_only_the_calling_thread(guest: Guest) -> None:
    """Only the calling thread gets TRAP's signal, even if another has it unblocked too."""
    leader = unprivileged(guest, "leader")
    leader.catch(Signal.SYS, result=42).result()
    thread = leader.thread("thread")
    for task in (leader, thread):
        assert task.install(policy(trap("getppid"))) == OK
    assert thread.call("getppid") == trapped(thread)
    assert len(thread.caught_signals()) == 1
    assert leader.caught_signals() == []
