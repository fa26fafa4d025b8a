# SPDX-License-Identifier: GPL-2.0-or-later
"""A tracee that stops for SECCOMP_RET_TRACE, and its tracer."""

from __future__ import annotations

from guests.bpf import Filter
from guests.call_arguments import Argument
from guests.errors import require
from guests.guest import Guest
from guests.protocol.wire import Entry
from guests.syscalls.base import Pending
from guests.uapi import PTRACE_EVENT_SECCOMP, Cap, PtraceOption
from suites.seccomp.support.filtered_tasks import change_registers, check_equal, unprivileged


class TracedPair:
    """A tracee under a filter, and its tracer, which is its parent."""

    def __init__(
        self,
        guest: Guest,
        *filters: Filter,
        options: PtraceOption = PtraceOption.TRACESECCOMP,
        caps: Cap = Cap.NONE,
    ) -> None:
        self.tracer = guest.spawn("tracer", caps=caps)
        self.tracee = unprivileged(guest, "tracee", parent=self.tracer)
        for program in filters:
            self.tracee.install(program).result()
        self.tracer.seize(self.tracee, options).result()

    def stop(self, name: str | int = "getppid", *arguments: Argument, entry: Entry = Entry.NATIVE) -> Pending:
        """Let the tracee make the call, and wait until it stops for the tracer."""
        call = self.tracee.begin(name, *arguments, entry=entry)
        stop = self.tracer.wait(self.tracee)
        require(stop.event == PTRACE_EVENT_SECCOMP, f"{self.tracee} did not stop for TRACE: {stop}")
        return call

    def check_stops(self, name: str | int = "getppid", *arguments: Argument, entry: Entry = Entry.NATIVE) -> Pending:
        """The same where the stop is what the test is about."""
        call = self.tracee.begin(name, *arguments, entry=entry)
        check_equal(self.tracer.wait(self.tracee).event, PTRACE_EVENT_SECCOMP)
        return call

    def change(self, **registers: int | str) -> None:
        change_registers(self.tracer, self.tracee, **registers)

    def resume(self) -> None:
        self.tracer.resume(self.tracee).result()
