# SPDX-License-Identifier: GPL-2.0-or-later
"""How processes dispose of signals: what a program can set, what a new program finds, and where a handler may run."""

from __future__ import annotations

import pytest

from guests.bpf import policy, trap
from guests.call_arguments import Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import OK, killed, returned
from guests.syscalls.signals import SA_RESTORER
from guests.task import Task
from guests.uapi import Signal
from suites.seccomp.support.filtered_tasks import check_caught, first_of_a_pid_namespace, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

SIG_DFL, SIG_IGN = 0, 1
ALL_FLAGS = (1 << 64) - 1
API_FLAGS = 0xDC000807
"""SA_NOCLDSTOP, NOCLDWAIT, SIGINFO, EXPOSE_TAGBITS, RESTORER, ONSTACK, RESTART, NODEFER and RESETHAND."""
IMMUTABLE = 0x00800000
"""The kernel's own mark of a signal that no tracer sees and nobody changes (include/linux/signal_types.h)."""
MINSIGSTKSZ = 2048


def disposition(task: Task, signal: Signal) -> tuple[int, int, int, int]:
    """Handler, flags, restorer and mask, as rt_sigaction() returns them."""
    old = task.call("rt_sigaction", signal, None, Out(task.abi.action_size), 8, shown=f"disposition({signal.name})")
    return task.abi.split_action(old.read())


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("seccomp.signal-init")
def test_the_first_process_of_a_pid_namespace(guest: Guest) -> None:
    """pid 1 of a pid namespace ignores signals from outside, but for SIGKILL and those that it handles."""
    first, process = first_of_a_pid_namespace(guest), guest.spawn("process")
    for signal in (Signal.TERM, Signal.HUP, Signal.SEGV):
        guest.init.kill(first, signal).result()
        assert first.call("getpid") == returned(1)
    first.catch(Signal.TERM).result()
    guest.init.kill(first, Signal.TERM).result()
    assert first.call("getpid") == returned(1)
    assert check_caught(first).signal == Signal.TERM
    guest.init.kill(first, Signal.KILL).result()
    assert first.wait_death() == killed(Signal.KILL)
    guest.init.kill(process, Signal.TERM).result()
    assert process.wait_death() == killed(Signal.TERM)


@pytest.mark.requirement("seccomp.signal-flags")
def test_flags_that_are_not_of_the_api(guest: Guest) -> None:
    """rt_sigaction() drops unknown flags, and the kernel's own: no program can hide a signal from its tracer."""
    tracer = guest.spawn("tracer")
    task = tracer.spawn("task")
    known = task.abi.action_flags | (API_FLAGS if task.abi.has_restorer else API_FLAGS & ~SA_RESTORER)
    for handler, flags, kept in ((SIG_IGN, ALL_FLAGS & ~IMMUTABLE, known), (SIG_DFL, IMMUTABLE, 0)):
        action = task.abi.action(handler, flags & (2 * task.abi.highest_bit - 1), 0)
        task.call("rt_sigaction", Signal.USR1, action, None, 8, shown=f"use flags {flags:#x}").result()
        assert disposition(task, Signal.USR1) == (handler, kept, 0, 0)
    tracer.seize(task).result()
    tracer.kill(task, Signal.USR1).result()
    assert tracer.wait(task).stopped_by == Signal.USR1
    tracer.resume(task).result()
    assert task.ignore(Signal.USR1) == OK


@pytest.mark.requirement("seccomp.signal-exec")
def test_a_new_program(guest: Guest) -> None:
    """A program finds nothing of its predecessor's handlers; a signal that was ignored is still ignored."""
    task = unprivileged(guest)
    task.catch(Signal.USR1, restart=True).result()
    task.ignore(Signal.USR2).result()
    restorer = guest.hello.signal_restorer if task.abi.has_restorer else 0
    require(disposition(task, Signal.USR1)[2] == restorer, "the handler has another restorer")
    task.execute(guest.program).result()
    assert disposition(task, Signal.USR1) == (SIG_DFL, 0, 0, 0)
    assert disposition(task, Signal.USR2) == (SIG_IGN, 0, 0, 0)


@pytest.mark.needs("X86_INTEL_MEMORY_PROTECTION_KEYS")
@pytest.mark.lacks("STRICT_SIGALTSTACK_SIZE")
@pytest.mark.requirement("seccomp.signal-stack")
def test_a_frame_that_is_too_large_for_its_stack(guest: Guest) -> None:
    """If the frame of a SIGSYS does not fit on the alternate stack, the task dies, and nothing below is overwritten.

    With the register of protection keys in it, a frame has more than 2600 bytes, and the smallest stack has 2048.
    """
    if " ospke" not in guest.read_file("/proc/cpuinfo"):
        pytest.skip("needs a processor with memory protection keys")
    below = b"\xa5" * 2048
    task, reader = unprivileged(guest), guest.spawn("reader")
    memory = task.store(below + bytes(8 * MINSIGSTKSZ))
    task.catch(Signal.SYS, result=42, on_stack=True).result()
    task.install(policy(trap("getppid"))).result()
    for size, wanted in ((8 * MINSIGSTKSZ, returned(42)), (MINSIGSTKSZ, killed(Signal.SEGV))):
        stack = task.abi.words(memory + len(below), 0, size)
        task.call("sigaltstack", stack, None, shown=f"sigaltstack({size} bytes)").result()
        assert task.call("getppid") == wanted
    # All tasks share the memory that they store in.
    copied = reader.store(bytes(len(below)))
    reader.copy(copied, memory, len(below)).result()
    assert reader.load(copied, len(below)) == below
