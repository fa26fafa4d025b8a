# SPDX-License-Identifier: GPL-2.0-or-later
"""A tracee that stops at the entry and the exit of each call, and its tracer."""

from __future__ import annotations

from guests.bpf import Filter
from guests.errors import require
from guests.guest import Guest
from guests.syscalls.base import Pending
from guests.uapi import PTRACE_EVENT_STOP, PtraceOption, Signal
from suites.seccomp.support.filtered_tasks import change_registers, check_equal, unprivileged

SYSCALL_STOP = Signal.TRAP | 0x80


class SyscallTracedPair:
    """A tracee whose calls stop at entry and exit, and its tracer."""

    def __init__(self, guest: Guest, *filters: Filter) -> None:
        self.tracer = guest.spawn("tracer")
        self.tracee = unprivileged(guest, "tracee", parent=self.tracer)
        for program in filters:
            self.tracee.install(program).result()
        self.tracer.seize_and_stop(self.tracee, PtraceOption.TRACESYSGOOD | PtraceOption.TRACESECCOMP)
        self.resume()

    def resume(self) -> None:
        self.tracer.resume_to_syscall(self.tracee).result()

    def stop_at_entry(self, name: str, *arguments: int) -> Pending:
        """Let the tracee make a call, and wait for the stop at its entry."""
        call = self.tracee.begin(name, *arguments)
        stop = self.tracer.wait(self.tracee)
        require(stop.stopped_by == SYSCALL_STOP, f"{self.tracee} did not stop at the entry of {name}: {stop}")
        return call

    def change(self, **registers: int | str) -> None:
        change_registers(self.tracer, self.tracee, **registers)

    def check_exit_stop(self) -> int:
        """Continue to the exit stop, and return the result that the tracer sees there."""
        self.resume()
        check_equal(self.tracer.wait(self.tracee).stopped_by, SYSCALL_STOP)
        value = self.tracer.registers(self.tracee).result
        self.resume()
        return value

    def interrupt(self) -> None:
        """Stop the tracee between its calls."""
        self.tracer.interrupt(self.tracee).result()
        stop = self.tracer.wait(self.tracee)
        require(stop.event == PTRACE_EVENT_STOP, f"{self.tracee} was not interrupted: {stop}")

    def release(self) -> None:
        """Trace it no longer."""
        self.interrupt()
        self.tracer.detach(self.tracee).result()
