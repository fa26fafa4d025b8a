# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests of an established trace: options, pending signals, masks, and waiting for what execve() replaces."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.errors import SetupFailed, require
from guests.guest import Guest
from guests.outcome import ECHILD, EINTR, EINVAL, EIO, OK, Outcome, exited, killed, returned
from guests.syscalls.base import Pending
from guests.task import Task
from guests.uapi import (
    AT_FDCWD,
    PTRACE_EVENT_EXIT,
    PTRACE_EVENT_STOP,
    SIGINFO_SIZE,
    WALL,
    Ptrace,
    PtraceOption,
    Signal,
)
from suites.ptrace.support.programs import Programs, begin_execute

PTRACE_PEEKUSER, PTRACE_POKEUSER, DEBUG_REGISTERS = 3, 6, 848
"""The third is the offset of u_debugreg in struct user (arch/x86/include/asm/user_64.h)."""
ON_WRITING_8_BYTES = 1 | 1 << 16 | 2 << 18
"""Of debug register 7: the breakpoint of debug register 0."""
TRAP_HWBKPT = 4
KERNEL = 0xFFFFFFFF81000000
"""Where the kernel's code is on x86-64, if it is not moved."""
UNKNOWN_OPTION = 1 << 30
NO_SIGNAL = 65
"""One more than the last signal."""
REALTIME = 40
"""The first of some signals that nothing uses."""
SHARED, MOST_SIGNALS = 1, 4
"""PTRACE_PEEKSIGINFO_SHARED: the signals of the process, not of the thread; and how many signals are looked for."""
MADE = "/tmp/made"  # noqa: S108 - the guest's
MOST_STOPS = 12
"""At entries and exits of the call in which a task waits for orders, before the call that it was ordered to make."""


def bit(signal: int) -> int:
    """The signal in a mask."""
    return 1 << (signal - 1)


@pytest.mark.requirement("ptrace.options-all-or-none")
def test_refused_options(guest: Guest) -> None:
    """Options of which one is unknown are refused as a whole."""
    tracer = guest.spawn("tracer")
    for options, wanted, stops in (
        (PtraceOption.TRACEEXIT, OK, True),
        (int(PtraceOption.TRACEEXIT) | UNKNOWN_OPTION, EINVAL, False),
    ):
        tracee = guest.spawn("tracee")
        tracer.seize_and_stop(tracee)
        assert (
            tracer.call("ptrace", Ptrace.SETOPTIONS, tracee.tid, 0, options, shown=f"setoptions({options:#x})")
            == wanted
        )
        tracer.resume(tracee).result()
        ending = tracee.begin("exit_group", 7)
        status = tracer.wait(tracee)
        assert (status.event == PTRACE_EVENT_EXIT) == stops
        if status.event:
            tracer.resume(tracee).result()
            tracer.wait(tracee)
        ending.outcome().require(exited(7))


@pytest.mark.requirement("ptrace.refused-arguments")
def test_refused_arguments(guest: Guest) -> None:
    """A signal that does not exist, an address, and an option that does not exist are refused, and change nothing."""
    tracer, tracee, other = (guest.spawn(name) for name in ("tracer", "tracee", "other"))
    tracer.seize_and_stop(tracee)
    for request in (Ptrace.CONT, Ptrace.SYSCALL, Ptrace.DETACH):
        assert tracer.ptrace(request, tracee, 0, NO_SIGNAL) == EIO
    assert tracer.set_options(tracee, PtraceOption.NONE) == OK
    for address, options in ((1, 0), (0, UNKNOWN_OPTION)):
        assert tracer.ptrace(Ptrace.SEIZE, other, address, options) == EIO
    assert tracer.seize(other) == OK


@pytest.mark.requirement("ptrace.pending-signals")
@pytest.mark.parametrize(
    ("offset", "found"),
    [
        pytest.param(0, 1, id="the-first"),
        pytest.param(1, 0, id="one-after-the-last"),
        pytest.param((1 << 31) + 1, 0, id="above-2^31"),
        pytest.param((1 << 32) + 1, 0, id="above-2^32"),
        pytest.param((1 << 64) - 1, 0, id="the-greatest"),
    ],
)
def test_pending_signals(guest: Guest, offset: int, found: int) -> None:
    """PTRACE_PEEKSIGINFO finds the signals that are pending, and none where there is none."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    tracee.block(Signal.USR1).result()
    tracer.kill(tracee, Signal.USR1).result()
    tracer.seize_and_stop(tracee)
    which = tracer.abi.pack("QIi", offset, SHARED, 1)
    done = tracer.call("ptrace", Ptrace.PEEKSIGINFO, tracee.tid, which, Out(SIGINFO_SIZE), shown="peeksiginfo()")
    assert done == returned(found)
    assert done.read()[:4] == (tracer.abi.pack("I", Signal.USR1) if found else bytes(4))


def pending_signals(tracer: Task, tracee: Task, flags: int, offset: int = 0) -> list[int]:
    """Those that PTRACE_PEEKSIGINFO finds, from an offset on."""
    which = tracer.abi.pack("QIi", offset, flags, MOST_SIGNALS)
    buffer = Out(MOST_SIGNALS * SIGINFO_SIZE)
    done = tracer.call(
        "ptrace", Ptrace.PEEKSIGINFO, tracee.tid, which, buffer, shown=f"peeksiginfo({flags}, {offset})"
    )
    found = done.read()
    return [tracer.abi.unpack_from("i", found, SIGINFO_SIZE * index)[0] for index in range(done.value)]


@pytest.mark.requirement("ptrace.pending-signals")
def test_pending_signals_of_whom(guest: Guest) -> None:
    """The signals of the thread, or of the process, in the order in which they were sent."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    of_process, of_thread = [Signal.USR1, REALTIME + 1, REALTIME], [Signal.USR2, REALTIME + 2]
    mask = tracee.abi.pack("Q", sum(map(bit, (*of_process, *of_thread))))
    tracee.call("rt_sigprocmask", 0, mask, None, 8, shown="block(all of them)").result()
    for signal in of_process:
        tracer.call("kill", tracee.pid, signal, shown=f"kill({tracee}, {signal})").result()
    for signal in of_thread:
        tracer.call("tgkill", tracee.pid, tracee.tid, signal, shown=f"tgkill({tracee}, {signal})").result()
    tracer.seize_and_stop(tracee)
    assert pending_signals(tracer, tracee, 0) == of_thread
    assert pending_signals(tracer, tracee, SHARED) == of_process
    assert pending_signals(tracer, tracee, SHARED, 1) == of_process[1:]


@pytest.mark.requirement("ptrace.signal-mask-without-kill")
def test_mask_without_kill_and_stop(guest: Guest) -> None:
    """A mask of all signals that a tracer sets blocks all but SIGKILL and SIGSTOP."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    tracer.seize_and_stop(tracee)
    assert tracer.call("ptrace", Ptrace.SETSIGMASK, tracee.tid, 8, b"\xff" * 8, shown="setsigmask(all)") == OK
    mask = tracer.call("ptrace", Ptrace.GETSIGMASK, tracee.tid, 8, Out(8), shown="getsigmask()").read()
    assert tracer.abi.unpack("Q", mask) == (~(bit(Signal.KILL) | bit(Signal.STOP)) & ((1 << 64) - 1),)
    assert tracer.detach(tracee) == OK
    assert tracer.kill(tracee, Signal.TERM) == OK
    assert tracee.call("getppid") == OK
    assert tracer.kill(tracee, Signal.KILL) == OK
    assert tracee.wait_death() == killed(Signal.KILL)


@pytest.mark.requirement("ptrace.signal-mask")
def test_mask_of_a_call(guest: Guest) -> None:
    """A tracer gets and sets the tracee's mask, and not that of the call in which it waits."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    tracee.block(Signal.USR1).result()
    tracee.catch(Signal.HUP).result()
    tracer.seize(tracee).result()
    waiting = tracee.begin("rt_sigsuspend", tracee.abi.pack("Q", bit(Signal.USR1) | bit(Signal.USR2)), 8)
    waiting.wait_until_blocked()
    tracer.interrupt(tracee).result()
    require(tracer.wait(tracee).event == PTRACE_EVENT_STOP, f"{tracee} did not stop when it was interrupted")

    def mask() -> int:
        done = tracer.call("ptrace", Ptrace.GETSIGMASK, tracee.tid, 8, Out(8), shown="getsigmask()")
        return int(tracer.abi.unpack("Q", done.read())[0])

    # The signal that ends the call is blocked outside of it, or it might come before the call begins again.
    new = bit(Signal.HUP) | bit(Signal.USR2)
    assert mask() == bit(Signal.USR1)
    shown = "setsigmask(HUP, USR2)"
    assert tracer.call("ptrace", Ptrace.SETSIGMASK, tracee.tid, 8, tracer.abi.pack("Q", new), shown=shown) == OK
    assert mask() == new
    tracer.detach(tracee).result()
    tracer.kill(tracee, Signal.HUP).result()
    waiting.outcome().require(EINTR)
    assert tracee.call("rt_sigprocmask", 0, None, Out(8), 8).read() == tracee.abi.pack("Q", new)


@pytest.mark.requirement("ptrace.wait-for-a-replaced-leader")
def test_wait_for_a_leader_that_execve_replaces(guest: Guest) -> None:
    """A tracer of the leader alone, which waits for any tracee, gets ECHILD once that one is gone."""
    tracer, leader = guest.spawn("tracer"), guest.spawn("leader")
    thread = leader.thread("thread")
    path = Programs(guest).create()
    tracer.seize(leader).result()
    waiting = tracer.begin("wait4", -1, Out(4), WALL, None, shown="wait(any)")
    waiting.wait_until_blocked()
    begin_execute(thread, path).outcome().result()
    assert waiting.outcome() == ECHILD


@pytest.mark.requirement("ptrace.wait-for-traced-threads")
def test_wait_for_a_traced_thread(guest: Guest) -> None:
    """wait4() without __WALL waits for a thread as for a child that sends SIGCHLD, if the caller traces it."""
    tracer, leader = guest.spawn("tracer"), guest.spawn("leader")
    thread = leader.thread("thread")
    assert tracer.call("wait4", thread.tid, Out(4), 0, None) == ECHILD
    tracer.seize(thread).result()
    tracer.interrupt(thread).result()
    assert tracer.call("wait4", thread.tid, Out(4), 0, None) == returned(thread.tid)
    tracer.detach(thread).result()
    assert tracer.call("wait4", thread.tid, Out(4), 0, None) == ECHILD


def set_debug_register(tracer: Task, tracee: Task, register: int, value: int) -> Outcome:
    shown = f"set_debug_register({tracee}, {register}, {value:#x})"
    return tracer.call("ptrace", PTRACE_POKEUSER, tracee.tid, DEBUG_REGISTERS + 8 * register, value, shown=shown)


@pytest.mark.needs("X86_64", "HAVE_HW_BREAKPOINT", "PERF_EVENTS")
@pytest.mark.requirement("ptrace.breakpoint-refused")
def test_breakpoint_in_the_kernel(guest: Guest) -> None:
    """A breakpoint that a tracer may not move to an address of the kernel stays where it is."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    address = tracee.store(bytes(16))
    tracer.seize_and_stop(tracee)
    for value, wanted, then in ((address, OK, address), (KERNEL, EINVAL, address), (address + 8, OK, address + 8)):
        assert set_debug_register(tracer, tracee, 0, value) == wanted
        found = tracer.call("ptrace", PTRACE_PEEKUSER, tracee.tid, DEBUG_REGISTERS, Out(8), shown="debug_register(0)")
        assert tracer.abi.integer(found.read()) == then


@pytest.mark.needs("X86_64", "HAVE_HW_BREAKPOINT", "PERF_EVENTS")
@pytest.mark.requirement("ptrace.breakpoints-stay")
def test_breakpoint_after_detaching(guest: Guest) -> None:
    """A hardware breakpoint that a tracer has set stays after it has detached: the process gets SIGTRAP there."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    tracee.catch(Signal.TRAP).result()
    watched, beside = (tracee.store(bytes(8)) for _ in range(2))
    tracer.seize_and_stop(tracee)
    for register, value in ((0, watched), (7, ON_WRITING_8_BYTES)):
        set_debug_register(tracer, tracee, register, value).result()
    tracer.detach(tracee).result()
    assert tracee.copy(beside, watched, 8) == OK
    assert tracee.caught_signals() == []
    assert tracee.copy(watched, beside, 8) == OK
    assert {(signal.signal, signal.code) for signal in tracee.caught_signals()} == {(Signal.TRAP, TRAP_HWBKPT)}


def at_entry_of_mkdir(tracer: Task, tracee: Task) -> Pending:
    """Let the tracee begin a mkdir(), and stop it at the entry."""
    tracer.seize_and_stop(tracee)
    making = tracee.begin("mkdirat", AT_FDCWD, MADE, 0o755)
    for _ in range(MOST_STOPS):
        tracer.resume_to_syscall(tracee).result()
        tracer.wait(tracee)
        if tracer.registers(tracee).nr == tracee.number("mkdirat"):
            return making
    raise SetupFailed(f"{tracee} makes no mkdir()")


@pytest.mark.requirement("ptrace.killed-at-entry")
def test_killed_at_the_entry_of_a_call(guest: Guest) -> None:
    """A tracee that is killed at the entry of a system call does not make it; one that goes on does."""
    tracer = guest.spawn("tracer")
    killed_one, other = guest.spawn("killed"), guest.spawn("other")
    making = at_entry_of_mkdir(tracer, killed_one)
    tracer.kill(killed_one, Signal.KILL).result()
    assert making.outcome() == killed(Signal.KILL)
    assert not guest.exists(MADE)
    making = at_entry_of_mkdir(tracer, other)
    tracer.detach(other).result()
    assert making.outcome() == OK
    assert guest.exists(MADE)
