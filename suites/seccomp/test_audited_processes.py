# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of filters' actions where processes are audited: they depend on actions_logged and the LOG flag alone."""

from __future__ import annotations

import re

import pytest

from guests.bpf import Action
from guests.errors import require
from guests.guest import Guest
from guests.outcome import OK, mismatches
from guests.syscalls.seccomp import FilterFlag
from guests.task import Task
from suites.seccomp.support.audit_records import DEFAULT, LOGGED, AuditRecords, fields
from suites.seccomp.support.audit_rules import audit_calls, leave_new_tasks_alone
from suites.seccomp.support.recorded_actions import RECORDED, act, taken

pytestmark = [
    pytest.mark.needs("SECCOMP_FILTER", "AUDITSYSCALL", "SYSCTL"),
    pytest.mark.boot("audit=1"),
    pytest.mark.requirement("seccomp.log-audited"),
]

with_and_without_the_flag = pytest.mark.parametrize(
    "flags", [FilterFlag.LOG, FilterFlag.NONE], ids=["with-the-flag", "without-the-flag"]
)
FIELDS = ["auid", "uid", "gid", "ses", "pid", "comm", "exe", "sig", "arch", "syscall", "compat", "ip", "code"]


class Parents:
    """Two processes: one whose children are audited, one whose children are not, because a rule says so."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        audit_calls(guest, "getegid")
        self.audited = guest.spawn("audited").spawn("parent")
        self._leave_alone = guest.spawn("unaudited")
        self._require_audited(self.audited.spawn("child"), True)

    def unaudited(self) -> Task:
        """The other one.  After this call, children of the first are not audited either."""
        leave_new_tasks_alone(self.guest)
        parent = self._leave_alone.spawn("parent")
        self._require_audited(parent.spawn("child"), False)
        return parent

    def _require_audited(self, task: Task, audited: bool) -> None:
        """Whether the task's calls are audited is what the test depends on."""
        task.call("getegid").require(OK)
        AuditRecords(self.guest).wait_for_all()
        found = [line for line in self.guest.log() if "type=1300" in line and f" pid={task.pid} " in line]
        require(bool(found) == audited, f"the calls of {task} are{' not' if audited else ''} audited")


@with_and_without_the_flag
def test_which_actions_are_recorded(guest: Guest, flags: FilterFlag) -> None:
    """Whether a process is audited or not, its actions are recorded once each, as with no audit at all."""
    records, parents = AuditRecords(guest), Parents(guest)
    acted = {("audited", action): act(guest, action, flags, parent=parents.audited) for action in RECORDED}
    parent = parents.unaudited()
    acted |= {("unaudited", action): act(guest, action, flags, parent=parent) for action in RECORDED}
    records.wait_for_all()
    found: dict[str, tuple[object, object]] = {}
    for (process, action), (task, outcome) in acted.items():
        outcome.require(taken(action, task))
        with_flag, without, signal = RECORDED[action]
        logged = [(fields(one)["sig"], fields(one)["code"]) for one in records.of(task)]
        recorded = with_flag if flags else without
        found[f"{process}, {action.name}"] = (logged, [(signal, f"{int(action):#x}")] if recorded else [])
    assert mismatches(found) == []


def test_empty_actions_logged(guest: Guest) -> None:
    """With actions_logged empty, nothing of an audited process is recorded either; the control is recorded."""
    records, parents = AuditRecords(guest), Parents(guest)
    control, _ = act(guest, Action.LOG, FilterFlag.LOG, parent=parents.audited)
    guest.set_sysctl(LOGGED, "\n")
    acted = {action: act(guest, action, FilterFlag.LOG, parent=parents.audited) for action in RECORDED}
    guest.set_sysctl(LOGGED, DEFAULT)
    records.wait_for_all()
    found: dict[str, tuple[object, object]] = {"the control": (len(records.of(control)), 1)}
    for action, (task, outcome) in acted.items():
        found[f"{action.name}, taken"] = (outcome, taken(action, task))
        found[f"{action.name}, recorded"] = (records.of(task), [])
    assert mismatches(found) == []


def test_fields(guest: Guest) -> None:
    """A record has the same type and fields for an audited process and for another.

    A security module that labels processes adds the field `subj`.
    """
    records, parents = AuditRecords(guest), Parents(guest)
    tasks = [act(guest, Action.LOG, FilterFlag.NONE, parent=parents.audited)[0]]
    tasks.append(act(guest, Action.LOG, FilterFlag.NONE, parent=parents.unaudited())[0])
    records.wait_for_all()
    for task in tasks:
        logged = [re.findall(r"(\w+)=", record.partition("): ")[2]) for record in records.of(task)]
        assert [[name for name in names if name != "subj"] for names in logged] == [FIELDS]
