# SPDX-License-Identifier: GPL-2.0-or-later
"""Every action, by caller: a single thread or one of several, first of a namespace, with SIGSYS caught or not."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from guests.bpf import Action, policy, rule
from guests.guest import Guest
from guests.outcome import EINTR, EINVAL, ENOSYS, GONE, OK, Expected, killed, mismatches, returned
from guests.task import Task
from guests.uapi import AT_FDCWD, PTRACE_EVENT_EXIT, PtraceOption, Signal
from suites.seccomp.support.filter_model import PROMISES_OF_ACTIONS
from suites.seccomp.support.filtered_tasks import (
    DUMPED,
    MADE,
    allow_core_dumps,
    caller_cases,
    check_not_made,
    check_promises,
    core_dumps,
    dumped,
    first_of_a_pid_namespace,
    one_of_several,
    status,
    trapped,
    unprivileged,
)

pytestmark = pytest.mark.needs("SECCOMP_FILTER")


def leader_of_several(guest: Guest) -> Task:
    leader = unprivileged(guest, "leader")
    leader.thread("thread")
    return leader


def init_of_a_pid_namespace(guest: Guest) -> Task:
    task = first_of_a_pid_namespace(guest)
    task.set_no_new_privs().result()
    return task


def with_a_handler(guest: Guest) -> Task:
    task = unprivileged(guest, "catching")
    task.catch(Signal.SYS, result=-errno.EINTR).result()
    return task


def with_sigsys_blocked(guest: Guest) -> Task:
    task = unprivileged(guest, "blocking")
    task.block(Signal.SYS).result()
    return task


def with_sigsys_ignored(guest: Guest) -> Task:
    task = unprivileged(guest, "ignoring")
    task.ignore(Signal.SYS).result()
    return task


CAUGHT = EINTR
"""The result that the handler sets."""
# fmt: off
CALLERS: dict[str, tuple[Callable[[Guest], Task], Expected, Expected, Expected]] = {
    # caller                         KILL_PROCESS  KILL_THREAD  TRAP
    "single-thread":      (unprivileged,             DUMPED, DUMPED, DUMPED),
    "one-of-several":     (one_of_several,           DUMPED, GONE,   DUMPED),
    "leader-of-several":  (leader_of_several,        DUMPED, GONE,   DUMPED),
    "init-of-a-pid-ns":   (init_of_a_pid_namespace,  DUMPED, DUMPED, DUMPED),
    "with-a-handler":     (with_a_handler,           DUMPED, DUMPED, CAUGHT),
    "sigsys-blocked":     (with_sigsys_blocked,      DUMPED, DUMPED, DUMPED),
    "sigsys-ignored":     (with_sigsys_ignored,      DUMPED, DUMPED, DUMPED),
}
NON_FATAL: dict[Action, Expected] = {
    # actions that are the same for every caller
    Action.ERRNO:      EINVAL,
    Action.USER_NOTIF: ENOSYS,
    Action.TRACE:      ENOSYS,
    Action.LOG:        OK,
    Action.ALLOW:      OK,
}
# fmt: on


def wanted_of(caller: str) -> dict[Action, Expected]:
    """What comes of each action's call."""
    _, *severe = CALLERS[caller]
    return dict(zip((Action.KILL_PROCESS, Action.KILL_THREAD, Action.TRAP), severe, strict=True)) | NON_FATAL


@pytest.mark.requirement(*PROMISES_OF_ACTIONS.values(), "seccomp.trap-blocked", "seccomp.kill-core")
@core_dumps
@pytest.mark.parametrize("caller", caller_cases(CALLERS))
def test_every_action(guest: Guest, promised: Callable[[str], bool], caller: str) -> None:
    """Kills end the thread or process by SIGSYS, with a core, however SIGSYS is handled; other actions do not."""
    found: dict[str, dict[str, tuple[object, object]]] = {}
    for action, wanted in wanted_of(caller).items():
        task = CALLERS[caller][0](guest)
        allow_core_dumps(task)
        task.install(policy(rule(action, "getppid", data=errno.EINVAL if action is Action.ERRNO else 0))).result()
        outcome = task.call("getppid")
        blocked = action is Action.TRAP and caller in ("sigsys-blocked", "sigsys-ignored")
        rows = found.setdefault("seccomp.trap-blocked" if blocked else PROMISES_OF_ACTIONS[action], {})
        rows[action.name] = (outcome, killed(Signal.SYS) if wanted is DUMPED else wanted)
        if wanted is DUMPED:
            found.setdefault("seccomp.kill-core", {})[f"{action.name}, its core"] = (outcome, dumped(promised))
        elif wanted is not GONE:
            rows[f"{action.name}, afterwards"] = (task.call("getuid"), returned(1000))
    check_promises(found)


@pytest.mark.requirement("seccomp.kill-process")
@pytest.mark.parametrize("caller", ["leader", "thread"])
def test_kill_process_ends_every_thread(guest: Guest, caller: str) -> None:
    """Whichever thread makes the call, all threads end with it, sleeping or not, filtered or not."""
    leader = unprivileged(guest, "leader")
    threads = {"leader": leader, "thread": leader.thread("thread"), "sleeper": leader.thread("sleeper")}
    sleeping = threads["sleeper"].begin("ppoll", None, 0, None, None, 8)
    sleeping.wait_until_blocked()
    threads[caller].install(policy(rule(Action.KILL_PROCESS, "getppid"))).result()
    assert threads[caller].call("getppid") == killed(Signal.SYS)
    assert sleeping.outcome() == killed(Signal.SYS)
    ends = {name: (thread.wait_death(), killed(Signal.SYS)) for name, thread in threads.items()}
    assert mismatches(ends) == []


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(action, id=action.name, marks=pytest.mark.requirement(PROMISES_OF_ACTIONS[action]))
        for action in (Action.KILL_PROCESS, Action.KILL_THREAD)
    ],
)
def test_a_killed_call_does_not_run(guest: Guest, action: Action) -> None:
    """A call that kills its process does not run; the same call in an unfiltered task does."""
    task = unprivileged(guest)
    task.install(policy(rule(action, "mkdirat"))).result()
    assert task.call("mkdirat", AT_FDCWD, MADE, 0o755) == killed(Signal.SYS)
    check_not_made(guest)


@pytest.mark.requirement("seccomp.kill-thread")
def test_kill_thread_leaves_the_others(guest: Guest) -> None:
    """Each thread in turn ends alone, and only the last one ends the process."""
    leader = unprivileged(guest, "leader")
    first, second = leader.thread("first"), leader.thread("second")
    for thread in (leader, first, second):
        thread.install(policy(rule(Action.KILL_THREAD, "getppid"))).result()
    assert first.call("getppid") == GONE
    assert leader.call("getppid") == GONE
    assert status(guest, leader)["State"].startswith("Z")
    assert second.call("getuid") == returned(1000)
    assert second.call("getppid") == killed(Signal.SYS)


# A tracer


@pytest.mark.requirement("seccomp.kill-not-suppressed")
@pytest.mark.parametrize(
    "first",
    [
        pytest.param(False, id="an-ordinary-process"),
        pytest.param(True, id="init-of-a-pid-namespace", marks=pytest.mark.needs("PID_NS")),
    ],
)
@pytest.mark.parametrize("action", [Action.KILL_PROCESS, Action.KILL_THREAD], ids=lambda action: action.name)
def test_a_tracer_cannot_suppress_a_kill(guest: Guest, action: Action, first: bool) -> None:
    """A kill causes no signal-delivery stop: the tracer only learns that its tracee has died of the signal."""
    tracer = guest.root("tracer")
    tracee = first_of_a_pid_namespace(guest, parent=tracer) if first else tracer.spawn("tracee", quiet=True)
    tracee.install(policy(rule(action, "getppid"))).result()
    tracer.seize(tracee).result()
    assert tracee.call("getppid") == killed(Signal.SYS)
    assert tracer.wait(tracee).killed_by == Signal.SYS


@pytest.mark.requirement("seccomp.trap-traced")
def test_a_tracer_may_suppress_a_trap(guest: Guest) -> None:
    """A tracer can suppress TRAP's signal; the call does not run even then, and returns what a handler would find."""
    tracer = guest.spawn("tracer")
    tracee = unprivileged(guest, "tracee", parent=tracer)
    tracee.install(policy(rule(Action.TRAP, "getppid"))).result()
    tracer.seize(tracee).result()

    kept = tracee.begin("getppid")
    assert tracer.wait(tracee).stopped_by == Signal.SYS
    tracer.resume(tracee).result()
    assert kept.outcome() == trapped(tracee)

    passed_on = tracee.begin("getppid")
    assert tracer.wait(tracee).stopped_by == Signal.SYS
    tracer.resume(tracee, Signal.SYS).result()
    assert passed_on.outcome() == killed(Signal.SYS)


@pytest.mark.requirement("seccomp.kill-thread")
def test_a_traced_thread_is_killed_alone(guest: Guest) -> None:
    """KILL_THREAD reports the thread's exit to its tracer, with SIGSYS as status, and the process lives on."""
    tracer = guest.spawn("tracer")
    leader = unprivileged(guest, "leader", parent=tracer)
    leader.install(policy(rule(Action.KILL_THREAD, "getppid"))).result()
    thread = leader.thread("thread")
    tracer.seize(thread, PtraceOption.TRACEEXIT).result()
    dying = thread.begin("getppid")
    assert tracer.wait(thread).event == PTRACE_EVENT_EXIT
    assert tracer.event_message(thread) == Signal.SYS
    tracer.resume(thread).result()
    assert dying.outcome() == GONE
    assert leader.call("getuid") == returned(1000)
