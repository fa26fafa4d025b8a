# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals of traced tasks, like those that filters force: their order, their recipient, steps and group stops."""

from __future__ import annotations

import pytest

from guests.bpf import policy, trap
from guests.errors import require
from guests.guest import Guest
from guests.outcome import OK, returned
from guests.task import Task
from guests.uapi import Ptrace, PtraceOption, Signal
from suites.seccomp.support.filtered_tasks import check_caught, signal_mask, status, trapped
from suites.seccomp.support.syscall_traced_pair import SYSCALL_STOP, SyscallTracedPair

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

TRAP_FLAG = 0x100


def pending(guest: Guest, task: Task, signal: Signal) -> bool:
    """Whether a signal is pending for this thread, and not for its process."""
    return int(status(guest, task)["SigPnd"], 16) & signal_mask(signal) != 0


@pytest.mark.requirement("seccomp.signal-synchronous")
def test_a_sent_signal_comes_after_that_of_the_call(guest: Guest) -> None:
    """The SIGSYS of TRAP is delivered before a SIGSEGV that somebody had sent before the call was filtered."""
    pair = SyscallTracedPair(guest, policy(trap("getppid")))
    call = pair.stop_at_entry("getppid")
    pair.tracer.call("tgkill", pair.tracee.pid, pair.tracee.tid, Signal.SEGV).result()
    require(pending(guest, pair.tracee, Signal.SEGV), f"SIGSEGV is not pending for {pair.tracee}")
    stops = []
    for _ in range(2):
        pair.tracer.resume(pair.tracee).result()
        stops.append(pair.tracer.wait(pair.tracee).stopped_by)
    assert stops == [Signal.SYS, Signal.SEGV]
    pair.tracer.resume(pair.tracee).result()
    call.outcome().require(trapped(pair.tracee))


@pytest.mark.requirement("seccomp.signal-requeue")
def test_a_signal_that_a_tracer_replaces(guest: Guest) -> None:
    """A signal for a process goes to another thread if a tracer makes one of it that the traced thread blocks."""
    tracer = guest.spawn("tracer")
    leader = tracer.spawn("leader")
    other = leader.thread("other")
    leader.catch(Signal.USR1).result()
    other.catch(Signal.USR2).result()
    leader.block(Signal.USR2).result()
    other.block(Signal.USR1).result()
    tracer.seize(leader).result()
    tracer.kill(leader, Signal.USR1).result()
    require(tracer.wait(leader).stopped_by == Signal.USR1, f"{leader} did not stop for SIGUSR1")
    tracer.resume(leader, Signal.USR2).result()
    guest.wait_until(
        lambda: pending(guest, leader, Signal.USR2) or other.caught_signals() != [],
        f"SIGUSR2 to arrive at {leader} or {other}",
    )
    assert not pending(guest, leader, Signal.USR2), f"SIGUSR2 is pending for {leader} alone"
    assert check_caught(other).signal == Signal.USR2
    assert leader.caught_signals() == []


@pytest.mark.requirement("seccomp.signal-stepping")
def test_a_handler_begins_in_a_step(guest: Guest) -> None:
    """A tracer that steps into a handler leaves nothing of that in the registers to which the handler returns."""
    tracer = guest.spawn("tracer")
    tracee = tracer.spawn("tracee")
    tracee.catch(Signal.USR1).result()
    tracer.seize(tracee).result()
    tracer.kill(tracee, Signal.USR1).result()
    require(tracer.wait(tracee).stopped_by == Signal.USR1, f"{tracee} did not stop for SIGUSR1")
    tracer.ptrace(Ptrace.SINGLESTEP, tracee, 0, Signal.USR1).result()
    assert tracer.wait(tracee).stopped_by == Signal.TRAP
    assert tracer.registers(tracee).ip == guest.hello.signal_handler
    tracer.resume(tracee).result()
    guest.wait_until(lambda: tracee.caught_signals() != [], f"{tracee} to run its handler")
    assert check_caught(tracee).registers["eflags"] & TRAP_FLAG == 0
    # It does not stop again either.
    assert tracee.call("getppid") == returned(tracer.pid)


class StoppingProcess:
    """A process of two threads, and a tracer that stops the first of them at the entry of its next call."""

    def __init__(self, guest: Guest, name: str) -> None:
        self.tracer = guest.spawn("tracer")
        self.leader = self.tracer.spawn(name, quiet=True)
        self.other = self.leader.thread("other")
        self.tracer.seize_and_stop(self.leader, PtraceOption.TRACESYSGOOD)
        self.tracer.resume_to_syscall(self.leader).result()

    def stop_and_release(self) -> None:
        """Stop the process while the tracer holds the first thread at the entry; then let that make its call."""
        stop = self.tracer.wait(self.leader)
        require(stop.stopped_by == SYSCALL_STOP, f"{self.leader} did not stop at the entry of its call: {stop}")
        self.tracer.call("tgkill", self.leader.pid, self.other.tid, Signal.STOP).result()
        self.other.wait_state("T")
        self.tracer.detach(self.leader).result()


@pytest.mark.requirement("seccomp.signal-exec-stop")
def test_exec_while_the_process_is_being_stopped(guest: Guest) -> None:
    """A thread that executes a program while its process is being stopped runs on in it: the stop has ended.

    The control: a thread that makes another call stops with its process, until SIGCONT.
    """
    control = StoppingProcess(guest, "control")
    call = control.leader.begin("getppid")
    control.stop_and_release()
    control.leader.wait_state("T")
    assert not call.finished()
    control.tracer.kill(control.leader, Signal.CONT).result()
    call.outcome().require(returned(control.tracer.pid))

    process = StoppingProcess(guest, "process")
    leader, executing = process.leader, process.leader.begin_execute(guest.program)
    process.stop_and_release()
    guest.wait_until(lambda: executing.finished() or leader.state() == "T", f"{leader} to execute, or to stop")
    assert leader.state() != "T", f"{leader} has stopped"
    assert executing.outcome() == OK
    assert leader.call("getppid") == returned(process.tracer.pid)
