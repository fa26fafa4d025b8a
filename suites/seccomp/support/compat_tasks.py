# SPDX-License-Identifier: GPL-2.0-or-later
"""32-bit tasks under filters, their tracers and supervisors, and the ways by which they enter the kernel."""

from __future__ import annotations

import pytest

from guests.abi import AgentProgram
from guests.bpf import Filter
from guests.errors import require
from guests.guest import Guest
from guests.protocol.wire import Entry
from guests.syscalls.base import Pending
from guests.task import Task
from guests.uapi import PtraceOption
from suites.seccomp.support.filtered_tasks import SupervisedPair, unprivileged
from suites.seccomp.support.syscall_traced_pair import SYSCALL_STOP
from suites.seccomp.support.traced_pair import TracedPair

_AT_SYSINFO = 32
_INSTRUCTIONS = {Entry.SYSENTER: b"\x0f\x34", Entry.SYSCALL32: b"\x0f\x05"}
ENTERING = {"i386": b"\xcd\x80", "arm": b"\x00\x00\x00\xef"}
"""The instruction after which a call restarts, by ABI: int $0x80, svc #0."""
_VDSO_SIZE = 24
"""Size in bytes of __kernel_vsyscall, about (arch/x86/entry/vdso/vdso32/system_call.S)."""
on_intel = pytest.mark.boot(processor=("vendor=GenuineIntel",))
"""QEMU's own processor is AMD's, for which the vDSO has SYSCALL; for Intel's, it has SYSENTER."""

of_x86 = pytest.mark.needs("IA32_EMULATION or X86_32")
of_x86_64 = pytest.mark.needs("IA32_EMULATION")
FAST = [
    pytest.param(Entry.SYSCALL32, id="syscall", marks=of_x86),
    pytest.param(Entry.SYSENTER, id="sysenter", marks=[of_x86, on_intel]),
]
"""The instructions that __kernel_vsyscall may use, for parametrize."""
ENTRIES = [
    pytest.param(Entry.INT80, id="int-0x80", marks=of_x86),
    *FAST,
    pytest.param(Entry.NATIVE, id="svc", marks=pytest.mark.needs("ARM64")),
]
"""All the ways to enter the kernel."""


def compat_task(guest: Guest, program: AgentProgram, name: str = "32-bit", *, parent: Task | None = None) -> Task:
    """An unprivileged 32-bit task, which may install filters."""
    task = unprivileged(guest, name, parent=parent)
    task.become(program).result()
    return task


def entry_of(guest: Guest, task: Task, way: Entry) -> Entry:
    """How the task enters the kernel this way: directly, or by __kernel_vsyscall.

    Skip the test if that has another instruction.
    """
    if way in (Entry.INT80, Entry.NATIVE):
        return way
    auxv = task.abi.pairs(guest.read_bytes(f"/proc/{task.pid}/auxv"))
    if _AT_SYSINFO not in auxv:
        pytest.skip("needs a vDSO for 32-bit programs")
    if _INSTRUCTIONS[way] not in guest.init.read_memory(task, auxv[_AT_SYSINFO], _VDSO_SIZE):
        pytest.skip(f"needs a processor for which 32-bit programs use {way.name.removesuffix('32')}")
    return Entry.VDSO


class CompatPair(SupervisedPair):
    """A 32-bit target, and its supervisor, which has 64 bits if the kernel has."""

    def __init__(self, guest: Guest, program: AgentProgram) -> None:
        self.guest = guest
        self.supervisor = guest.spawn("supervisor")
        self.target = compat_task(guest, program, "target", parent=self.supervisor)

    def filter(self, program: Filter) -> None:
        """Let the target install its filter."""
        self.listener = self.fetch_listener(self.target, program)


class CompatTracedPair(TracedPair):
    """A 32-bit tracee under a filter, and its tracer, which is its parent, and has 64 bits if the kernel has."""

    def __init__(
        self,
        guest: Guest,
        program: AgentProgram,
        *filters: Filter,
        options: PtraceOption = PtraceOption.TRACESECCOMP | PtraceOption.TRACESYSGOOD,
    ) -> None:
        self.tracer = guest.spawn("tracer")
        self.tracee = compat_task(guest, program, "tracee", parent=self.tracer)
        for one in filters:
            self.tracee.install(one).result()
        self.tracer.seize(self.tracee, options).result()

    def stop_at_entry(self, name: str | int, *arguments: int, entry: Entry = Entry.NATIVE) -> Pending:
        """Let the tracee make a call, and wait for the stop at its entry."""
        self.tracer.interrupt(self.tracee).result()
        self.tracer.wait(self.tracee)
        self.tracer.resume_to_syscall(self.tracee).result()
        call = self.tracee.begin(name, *arguments, entry=entry)
        stop = self.tracer.wait(self.tracee)
        require(stop.stopped_by == SYSCALL_STOP, f"{self.tracee} did not stop at the entry of {name}: {stop}")
        return call
