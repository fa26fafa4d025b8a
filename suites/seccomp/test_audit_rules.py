# SPDX-License-Identifier: GPL-2.0-or-later
"""What audit rules record of a process's calls: those that they list, and with the right values."""

from __future__ import annotations

import pytest

from guests.bpf import Filter, kill_process, log, policy
from guests.guest import Guest
from guests.outcome import ENOSYS, OK, Expected, killed, returned
from guests.syscall_sweep import sweep
from guests.task import Task
from guests.uapi import Cap, Signal
from suites.seccomp.support.audit_records import AuditRecords, fields
from suites.seccomp.support.audit_rules import audit_calls, exclude_records

AUDIT_RULES = pytest.mark.own_machine("it changes the audit rules")
pytestmark = [pytest.mark.needs("SECCOMP_FILTER", "AUDITSYSCALL"), pytest.mark.boot("audit=1"), AUDIT_RULES]

SYSCALL, CAPSET, SECCOMP = 1300, 1322, 1326
"""Types of records (include/uapi/linux/audit.h)."""
BITS = 2048
"""The number of calls that a rule can list."""
FAR_BEYOND = (BITS + 0x8000, 0x3FFFFFFF, 0x7FFFFFFF, 0x80000000)
"""More numbers that belong to no call; the last one is negative to the kernel."""


def logged(guest: Guest, kind: int) -> list[dict[str, str]]:
    """The fields of all records of a type, once they can be read."""
    AuditRecords(guest).wait_for_all()
    return [fields(line) for line in guest.log() if f"type={kind} " in line]


def recorded_calls(guest: Guest, task: Task) -> list[str]:
    """The numbers of the task's calls that were recorded, in order."""
    return [record["syscall"] for record in logged(guest, SYSCALL) if record["pid"] == str(task.pid)]


@pytest.mark.requirement("seccomp.audit-rule-numbers")
def test_numbers_beyond_the_list(guest: Guest) -> None:
    """Of a user's calls, a rule records the one that it lists, and none with a number beyond its list.

    The rule has a field: after its list, the kernel keeps their number.
    """
    audit_calls(guest, "getegid", uid=1000)
    task = guest.spawn("audited")
    task.call("getegid").require(OK)
    outcomes = [
        *sweep(task, range(BITS, BITS + 1024)).values(),
        *(task.call(nr) for nr in FAR_BEYOND if nr < task.abi.illegal_from),
    ]
    assert [outcome for outcome in outcomes if outcome != ENOSYS] == []
    task.call("getegid").require(OK)
    assert recorded_calls(guest, task) == [str(task.number("getegid"))] * 2


@pytest.mark.requirement("seccomp.audit-capset")
def test_the_record_of_capset(guest: Guest) -> None:
    """The record of capset() has the sets that the task has given itself, each different from the others."""
    audit_calls(guest, "capset")
    task = guest.spawn("task", caps=Cap.KILL | Cap.SETUID | Cap.SYS_CHROOT)
    permitted, effective, inheritable = Cap.KILL | Cap.SYS_CHROOT, Cap.KILL, Cap.SYS_CHROOT
    header = task.abi.pack("II", 0x20080522, 0)
    data = task.abi.pack("6I", effective, permitted, inheritable, 0, 0, 0)
    assert task.call("capset", header, data, shown="capset()") == returned(0)
    records = [record for record in logged(guest, CAPSET) if record["pid"] == str(task.pid)]
    found = [int(records[-1][name], 16) for name in ("cap_pi", "cap_pp", "cap_pe", "cap_pa")]
    assert found == [inheritable, permitted, effective, 0]


@pytest.mark.requirement("seccomp.log-excluded")
def test_excluded_records(guest: Guest) -> None:
    """A rule that excludes a user's records of filters' actions excludes no one else's, and the actions are taken."""
    exclude_records(guest, SECCOMP, uid=2000)
    rows: list[tuple[Filter, Expected]] = [
        (policy(log("getppid")), returned(guest.init.tid)),
        (policy(kill_process("getppid")), killed(Signal.SYS)),
    ]
    acting = {uid: [guest.spawn(f"of-{uid}", uid=uid) for _ in rows] for uid in (1000, 2000)}
    for tasks in acting.values():
        for task, (filter_, wanted) in zip(tasks, rows, strict=True):
            task.set_no_new_privs().result()
            task.install(filter_).result()
            assert task.call("getppid") == wanted
    *recorded, _ = [record["pid"] for record in logged(guest, SECCOMP)]
    assert recorded == [str(task.pid) for task in acting[1000]]
