# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of access to another process, and the error that each returns when it is refused.

They cover all users of PTRACE_MODE_ATTACH (grep ptrace_may_access, mm_access, __ptrace_may_access): ptrace_attach(),
process_vm_rw_core(), __pidfd_fget(), mem_open(), lock_trace() for /proc/PID/syscall and personality (and stack, which
requires root first), and perf_check_permission() for events that send signals.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from _pytest.mark import ParameterSet

from guests.guest import Guest
from guests.kernel_probes import ask
from guests.outcome import EACCES, EPERM, OK, Expected, Outcome, mismatches
from guests.task import Task
from guests.uapi import O_RDONLY, O_WRONLY
from suites.process_accesses import COMMON_DESCRIPTOR, attach, closed, read_memory, seize, write_memory

SCOPE = "kernel.yama.ptrace_scope"
LOCKED = 3
"""The scope that nobody can lower."""


class AccessResult(enum.Enum):
    """The expected result of all kinds of access together."""

    YES = "may"
    NO = "may not"
    """Refused by Yama, or by the capability check before it."""
    DAC = "may not: DAC refuses"
    MEMORY = "may only access the memory that the two share"
    THREAD = "may do everything except trace"
    EVENTS = "may only count events, for which CAP_PERFMON and CAP_KILL suffice"


@dataclass(frozen=True)
class Access:
    """A kind of access.  `refused` is the result when Yama refuses it, `dac` the result for another user's target."""

    name: str
    attempt: Callable[[Task, Task], Outcome]
    refused: Expected
    dac: Expected
    memory: bool = False
    traces: bool = False
    events: bool = False

    @property
    def by_file(self) -> bool:
        """Whether the access is to a file or an event, for which the tracer's filesystem ids are checked."""
        return self.dac == EACCES

    def expected(self, result: AccessResult) -> Expected:
        if result is AccessResult.DAC:
            return self.dac
        open_to = {
            AccessResult.YES: True,
            AccessResult.NO: False,
            AccessResult.MEMORY: self.memory,
            AccessResult.THREAD: not self.traces,
            AccessResult.EVENTS: self.events,
        }
        return OK if open_to[result] else self.refused


def _descriptor(tracer: Task, target: Task) -> Outcome:
    return closed(tracer, tracer.pidfd_getfd(target, COMMON_DESCRIPTOR))


def _open_to_read(tracer: Task, target: Task) -> Outcome:
    return closed(tracer, tracer.open_proc(target, "mem", O_RDONLY))


def _open_to_write(tracer: Task, target: Task) -> Outcome:
    return closed(tracer, tracer.open_proc(target, "mem", O_WRONLY))


def _events(tracer: Task, target: Task) -> Outcome:
    return closed(tracer, tracer.count_events(target, sigtrap=True))


ACCESSES = (
    #   kind of access                                               refused  another user's
    Access("process_vm_readv", read_memory, EPERM, EPERM, memory=True),
    Access("process_vm_writev", write_memory, EPERM, EPERM, memory=True),
    Access("pidfd_getfd", _descriptor, EPERM, EPERM),
    Access("/proc/PID/mem for reading", _open_to_read, EACCES, EACCES, memory=True),
    Access("/proc/PID/mem for writing", _open_to_write, EACCES, EACCES, memory=True),
    Access("/proc/PID/syscall", lambda tracer, target: tracer.read_proc(target, "syscall"), EPERM, EACCES),
    Access("/proc/PID/personality", lambda tracer, target: tracer.read_proc(target, "personality"), EPERM, EACCES),
    Access("perf event with a signal", _events, EACCES, EACCES, events=True),
    Access("PTRACE_SEIZE", seize, EPERM, EPERM, traces=True),
    Access("PTRACE_ATTACH", attach, EPERM, EPERM, traces=True),
)


LOCKING_REASON = "Yama's scope 3 lasts until the next boot"
LOCKING = pytest.mark.own_machine(LOCKING_REASON)
"""Marks what sets the scope to 3."""


def scopes(*values: int) -> list[ParameterSet]:
    """The parameters of a test that sets each of these scopes."""
    return [pytest.param(value, marks=LOCKING if value == LOCKED else ()) for value in values]


def prepare(guest: Guest, scope: int) -> None:
    """Set the scope, and lift the restriction that would refuse perf events before Yama is consulted."""
    if guest.kernel.config.enabled("PERF_EVENTS"):
        guest.set_sysctl("kernel.perf_event_paranoid", 2)
    guest.set_sysctl(SCOPE, scope)


NEEDS: Mapping[str, str] = {
    "perf event with a signal": "PERF_EVENTS",
    "process_vm_readv": "CROSS_MEMORY_ATTACH",
    "process_vm_writev": "CROSS_MEMORY_ATTACH",
}
"""The config option that a kind of access needs."""
SIGNALS_SINCE = (5, 13)
"""The first Linux whose perf events can send signals; its struct perf_event_attr has a field for that."""


def missing_for(guest: Guest, access: Access) -> str:
    """What this kernel lacks for a kind of access; empty if it supports it."""
    option = NEEDS.get(access.name, "")
    if option and not guest.kernel.config.enabled(option):
        return f"needs CONFIG_{option}"
    if access.events and guest.kernel.version < SIGNALS_SINCE and not ask(guest, "perf-attr-size 128"):
        return "needs perf events that can send signals, which Linux has since 5.13"
    return ""


def supported_accesses(guest: Guest) -> list[Access]:
    """The kinds of access that this kernel supports."""
    return [access for access in ACCESSES if not missing_for(guest, access)]


@dataclass(frozen=True)
class Mismatches:
    """The kinds of access whose result differs from the expected one."""

    lines: list[str]
    whole: bool
    """Whether no access that should succeed did, or none that should be refused was refused as it should be: then the
    relation is judged wrongly, and not a kind of access."""


def compare(tracer: Task, target: Task, accesses: list[Access], result: AccessResult) -> Mismatches:
    """Try each kind of access, and compare each result with the expected one."""
    found = {access.name: (access.attempt(tracer, target), access.expected(result)) for access in accesses}
    agreed: dict[bool, list[bool]] = {}
    for outcome, expected in found.values():
        agreed.setdefault(expected == OK, []).append(outcome == expected)
    return Mismatches(mismatches(found), not all(any(group) for group in agreed.values()))


def wrong_accesses(tracer: Task, target: Task, accesses: list[Access], result: AccessResult) -> list[str]:
    """A line for each kind of access whose result differs from the expected one."""
    return compare(tracer, target, accesses, result).lines
