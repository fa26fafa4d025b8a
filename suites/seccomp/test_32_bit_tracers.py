# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracers and tracees of different ABIs: what each sees of a filtered call, and as whose call it is judged."""

from __future__ import annotations

import errno

import pytest

from guests.abi import AgentProgram
from guests.bpf import ARCH, AUDIT_ARCH, JEQ, Action, Instruction, deny, kill_process, load, policy, ret, trace
from guests.call_arguments import InOut
from guests.errors import require
from guests.guest import Guest
from guests.outcome import ECHILD, EINVAL, EPERM, Expected, killed, returned
from guests.protocol.wire import Entry
from guests.syscalls.syscall_info import SyscallStop
from guests.task import Task
from guests.uapi import PTRACE_EVENT_SECCOMP, Ptrace, PtraceOption, Signal, number
from suites.seccomp.support.compat_tasks import CompatTracedPair, of_x86, of_x86_64
from suites.seccomp.support.filtered_tasks import unprivileged
from suites.seccomp.support.syscall_traced_pair import SYSCALL_STOP

pytestmark = pytest.mark.needs("SECCOMP_FILTER", "COMPAT or X86_32")

I386, X86_64 = AUDIT_ARCH["i386"], AUDIT_ARCH["x86_64"]
SIZE_OF_32, SIZE_OF_64 = 17 * 4, 27 * 8
"""Size in bytes of the registers of 32-bit and 64-bit tracees."""
USER32_CS = 0x23
VALUES = tuple(0xF1223344 + 0x01010101 * i for i in range(6))
WIDE = tuple(value << 32 | value for value in VALUES)


def size_of_registers(tracer: Task, tracee: Task) -> int:
    """The size of NT_PRSTATUS as PTRACE_GETREGSET tells it."""
    buffer = tracer.store(bytes(512))
    vector = InOut(tracer.abi.words(buffer, 512))
    done = tracer.call("ptrace", Ptrace.GETREGSET, tracee.tid, 1, vector, shown=f"getregset({tracee})")
    return tracer.abi.split_words(done.read(), ("base", "length"))["length"]


def resume_to_event(tracer: Task, tracee: Task) -> None:
    tracer.resume_to_syscall(tracee).result()
    require(tracer.wait(tracee).event == PTRACE_EVENT_SECCOMP, f"{tracee} did not stop for TRACE")


@of_x86_64
@pytest.mark.requirement("seccomp.trace-32-bit")
@pytest.mark.parametrize("entry", [Entry.NATIVE, Entry.VDSO], ids=["int-0x80", "vdso"])
def test_a_64_bit_tracer(compat: AgentProgram, guest: Guest, entry: Entry) -> None:
    """A 64-bit tracer of a 32-bit program sees its call in every stop, and changes it to another call of i386."""
    judge = policy(trace("getppid", data=9), deny("geteuid32", errno=EINVAL), arch="i386")
    pair = CompatTracedPair(guest, compat, judge)
    tracer, tracee = pair.tracer, pair.tracee
    getppid = number("getppid", "i386")
    call = pair.stop_at_entry("getppid", *VALUES, entry=entry)
    registers = tracer.registers(tracee)
    assert (registers.nr, registers["cs"]) == (getppid, USER32_CS)
    assert size_of_registers(tracer, tracee) == SIZE_OF_32
    info = tracer.syscall_info(tracee)
    assert (info.op, info.arch, info.nr, info.arguments) == (SyscallStop.ENTRY, I386, getppid, VALUES)
    resume_to_event(tracer, tracee)
    info = tracer.syscall_info(tracee)
    assert (info.op, info.arch, info.nr, info.arguments) == (SyscallStop.SECCOMP, I386, getppid, VALUES)
    assert info.data == 9
    pair.change(nr=number("geteuid32", "i386"))
    tracer.resume_to_syscall(tracee).result()
    assert tracer.wait(tracee).stopped_by == SYSCALL_STOP
    info = tracer.syscall_info(tracee)
    assert (info.op, info.arch, info.result, info.is_error) == (SyscallStop.EXIT, I386, -errno.EINVAL, 1)
    pair.resume()
    assert call.outcome() == EINVAL


class MixedPair(CompatTracedPair):
    """A 64-bit tracee that is the child of a 32-bit tracer."""

    def __init__(self, guest: Guest, program: AgentProgram) -> None:
        self.tracer = guest.spawn("tracer")
        self.tracer.become(program).result()
        self.tracee = unprivileged(guest, "tracee", parent=self.tracer)
        self.tracee.become(guest.native).result()
        options = PtraceOption.TRACESECCOMP | PtraceOption.TRACESYSGOOD
        not_i386 = (load(ARCH), Instruction(JEQ, I386, 0, 1), ret(Action.ERRNO, errno.ECHILD), ret(Action.ALLOW))
        judge = policy(trace("getppid", data=0x1234), deny("geteuid", errno=EINVAL), kill_process("getgid"))
        for one in (not_i386, judge):
            self.tracee.install(one).result()
        self.tracer.seize(self.tracee, options).result()

    def poke_number(self, nr: int) -> None:
        """Change orig_eax, and no other register."""
        offset = 4 * self.tracer.abi.user_registers.index("orig_eax")
        self.tracer.ptrace(Ptrace.POKEUSR, self.tracee, offset, nr).result()


# fmt: off
CHANGES: dict[str, tuple[str, Expected]] = {
    # a 32-bit tracer changes a 64-bit getppid to
    "to-an-allowed-call": ("getuid",  returned(1000)),
    "to-a-denied-call":   ("geteuid", EINVAL),
    "to-a-killing-call":  ("getgid",  killed(Signal.SYS)),
}
# fmt: on


@of_x86_64
@pytest.mark.requirement("seccomp.trace-by-32-bit")
def test_a_32_bit_tracer(compat: AgentProgram, guest: Guest) -> None:
    """A 32-bit tracer of a 64-bit program sees the lower halves of its registers, and all of the call's description.

    A call that it changes remains a call of x86-64.
    """
    pair = MixedPair(guest, compat)
    tracer, tracee = pair.tracer, pair.tracee
    require(tracee.call32("getppid") == ECHILD, f"{tracee} may make i386 calls")
    for name, wanted in CHANGES.values():
        call = pair.stop("getppid", *WIDE)
        assert tracer.event_message(tracee) == 0x1234
        registers = tracer.registers(tracee)
        assert (registers["orig_eax"], registers["edi"]) == (number("getppid"), VALUES[0])
        assert size_of_registers(tracer, tracee) == SIZE_OF_64
        info = tracer.syscall_info(tracee)
        assert (info.op, info.arch, info.data) == (SyscallStop.SECCOMP, X86_64, 0x1234)
        assert (info.nr, info.arguments) == (number("getppid"), WIDE)
        pair.poke_number(number(name))
        pair.resume()
        assert call.outcome() == wanted


@of_x86_64
@pytest.mark.requirement("seccomp.trace-by-32-bit")
def test_a_32_bit_tracer_at_the_entry(compat: AgentProgram, guest: Guest) -> None:
    """Filters see a 64-bit call that a 32-bit tracer changes at its entry as a call of x86-64 with the new number."""
    pair = MixedPair(guest, compat)
    for name, wanted in CHANGES.values():
        call = pair.stop_at_entry("getpgrp")
        pair.poke_number(number(name))
        pair.resume()
        assert call.outcome() == wanted


@pytest.mark.requirement("seccomp.trace-by-32-bit", "seccomp.trace-skip")
@pytest.mark.parametrize("entry", [Entry.NATIVE, pytest.param(Entry.VDSO, marks=of_x86)], ids=["native", "vdso"])
def test_both_have_32_bits(compat: AgentProgram, guest: Guest, entry: Entry) -> None:
    """A 32-bit tracer sees a 32-bit tracee's call in its registers, changes it, and skips it with a result."""
    tracer = guest.spawn("tracer")
    tracer.become(compat).result()
    tracee = unprivileged(guest, "tracee", parent=tracer)
    tracee.install(policy(trace("getppid", data=7), deny("geteuid", errno=EINVAL))).result()
    tracer.seize(tracee, PtraceOption.TRACESECCOMP).result()
    changes: list[tuple[dict[str, int | str], Expected]] = [
        ({"nr": -1, "result": 42}, returned(42)),
        ({"nr": -1, "result": -errno.EPERM}, EPERM),
        ({"nr": "geteuid"}, EINVAL),
    ]
    for change, wanted in changes:
        call = tracee.begin("getppid", *VALUES, entry=entry)
        require(tracer.wait(tracee).event == PTRACE_EVENT_SECCOMP, f"{tracee} did not stop for TRACE")
        assert tracer.event_message(tracee) == 7
        registers = tracer.registers(tracee)
        assert (registers.nr, registers.arguments) == (tracee.number("getppid"), VALUES)
        tracer.set_registers(tracee, **change).result()
        tracer.resume(tracee).result()
        assert call.outcome() == wanted
