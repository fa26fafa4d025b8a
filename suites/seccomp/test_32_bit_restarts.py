# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of 32-bit programs that are interrupted and restarted, and how filters see them again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guests.abi import AgentProgram
from guests.bpf import deny, notify, policy
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EPERM, OK, returned
from guests.protocol.wire import Entry
from guests.uapi import Ptrace, Signal
from suites.seccomp.support.compat_tasks import ENTRIES, CompatPair, compat_task, entry_of, of_x86
from suites.seccomp.support.filtered_tasks import unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER", "COMPAT or X86_32")

NO_RESTART = policy(deny("restart_syscall", errno=EPERM))
HOUR_MS = 3_600_000
ERESTART_RESTARTBLOCK = 516
VALUES = tuple(0xF1223344 + 0x01010101 * i for i in range(6))


@pytest.mark.requirement("seccomp.restart-32-bit")
@pytest.mark.parametrize("way", ENTRIES)
def test_a_stopped_call(compat: AgentProgram, guest: Guest, way: Entry) -> None:
    """A 32-bit program's sleep, by any entry, resumes as its ABI's restart_syscall."""
    task = compat_task(guest, compat)
    entry = entry_of(guest, task, way)
    task.install(NO_RESTART).result()
    call = task.begin("poll", 0, 0, HOUR_MS, entry=entry)
    call.wait_until_blocked()
    guest.init.kill(task, Signal.STOP).result()
    task.wait_state("T")
    guest.init.kill(task, Signal.CONT).result()
    assert call.outcome() == EPERM


@pytest.mark.requirement("seccomp.restart-32-bit")
@pytest.mark.parametrize("way", ENTRIES)
def test_a_notified_call(compat: AgentProgram, guest: Guest, way: Entry) -> None:
    """A call that a handled signal restarts is the same to its filter: number, six arguments, address."""
    pair = CompatPair(guest, compat)
    entry = entry_of(guest, pair.target, way)
    pair.target.catch(Signal.USR1, restart=True).result()
    pair.filter(policy(notify("getppid")))
    call = pair.target.begin("getppid", *VALUES, entry=entry)
    first = pair.receive()
    pair.interrupt(Signal.USR1)
    second = pair.receive_after_signal()
    assert second == replace(first, id=second.id)
    assert first.args == VALUES
    assert pair.reply(second, value=77) == OK
    assert call.outcome() == returned(77)
    assert len(pair.target.caught_signals()) == 1


@of_x86
@pytest.mark.requirement("seccomp.restart-debugger")
def test_a_32_bit_debugger(compat: AgentProgram, guest: Guest) -> None:
    """A call resumes although a 32-bit debugger has restored its registers, which have no sign, in a later stop.

    A debugger does that when its user has it call a function of the interrupted program.
    """
    debugger = guest.spawn("debugger")
    debugger.become(compat).result()
    task = unprivileged(guest, "32-bit", parent=debugger)
    task.install(NO_RESTART).result()
    call = task.begin("poll", 0, 0, HOUR_MS, entry=Entry.VDSO)
    call.wait_until_blocked()
    debugger.seize_and_stop(task)
    saved = debugger.registers(task)
    require(saved["eax"] == -ERESTART_RESTARTBLOCK & 0xFFFFFFFF, f"{call} was not interrupted")
    # Let one instruction run instead, so that the kernel is entered again, and not by a call.
    debugger.set_registers(task, orig_eax=-1).result()
    debugger.ptrace(Ptrace.SINGLESTEP, task).result()
    require(debugger.wait(task).stopped_by == Signal.TRAP, f"{task} has not made a step")
    debugger.set_registers(task, **saved).result()
    debugger.resume(task).result()
    assert call.outcome() == EPERM
