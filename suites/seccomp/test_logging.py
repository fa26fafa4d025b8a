# SPDX-License-Identifier: GPL-2.0-or-later
"""Which actions of filters are recorded in the kernel's log."""

from __future__ import annotations

import pytest

from guests.bpf import Action, deny, kill_thread, policy, rule, trace
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EIO, GONE, OK, Expected, killed, mismatches, returned
from guests.syscalls.seccomp import USER_NOTIF_FLAG_CONTINUE, FilterFlag
from guests.task import Task
from guests.uapi import PTRACE_EVENT_SECCOMP, PtraceOption, Signal
from suites.seccomp.support.audit_records import DEFAULT, LOGGED, AuditRecords, audited, fields
from suites.seccomp.support.filtered_tasks import SupervisedPair, skipped, unprivileged
from suites.seccomp.support.recorded_actions import RECORDED, act, taken

pytestmark = pytest.mark.needs("SECCOMP_FILTER")


@audited
@pytest.mark.requirement("seccomp.log-records")
@pytest.mark.parametrize("flags", [FilterFlag.LOG, FilterFlag.NONE], ids=["with-the-flag", "without-the-flag"])
def test_which_actions_are_recorded(guest: Guest, flags: FilterFlag) -> None:
    """Kills and LOG are always recorded, ALLOW never, and all others if their filter has FILTER_FLAG_LOG."""
    records = AuditRecords(guest)
    acted = {action: act(guest, action, flags) for action in Action}
    records.wait_for_all()
    found: dict[str, tuple[object, object]] = {}
    for action, (with_flag, without, signal) in RECORDED.items():
        task, outcome = acted[action]
        outcome.require(taken(action, task))
        logged = [(fields(one)["sig"], fields(one)["code"]) for one in records.of(task)]
        recorded = with_flag if flags else without
        found[action.name] = (logged, [(signal, f"{int(action):#x}")] if recorded else [])
    assert mismatches(found) == []


@audited
@pytest.mark.requirement("seccomp.log-records")
def test_the_kill_of_one_of_several_threads(guest: Guest) -> None:
    """KILL_THREAD is also recorded if the process lives on."""
    records = AuditRecords(guest)
    leader = unprivileged(guest, "leader")
    thread = leader.thread("thread")
    thread.install(policy(kill_thread("getppid"))).result()
    thread.call("getppid").require(GONE)
    leader.call("getppid").require(returned(guest.init.tid))
    records.wait_for_all()
    assert [(fields(one)["sig"], fields(one)["code"]) for one in records.of(leader)] == [("31", "0x0")]


@audited
@pytest.mark.requirement("seccomp.log-silenced")
@pytest.mark.parametrize("silenced", DEFAULT.split())
def test_an_action_removed_from_actions_logged(guest: Guest, silenced: str) -> None:
    """An action whose name is removed from actions_logged is the only one not recorded, and is still taken."""
    records = AuditRecords(guest)
    guest.set_sysctl(LOGGED, " ".join(name for name in DEFAULT.split() if name != silenced))
    acted = {action: act(guest, action, FilterFlag.LOG) for action in RECORDED if action is not Action.ALLOW}
    records.wait_for_all()
    found: dict[str, tuple[object, object]] = {}
    for action, (task, outcome) in acted.items():
        found[f"{action.name}, taken"] = (outcome, taken(action, task))
        found[f"{action.name}, recorded"] = (len(records.of(task)), int(action.name.lower() != silenced))
    assert mismatches(found) == []


@audited
@pytest.mark.requirement("seccomp.log-silenced")
def test_empty_actions_logged(guest: Guest) -> None:
    """With actions_logged empty, nothing is recorded, and every action is still taken."""
    records = AuditRecords(guest)
    guest.set_sysctl(LOGGED, "\n")
    acted = {action: act(guest, action, FilterFlag.LOG) for action in Action}
    records.wait_for_all()
    found: dict[str, tuple[object, object]] = {}
    for action, (task, outcome) in acted.items():
        found[f"{action.name}, taken"] = (outcome, taken(action, task))
        found[f"{action.name}, recorded"] = (records.of(task), [])
    assert mismatches(found) == []


@audited
@pytest.mark.requirement("seccomp.log-matching-filter")
def test_the_flag_of_the_deciding_filter(guest: Guest) -> None:
    """Of two filters, only the flag of the deciding one counts."""
    records = AuditRecords(guest)
    found: dict[str, tuple[object, object]] = {}
    tasks: dict[str, tuple[Task, int]] = {}
    denial, nothing = policy(deny("getppid", errno=EIO)), policy(rule(Action.ALLOW, "getppid"))
    for name, flagged, other, recorded in (("deciding", denial, nothing, 1), ("other", nothing, denial, 0)):
        for order in ((flagged, other), (other, flagged)):
            task = unprivileged(guest)
            for program in order:
                task.install(program, FilterFlag.LOG if program is flagged else FilterFlag.NONE).result()
            task.call("getppid").require(EIO)
            tasks[f"{name} flagged, {'first' if order[0] is flagged else 'last'}"] = (task, recorded)
    records.wait_for_all()
    for name, (task, recorded) in tasks.items():
        found[name] = (len(records.of(task)), recorded)
    assert mismatches(found) == []


@audited
@pytest.mark.requirement("seccomp.log-records")
def test_notified_calls_are_recorded_if_answered(guest: Guest) -> None:
    """A notified call is recorded if its supervisor answers it, but not if it lets it continue."""
    records = AuditRecords(guest)
    pair = SupervisedPair(guest, policy(rule(Action.USER_NOTIF, "getppid")), FilterFlag.LOG)
    call, notif = pair.call_and_receive("getppid")
    pair.reply(notif, flags=USER_NOTIF_FLAG_CONTINUE).result()
    call.outcome().require(returned(pair.supervisor.pid))
    records.wait_for_all()
    assert records.of(pair.target) == []
    call, notif = pair.call_and_receive("getppid")
    pair.reply(notif).result()
    call.outcome().require(returned(0))
    records.wait_for_all()
    assert len(records.of(pair.target)) == 1


NO_CALL: dict[str, int | str] = {"nr": -1}
# fmt: off
TRACED_CALLS: dict[str, tuple[dict[str, int | str], Expected | None, list[tuple[int | str, Action]]]] = {
    # what a tracer does with a traced getppid  its result, and the records: call and action
    "it-runs":             ({},                    OK,      []),
    "it-is-skipped":       (NO_CALL,         None,  [(-1, Action.TRACE)]),
    "another-is-denied":   ({"nr": "getuid"},  EIO,     [("getuid", Action.ERRNO)]),
}
# fmt: on


@audited
@pytest.mark.requirement("seccomp.log-records")
def test_records_of_traced_calls(guest: Guest) -> None:
    """A traced call is recorded once: if its tracer skips it, or if the call it is changed to is denied."""
    records = AuditRecords(guest)
    tracer = guest.spawn("tracer")
    tracees: dict[str, Task] = {}
    calls = {name: row for name, row in TRACED_CALLS.items() if tracer.abi.can_skip or row[0] != NO_CALL}
    for name, (changes, result, _) in calls.items():
        tracees[name] = tracee = unprivileged(guest, name[:15], parent=tracer)
        program = policy(trace("getppid"), deny("getuid", errno=EIO))
        tracee.install(program, FilterFlag.LOG).result()
        tracer.seize(tracee, PtraceOption.TRACESECCOMP).result()
        call = tracee.begin("getppid")
        require(tracer.wait(tracee).event == PTRACE_EVENT_SECCOMP, f"{tracee} did not stop for its tracer")
        tracer.set_registers(tracee, **changes).result()
        tracer.resume(tracee).result()
        call.outcome().require(skipped(tracee, "getppid", 0) if result is None else result)
    records.wait_for_all()
    found: dict[str, tuple[object, object]] = {}
    for name, (_, _, wanted) in calls.items():
        logged = [fields(one) for one in records.of(tracees[name])]
        numbers = [tracees[name].number(nr) if isinstance(nr, str) else nr for nr, _ in wanted]
        expected = [(f"{nr}", f"{int(action):#x}") for nr, (_, action) in zip(numbers, wanted, strict=True)]
        found[name] = ([(one["syscall"], one["code"]) for one in logged], expected)
    assert mismatches(found) == []


@audited
@pytest.mark.boot("audit=0")
@pytest.mark.requirement("seccomp.log-audit-off")
def test_with_audit_switched_off(guest: Guest) -> None:
    """With audit=0, nothing is recorded, and actions are taken as usual."""
    wanted: dict[Action, Expected] = {Action.KILL_PROCESS: killed(Signal.SYS), Action.LOG: returned(guest.init.tid)}
    for action, outcome in wanted.items():
        task = unprivileged(guest)
        task.install(policy(rule(action, "getppid")), FilterFlag.LOG).result()
        assert task.call("getppid") == outcome
    assert [line for line in guest.log() if "type=1326" in line] == []
