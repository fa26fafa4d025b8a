# SPDX-License-Identifier: GPL-2.0-or-later
"""32-bit programs under filters: the signal of TRAP, and filters that outlive a change of the ABI by execve."""

from __future__ import annotations

import pytest

from guests.abi import AgentProgram
from guests.bpf import ARCH, JEQ, Action, Instruction, deny, kill_process, load, policy, ret, trap
from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, OK, killed, returned
from guests.protocol.wire import Entry
from guests.syscalls.signals import SYS_SECCOMP
from guests.uapi import Signal
from suites.seccomp.support.compat_tasks import ENTERING, ENTRIES, compat_task, entry_of, of_x86_64
from suites.seccomp.support.filtered_tasks import check_caught, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER", "COMPAT or X86_32")

VALUES = tuple(0xF1223344 + 0x01010101 * i for i in range(6))


@pytest.mark.requirement("seccomp.trap-32-bit")
@pytest.mark.parametrize("way", ENTRIES)
def test_trap(compat: AgentProgram, guest: Guest, way: Entry) -> None:
    """The SIGSYS of a 32-bit program has the 32-bit layout, with its ABI's number; its handler can set the result."""
    task = compat_task(guest, compat)
    entry = entry_of(guest, task, way)
    task.catch(Signal.SYS, result=77).result()
    task.install(policy(trap("getppid", data=0x1234), deny("geteuid", errno=EINVAL))).result()
    getppid = task.number("getppid")
    assert task.call(getppid, *VALUES, entry=entry) == returned(77)
    caught = check_caught(task)
    assert (caught.signal, caught.code, caught.errno) == (Signal.SYS, SYS_SECCOMP, 0x1234)
    assert (caught.syscall, caught.arch) == (getppid, compat.abi.audit_arch)
    assert caught.call_address == caught.registers.ip
    assert (caught.registers.nr, caught.registers.arguments) == (getppid, VALUES)
    entering = ENTERING[compat.abi.name]
    assert guest.init.read_memory(task, caught.call_address - len(entering), len(entering)) == entering
    assert task.call("geteuid", entry=entry) == EINVAL


@pytest.mark.needs("COMPAT")
@pytest.mark.requirement("seccomp.inheritance-32-bit")
def test_filters_of_both_abis(compat: AgentProgram, guest: Guest) -> None:
    """Filters stay when a program of the other ABI is executed: each decides about the calls of its architecture."""
    task = unprivileged(guest)
    for arch, error in {guest.arch: EPERM, compat.abi.name: EINVAL}.items():
        task.install(policy(deny("getppid", errno=error), arch=arch)).result()
    assert task.call("getppid") == EPERM
    task.become(compat).result()
    assert task.call("getppid") == EINVAL
    child = task.spawn("child")
    assert child.call("getppid") == EINVAL
    child.become(guest.native).result()
    assert child.call("getppid") == EPERM


@of_x86_64
@pytest.mark.requirement("seccomp.inheritance-32-bit")
def test_filters_of_both_abis_by_other_entries(compat: AgentProgram, guest: Guest) -> None:
    """32-bit calls by the vDSO, and by int 0x80 of a 64-bit program, are decided by filters of their architecture."""
    task = unprivileged(guest)
    for arch, error in {guest.arch: EPERM, compat.abi.name: EINVAL}.items():
        task.install(policy(deny("getppid", errno=error), arch=arch)).result()
    task.become(compat).result()
    assert task.call("getppid", entry=Entry.VDSO) == EINVAL
    child = task.spawn("child")
    child.become(guest.native).result()
    assert child.call32("getppid") == EINVAL


@pytest.mark.needs("COMPAT")
@pytest.mark.requirement("seccomp.inheritance-32-bit")
def test_a_policy_for_64_bits_kills_a_32_bit_program(compat: AgentProgram, guest: Guest) -> None:
    """A policy that kills calls of other architectures kills a 32-bit program at its first call, after execve."""
    task, control = unprivileged(guest), unprivileged(guest, "control")
    control.install(policy(kill_process("getppid"), default=Action.ALLOW)).result()
    control.become(compat).result()
    assert control.call("getppid") == OK
    native_only = (
        *(load(ARCH), Instruction(JEQ, guest.native.abi.audit_arch, 1, 0), ret(Action.KILL_PROCESS)),
        ret(Action.ALLOW),
    )
    task.install(native_only).result()
    assert task.execute_again() == OK
    assert task.become(compat) == killed(Signal.SYS)
