# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of several filters decides: the most severe action, whatever their order; of equal actions, the newest."""

from __future__ import annotations

import pytest

from guests.bpf import Action, policy, rule
from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import ENOSYS, GONE, OK, describe, killed, mismatches, returned
from guests.syscalls.base import Pending
from guests.syscalls.ptrace import WaitStatus
from guests.task import Task
from guests.uapi import PTRACE_EVENT_SECCOMP, Ptrace, PtraceOption, Signal
from suites.seccomp.support.audit_records import AuditRecords, audited
from suites.seccomp.support.bpf_interpreter import SEVERITY
from suites.seccomp.support.filtered_tasks import unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")


class Stack:
    """A traced thread, one of two in its process, under filters for getppid; and the action that its call meets."""

    def __init__(self, guest: Guest, tracer: Task, *returns: tuple[Action, int]) -> None:
        self.guest = guest
        self.tracer = tracer
        leader = unprivileged(guest, "leader", parent=tracer)
        self.thread = leader.thread("thread")
        for action, data in returns:
            self.thread.install(policy(rule(action, "getppid", data=data))).result()
        tracer.seize(self.thread, PtraceOption.TRACESECCOMP).result()

    def action_taken(self) -> str:
        """The action that was taken, with its data where that is visible."""
        call = self.thread.begin("getppid")
        stop = self._stop_or_end(call)
        if stop is not None and stop.event == PTRACE_EVENT_SECCOMP:
            return f"TRACE {self.tracer.event_message(self.thread)}"
        if stop is not None and stop.stopped_by == Signal.SYS:
            info = self.tracer.ptrace(Ptrace.GETSIGINFO, self.thread, 0, Out(128)).read()
            return f"TRAP {self.tracer.abi.unpack_from('ii', info)[1]}"
        outcome = call.outcome()
        if outcome == killed(Signal.SYS):
            return "KILL_PROCESS"
        if outcome == GONE:
            return "KILL_THREAD"
        if outcome == returned(self.tracer.pid):
            return "runs"
        if outcome == ENOSYS:
            return "USER_NOTIF"
        return f"ERRNO {outcome.errno}" if outcome.errno else describe(outcome)

    def _stop_or_end(self, call: Pending) -> WaitStatus | None:
        """The stop that the call led to, or None if it ended."""
        stops: list[WaitStatus] = []

        def happened() -> bool:
            if call.finished():
                return True
            reported = self.tracer.wait_nohang(self.thread)
            # Once an exit has been reported, there is no more news of the task, and asking for it is an error.
            if (
                reported == OK
                and reported.value
                and (status := WaitStatus(self.tracer.abi.integer(reported.read()))).stopped_by
            ):
                stops.append(status)
            return bool(stops)

        self.guest.wait_until(happened, "the call to stop or end")
        return stops[0] if stops else None


SHOWN = {action: action.name for action in (Action.KILL_PROCESS, Action.KILL_THREAD, Action.USER_NOTIF)} | {
    Action.TRAP: "TRAP {0}",
    Action.ERRNO: "ERRNO {0}",
    Action.TRACE: "TRACE {0}",
    Action.LOG: "runs",
    Action.ALLOW: "runs",
}
"""What the thread, its process and its tracer see of an action.  There is no listener, so USER_NOTIF is ENOSYS."""


@pytest.mark.requirement("seccomp.precedence")
@pytest.mark.parametrize("older", SEVERITY, ids=lambda action: f"above-{action.name}")
def test_pairs(guest: Guest, older: Action) -> None:
    """With each action installed above this one, the more severe of the two is taken, with its own data."""
    tracer = guest.spawn("tracer")
    found: dict[str, tuple[object, object]] = {}
    for newer in SEVERITY:
        stack = Stack(guest, tracer, (older, 11), (newer, 12))
        # SEVERITY begins with the most severe action.
        severest, data = (newer, 12) if SEVERITY.index(newer) <= SEVERITY.index(older) else (older, 11)
        found[f"{newer.name} over {older.name}"] = (stack.action_taken(), SHOWN[severest].format(data))
    assert mismatches(found) == []


# fmt: off
STACKS = {
    # oldest ... newest                                                                           action
    "errno-newest-of-three":       ([(Action.ERRNO, 1), (Action.ERRNO, 2), (Action.ERRNO, 3)],    "ERRNO 3"),
    "errno-below-an-allow":        ([(Action.ERRNO, 1), (Action.ERRNO, 2), (Action.ALLOW, 3)],    "ERRNO 2"),
    "errno-smaller-data-newer":    ([(Action.ERRNO, 4000), (Action.ERRNO, 1)],                    "ERRNO 1"),
    "errno-larger-data-newer":     ([(Action.ERRNO, 1), (Action.ERRNO, 4000)],                    "ERRNO 4000"),
    "trap-newest-of-two":          ([(Action.TRAP, 0xFFFF), (Action.TRAP, 7)],                    "TRAP 7"),
    "trace-newest-of-two":         ([(Action.TRACE, 7), (Action.TRACE, 0xFFFF)],                  "TRACE 65535"),
    "severest-in-the-middle":      ([(Action.LOG, 1), (Action.TRAP, 2), (Action.ERRNO, 3)],       "TRAP 2"),
    "severest-first-of-five":      ([(Action.TRAP, 9), *[(Action.TRACE, 3)] * 4],                 "TRAP 9"),
    "severest-last-of-five":       ([*[(Action.TRACE, 3)] * 4, (Action.TRAP, 9)],                 "TRAP 9"),
    "all-eight-severest-last":     ([(action, 5) for action in reversed(SEVERITY)],               "KILL_PROCESS"),
    "seven-severest-first":        ([(action, 5) for action in SEVERITY[1:]],                     "KILL_THREAD"),
    "allow-whatever-its-data":     ([(Action.ALLOW, 0xFFFF), (Action.ALLOW, 0)],                  "runs"),
}
# fmt: on


@pytest.mark.requirement("seccomp.precedence")
def test_stacks(guest: Guest) -> None:
    """Of three and more filters, the most severe action is taken; of equal ones, the newest's data counts."""
    tracer = guest.spawn("tracer")
    rows = STACKS.items()
    found = {name: (Stack(guest, tracer, *filters).action_taken(), wanted) for name, (filters, wanted) in rows}
    assert mismatches(found) == []


# fmt: off
LOGGED = {
    # older             newer          is the call recorded?
    "log-over-allow":   (Action.ALLOW, Action.LOG,   True),
    "allow-over-log":   (Action.LOG,   Action.ALLOW, True),
    "log-over-log":     (Action.LOG,   Action.LOG,   True),
    "allow-over-allow": (Action.ALLOW, Action.ALLOW, False),
}
# fmt: on


@audited
@pytest.mark.requirement("seccomp.precedence")
def test_log_is_more_severe_than_allow(guest: Guest) -> None:
    """LOG and ALLOW both run the call, but LOG leaves a record."""
    records = AuditRecords(guest)
    found: dict[str, tuple[object, object]] = {}
    tasks = {name: unprivileged(guest, name[:15]) for name in LOGGED}
    for name, (older, newer, _) in LOGGED.items():
        for action in (older, newer):
            tasks[name].install(policy(rule(action, "getppid"))).result()
        found[f"{name}, the call"] = (tasks[name].call("getppid"), returned(guest.init.tid))
    records.wait_for_all()
    for name, (_, _, logged) in LOGGED.items():
        found[name] = (len(records.of(tasks[name])), int(logged))
    assert mismatches(found) == []
