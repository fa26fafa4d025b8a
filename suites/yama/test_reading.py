# SPDX-License-Identifier: GPL-2.0-or-later
"""The accesses that Yama does not govern: those with PTRACE_MODE_READ, for which DAC decides at every scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from guests.guest import Guest
from guests.outcome import EACCES, EPERM, OK, Expected, Outcome, mismatches
from guests.promises import breaks
from guests.protocol import wire
from guests.task import Task
from guests.uapi import KCMP_VM, Cap
from suites.process_accesses import read_memory
from suites.yama.support.accesses import LOCKING, SCOPE, prepare, scopes

pytestmark = pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "CROSS_MEMORY_ATTACH")


NOT_EMPTY = replace(OK, name="OK with some bytes", low=1)
"""A read that returns nothing has disclosed nothing, whatever it is called."""


@dataclass(frozen=True)
class Reading:
    """A way to read about another process, and the result for another user."""

    name: str
    act: Callable[[Task, Task], Outcome]
    dac: Expected
    needs: str = "PROC_FS"

    @property
    def allowed(self) -> Expected:
        return NOT_EMPTY if self.name.startswith("/proc/") else OK


def _file(name: str) -> Callable[[Task, Task], Outcome]:
    return lambda reader, target: reader.read_proc(target, name)


def _link(name: str) -> Callable[[Task, Task], Outcome]:
    return lambda reader, target: reader.read_link(target, name)


def _madvise(reader: Task, target: Task) -> Outcome:
    return reader.advise(target, wire.data_address(target.slot))


READINGS = (
    #       reading                                                            another user's  needs
    Reading("kcmp", lambda reader, target: reader.kcmp(reader, target, KCMP_VM), EPERM, "KCMP"),
    Reading("kcmp of the first", lambda reader, target: reader.kcmp(target, reader, KCMP_VM), EPERM, "KCMP"),
    Reading("get_robust_list", lambda reader, target: reader.robust_list(target), EPERM, "FUTEX"),
    Reading("process_madvise", _madvise, EACCES, "ADVISE_SYSCALLS"),
    Reading("perf event", lambda reader, target: reader.count_events(target), EACCES, "PERF_EVENTS"),
    Reading("/proc/PID/maps", _file("maps"), EACCES),
    Reading("/proc/PID/smaps", _file("smaps"), EACCES, "PROC_PAGE_MONITOR"),
    Reading("/proc/PID/pagemap", _file("pagemap"), EACCES, "PROC_PAGE_MONITOR"),
    Reading("/proc/PID/environ", _file("environ"), EACCES),
    Reading("/proc/PID/auxv", _file("auxv"), EACCES),
    Reading("/proc/PID/io", _file("io"), EACCES, "TASK_IO_ACCOUNTING"),
    Reading("/proc/PID/exe", _link("exe"), EACCES),
    Reading("/proc/PID/root", _link("root"), EACCES),
    Reading("/proc/PID/cwd", _link("cwd"), EACCES),
    Reading("/proc/PID/fd/N", _link("fd/1001"), EACCES),
    Reading("/proc/PID/ns/user", _link("ns/user"), EACCES, "USER_NS"),
    Reading("/proc/PID/ns/pid", _link("ns/pid"), EACCES, "PID_NS"),
)


def _readings(guest: Guest) -> list[Reading]:
    return [each for each in READINGS if guest.kernel.config.enabled(each.needs)]


@pytest.mark.requirement("yama.reading")
@pytest.mark.parametrize("scope", scopes(*range(4)), ids=lambda scope: f"scope-{scope}-stranger-may-read")
def test_stranger_reads(guest: Guest, scope: int) -> None:
    """A stranger of the same uid has every read access at every scope, and access to memory at scope 0 only."""
    prepare(guest, scope)
    reader, target = guest.spawn("reader", caps=Cap.SYS_NICE), guest.spawn("target")
    assert mismatches({each.name: (each.act(reader, target), each.allowed) for each in _readings(guest)}) == []
    assert read_memory(reader, target) == (OK if scope == 0 else EPERM)


@pytest.mark.requirement("yama.reading")
@pytest.mark.parametrize("what", ["namespaces", "anything-else"])
def test_another_user_reads_nothing(guest: Guest, what: str) -> None:
    """The control: DAC checks every read access, and refuses it to another user."""
    prepare(guest, 0)
    reader, target = guest.spawn("reader", uid=1001, caps=Cap.SYS_NICE), guest.spawn("target")
    chosen = [each for each in _readings(guest) if ("/ns/" in each.name) == (what == "namespaces")]
    assert mismatches({each.name: (each.act(reader, target), each.dac) for each in chosen}) == []


@LOCKING
@pytest.mark.requirement("yama.reading", "yama.log-silence")
def test_reading_stat_is_not_logged(guest: Guest) -> None:
    """/proc/PID/stat asks not to be audited (PTRACE_MODE_NOAUDIT): it can be read, and nothing is logged."""
    guest.set_sysctl(SCOPE, 3)
    reader, target = guest.spawn("reader"), guest.spawn("target")
    with breaks("yama.reading"):
        assert reader.read_proc(target, "stat") == OK
        assert read_memory(reader, target) == EPERM
    with breaks("yama.log-silence"):
        denial = f'ptrace attach of "target"[{target.pid}] was attempted by "reader"[{reader.pid}]'
        guest.wait_for_log(denial)
        assert [line for line in guest.log() if "ptrace" in line] == [denial]
