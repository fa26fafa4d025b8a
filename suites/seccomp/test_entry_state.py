# SPDX-License-Identifier: GPL-2.0-or-later
"""What the state of a task says at the entry of a call, and after it: its ABI, its registers, flags and segments."""

from __future__ import annotations

import pytest

from guests.bpf import deny, kill_process, policy
from guests.call_arguments import InOut, Out
from guests.guest import Guest
from guests.outcome import EINVAL, ENOSYS, OK, killed, mismatches, returned
from guests.syscall_sweep import sweep
from guests.uapi import Ptrace, PtraceOption, Signal, number
from suites.seccomp.support.filtered_tasks import unprivileged
from suites.seccomp.support.machine_code import MachineCode
from suites.seccomp.support.syscall_traced_pair import SYSCALL_STOP, SyscallTracedPair
from suites.seccomp.support.traced_pair import TracedPair

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

# The number of getppid() is that of iopl() on i386.
NO_IOPL = policy(deny("iopl", errno=EINVAL), arch="i386")

ORIG_EAX = 44
"""Offset in the memory that i386's PTRACE_POKEUSR addresses."""

NESTED_TASK = 0x4000
"""A flag of the processor, with which no interrupt handler can return in 64-bit mode."""


FIRST_CALL_OF_A_CHILD = """
    53                      # push %rbx
    b8 be 00 00 00          # mov $190, %eax         vfork() of i386
    cd 80                   # int $0x80
    85 c0                   # test %eax, %eax
    75 0e                   # jnz parent
    89 f0                   # mov %esi, %eax
    0f 05                   # syscall
    48 89 07                # mov %rax, (%rdi)
    b8 3c 00 00 00          # mov $60, %eax          exit()
    0f 05                   # syscall
    5b                      # parent: pop %rbx
    c3                      # ret
"""


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.entry-compat-fork")
def test_the_first_call_of_a_child_of_an_int80_fork(guest: Guest) -> None:
    """A child that was created by int 0x80 is filtered by the ABI of its own calls, from the first one on."""
    task = unprivileged(guest)
    code = MachineCode(task, FIRST_CALL_OF_A_CHILD)
    task.install(NO_IOPL).result()
    # Several times, because an interrupt before the child's call would hide what the kernel keeps of its parent's.
    for _ in range(3):
        done = code.run(Out(8), task.number("getppid"))
        task.call("wait4", done.result(), Out(4), 0, None).result()
        assert task.abi.unpack("q", done.read()) == (task.pid,)
    assert task.call32("iopl", 0) == EINVAL


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.entry-compat-tracer")
def test_a_tracers_32_bit_calls(guest: Guest) -> None:
    """A tracer that sets the number of a 64-bit call by a 32-bit ptrace() does not make it a 32-bit call."""
    pair = SyscallTracedPair(guest, NO_IOPL)
    call = pair.stop_at_entry("getuid")
    pair.tracer.call32("ptrace", Ptrace.POKEUSR, pair.tracee.tid, ORIG_EAX, pair.tracee.number("getppid")).result()
    assert pair.check_exit_stop() == pair.tracer.pid
    assert call.outcome() == returned(pair.tracer.pid)
    pair.release()
    assert pair.tracee.call32("iopl", 0) == EINVAL


@pytest.mark.needs("X86_X32_ABI")
@pytest.mark.boot("syscall.x32=y")
@pytest.mark.requirement("seccomp.entry-x32-bit")
def test_numbers_of_x32_without_its_bit(guest: Guest) -> None:
    """The calls that x32 has for itself, from 512 on, do not exist without the x32 bit in their number."""
    x32_only = range(512, 548)
    task = unprivileged(guest)
    # A kernel that did run them would trace the task, or return from a signal that there was not.
    skip = {number(name, "x32") & 0x3FF for name in ("ptrace", "rt_sigreturn")}
    found = {str(nr): (outcome, ENOSYS) for nr, outcome in sweep(task, x32_only, skip=skip).items()}
    assert mismatches(found) == []
    assert task.call_x32("rt_sigpending", Out(8), 8) == OK


INT80_BETWEEN_REGISTERS = """
    53                      # push %rbx
    4c 8b 07                # mov (%rdi), %r8
    4c 8b 4f 08             # mov 8(%rdi), %r9
    4c 8b 57 10             # mov 16(%rdi), %r10
    4c 8b 5f 18             # mov 24(%rdi), %r11
    b8 14 00 00 00          # mov $20, %eax          getpid() of i386
    cd 80                   # int $0x80
    4c 89 07                # mov %r8, (%rdi)
    4c 89 4f 08             # mov %r9, 8(%rdi)
    4c 89 57 10             # mov %r10, 16(%rdi)
    4c 89 5f 18             # mov %r11, 24(%rdi)
    5b                      # pop %rbx
    c3                      # ret
"""


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.entry-int80-registers")
def test_registers_after_int80(guest: Guest) -> None:
    """An int 0x80 call preserves r8 to r11, all 64 bits of them, whether its task has filters or not."""
    task = unprivileged(guest)
    code = MachineCode(task, INT80_BETWEEN_REGISTERS)
    values = guest.init.abi.pack("4Q", *(0x8877665544332200 + place for place in range(8, 12)))
    for _ in ("without a filter", "with one"):
        done = code.run(InOut(values))
        assert done == returned(task.pid)
        assert done.read() == values
        task.install(NO_IOPL).result()


CALLS_WITH_A_FLAG = """
    53                      # push %rbx
    bb 64 00 00 00          # mov $100, %ebx
    9c                      # again: pushfq
    48 81 0c 24 00 40 00 00 # orq $0x4000, (%rsp)
    9d                      # popfq
    b8 3e 00 00 00          # mov $62, %eax          kill()
    0f 05                   # syscall
    9c                      # pushfq
    48 81 24 24 ff bf ff ff # andq $~0x4000, (%rsp)
    9d                      # popfq
    85 c0                   # test %eax, %eax
    75 04                   # jnz done
    ff cb                   # dec %ebx
    75 dd                   # jnz again
    5b                      # done: pop %rbx
    c3                      # ret
"""


@pytest.mark.requirement("seccomp.entry-nested-task")
def test_calls_with_the_nested_task_flag(guest: Guest) -> None:
    """A call works with the processor's flag NT set: the kernel clears it for itself, and restores it afterwards.

    A hundred times, because a kernel that keeps it loses it whenever another task runs before the call returns.
    """
    task = unprivileged(guest)
    task.catch(Signal.USR1).result()
    # The kernel returns to the handler by iret, which fails while NT is set.
    assert MachineCode(task, CALLS_WITH_A_FLAG).run(task.own_tid, Signal.USR1) == returned(0)
    latest = task.caught_signals()
    assert [caught.registers["eflags"] & NESTED_TASK for caught in latest] == [NESTED_TASK] * 8


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.entry-tls")
def test_segments_of_16_bits(guest: Guest) -> None:
    """set_thread_area(), which a 64-bit program reaches by int 0x80, takes segments of 32 bits and no others."""
    task = guest.spawn("task")
    seg_32bit, in_pages, useable = 1, 1 << 4, 1 << 6
    flags = {"32 bits": (seg_32bit | in_pages | useable, OK), "16 bits": (in_pages | useable, EINVAL)}
    found = {
        name: (task.call32("set_thread_area", InOut(task.abi.pack("iIII", -1, 0, 0xFFFFF, bits))), wanted)
        for name, (bits, wanted) in flags.items()
    }
    assert mismatches(found) == []


CALL_AFTER_A_STOP = """
    cc                      # int3
    b8 6e 00 00 00          # mov $110, %eax         getppid()
    0f 05                   # syscall
    c3                      # ret
"""


@pytest.mark.requirement("seccomp.entry-emulation-steps")
def test_emulation_in_steps(guest: Guest) -> None:
    """PTRACE_SYSEMU_SINGLESTEP stops after an instruction, and then at the entry of a call, which does not run."""
    pair = TracedPair(guest, policy(kill_process("getppid")), options=PtraceOption.TRACESYSGOOD)
    code = MachineCode(pair.tracee, CALL_AFTER_A_STOP)
    running = code.begin()
    assert pair.tracer.wait(pair.tracee).stopped_by == Signal.TRAP
    for stop in (Signal.TRAP, SYSCALL_STOP):
        pair.tracer.ptrace(Ptrace.SYSEMU_SINGLESTEP, pair.tracee).result()
        assert pair.tracer.wait(pair.tracee).stopped_by == stop
    assert pair.tracer.registers(pair.tracee).nr == number("getppid")
    pair.change(result=77)
    pair.resume()
    assert running.outcome() == returned(77)
    # The control: the tracer does not emulate the call.
    running = code.begin()
    pair.tracer.wait(pair.tracee)
    pair.resume()
    running.outcome().require(killed(Signal.SYS))
