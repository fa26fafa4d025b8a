# SPDX-License-Identifier: GPL-2.0-or-later
"""32-bit programs: what filters see of their calls, by each of the instructions that enter the kernel."""

from __future__ import annotations

import errno

import pytest

from guests import bpf
from guests.abi import AgentProgram
from guests.bpf import Action, Instruction, Program, arg, deny, load, policy, ret, trace
from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EACCES, EPERM, OK, error, killed, returned
from guests.protocol.wire import Entry
from guests.syscalls.signals import SignalInfo
from guests.uapi import Ptrace, Signal, number
from suites.seccomp.support.compat_tasks import (
    ENTERING,
    ENTRIES,
    FAST,
    CompatPair,
    CompatTracedPair,
    compat_task,
    entry_of,
)

pytestmark = pytest.mark.needs("SECCOMP_FILTER", "COMPAT or X86_32")

NO_CALL = 0x1000
VALUES = tuple(0xF1223344 + 0x01010101 * i for i in range(6))
"""Arguments that would show it if they were sign-extended."""
FIRST_WORD = 1000
"""What a filter answers if a word of what it sees is not as expected: this, and the word's number."""
AS_EXPECTED = error(FIRST_WORD - 1)
NOWHERE = 0x1000
OF_64_BITS = {"i386": "x86_64", "arm": "aarch64"}
"""The ABIs of 64-bit programs that kernels have beside these."""
OF_THE_TRACER = {
    "x86_64": ("orig_rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp"),
    "i386": ("orig_eax", "ebx", "ecx", "edx", "esi", "edi", "ebp"),
}
"""The number and the arguments of a 32-bit program's call, as its tracer's ABI names the registers."""


def compare(words: dict[int, int]) -> Program:
    """Compare 32-bit words of struct seccomp_data, by number, in calls of NO_CALL; allow all others."""
    program = [load(bpf.NR), Instruction(bpf.JEQ, NO_CALL, 1, 0), ret(Action.ALLOW)]
    for word, value in words.items():
        program += [load(4 * word), Instruction(bpf.JEQ, value, 1, 0), ret(Action.ERRNO, FIRST_WORD + word)]
    return (*program, ret(Action.ERRNO, FIRST_WORD - 1))


@pytest.mark.requirement("seccomp.data-32-bit")
@pytest.mark.parametrize("way", ENTRIES)
def test_what_a_filter_sees(compat: AgentProgram, guest: Guest, way: Entry) -> None:
    """Filter and supervisor see the ABI's number and architecture, six arguments without a sign, and the address.

    The address is after the instruction by which a call restarts: i386's vDSO has an `int $0x80` beside its own.
    """
    pair = CompatPair(guest, compat)
    task = pair.target
    entry = entry_of(guest, task, way)
    arguments = {4 + word: 0 if word % 2 else VALUES[word // 2] for word in range(12)}
    task.install(compare({0: NO_CALL, 1: compat.abi.audit_arch, 3: 0, **arguments})).result()
    assert task.call(NO_CALL, *VALUES, entry=entry) == AS_EXPECTED
    assert task.call(NO_CALL, *VALUES[:5], VALUES[5] ^ 1, entry=entry) == error(FIRST_WORD + 14)

    pair.filter(policy(bpf.notify("getppid")))
    call = task.begin("getppid", *VALUES, entry=entry)
    notif = pair.receive()
    assert (notif.nr, notif.arch, notif.args) == (task.number("getppid"), compat.abi.audit_arch, VALUES)
    entering = ENTERING[compat.abi.name]
    assert guest.init.read_memory(task, notif.instruction_pointer - len(entering), len(entering)) == entering
    assert pair.reply(notif, error=-errno.EACCES) == OK
    assert call.outcome() == EACCES


@pytest.mark.requirement("seccomp.sixth-argument")
@pytest.mark.parametrize("instruction", FAST)
def test_the_sixth_argument_cannot_be_read(compat: AgentProgram, guest: Guest, instruction: Entry) -> None:
    """SYSENTER and SYSCALL take the sixth argument from the stack; if they cannot, the call fails with EFAULT.

    Neither its tracer nor its filters, which would kill the task, see the call.  It then uses that stack, and dies.
    """
    kill_all = (ret(Action.KILL_PROCESS),)
    control = compat_task(guest, compat, "control")
    entry = entry_of(guest, control, instruction)
    control.install(kill_all).result()
    assert control.call("getppid", entry=entry) == killed(Signal.SYS)

    pair = CompatTracedPair(guest, compat, kill_all)
    tracer, tracee = pair.tracer, pair.tracee
    tracer.interrupt(tracee).result()
    tracer.wait(tracee)
    tracer.resume_to_syscall(tracee).result()
    call = tracee.begin("getppid", 0, 0, 0, 0, 0, NOWHERE, entry=instruction)
    assert tracer.wait(tracee).stopped_by == Signal.SEGV
    registers = tracer.registers(tracee)
    assert registers.result & 0xFFFFFFFF == -errno.EFAULT & 0xFFFFFFFF
    assert registers.sp == NOWHERE
    raw = tracer.ptrace(Ptrace.GETSIGINFO, tracee, 0, Out(128)).read()
    # si_addr is where si_call_addr of a SIGSYS is.
    assert SignalInfo.decode_siginfo(raw, tracer.abi).call_address == NOWHERE
    tracer.resume(tracee, Signal.SEGV).result()
    assert call.outcome() == killed(Signal.SEGV)


@pytest.mark.requirement("seccomp.sixth-argument", "seccomp.trace-recheck")
@pytest.mark.parametrize("way", ENTRIES)
def test_the_tracer_changes_the_sixth_argument(compat: AgentProgram, guest: Guest, way: Entry) -> None:
    """A tracer finds the sixth argument in ebp, wherever the task has passed it, and filters judge its change."""
    judge = policy(
        trace("getppid", when=arg(5) == VALUES[5]), deny("getppid", errno=EPERM, when=arg(5) == 7), arch="i386"
    )
    pair = CompatTracedPair(guest, compat, judge)
    entry = entry_of(guest, pair.tracee, way)
    nr = number("getppid", "i386")
    call = pair.stop(nr, *VALUES, entry=entry)
    registers = pair.tracer.registers(pair.tracee)
    names = OF_THE_TRACER[pair.tracer.abi.name]
    assert [registers[name] for name in names] == [nr, *VALUES]
    pair.change(**{names[-1]: 7})
    pair.resume()
    assert call.outcome() == EPERM
    assert pair.tracee.call(nr, *VALUES[:5], 8, entry=entry) == returned(pair.tracer.pid)


@pytest.mark.requirement("seccomp.strict-32-bit")
@pytest.mark.parametrize("way", ENTRIES)
def test_strict_mode(compat: AgentProgram, guest: Guest, way: Entry) -> None:
    """In strict mode, a 32-bit program may write, and dies of any other call, by every entry."""
    task = guest.spawn("strict", quiet=True)
    task.become(compat).result()
    entry = entry_of(guest, task, way)
    reading, writing = task.pipe()
    task.enter_strict_mode().result()
    content = task.store(b"abc")
    assert task.call("write", writing, content, 3, entry=entry) == returned(3)
    assert task.call("read", reading, content, 3, entry=entry) == returned(3)
    # 64-bit programs' number of exit(), which strict mode allows them.
    of_64_bits = number("exit", OF_64_BITS[compat.abi.name])
    assert task.call(of_64_bits, 0, entry=entry) == killed(Signal.KILL)
