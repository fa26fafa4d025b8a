# SPDX-License-Identifier: GPL-2.0-or-later
"""When there is no memory, an installation changes nothing, and an action happens all the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from guests.bpf import Action, deny, notify, policy, trap
from guests.guest import Guest
from guests.outcome import ENOMEM, EPERM, OK, Expected, Outcome, returned
from guests.syscalls.seccomp import FilterFlag
from guests.task import Task
from guests.uapi import Signal
from suites.failing_allocations import MARKS, FailingAllocations
from suites.seccomp.support.filtered_tasks import trapped, unprivileged

pytestmark = [
    # A filter that finds no memory to be compiled would be refused with an error of its own.
    pytest.mark.lacks("BPF_JIT_ALWAYS_ON"),
    pytest.mark.needs("SECCOMP_FILTER"),
    *MARKS,
]

DENY = policy(deny("getppid", errno=EPERM))
FREE = 3
"""The lowest free descriptor of a task."""


def check(outcomes: Sequence[Outcome], success: Expected) -> None:
    """All are ENOMEM, or succeed: the first cannot do without its memory, and for the last one there is enough."""
    assert outcomes[0] == ENOMEM
    assert outcomes[-1] == success
    assert [done for done in outcomes if done not in (success, ENOMEM)] == []


@pytest.mark.requirement("seccomp.no-memory")
def test_installation(guest: Guest) -> None:
    """Installing a filter without memory fails with ENOMEM, and the task has no filter."""
    outcomes = []
    failing = FailingAllocations(guest)
    for task, done in failing.one_after_another(lambda: unprivileged(guest), lambda task: task.install(DENY)):
        outcomes.append(done)
        assert task.call("getppid") == (EPERM if done == OK else returned(1))
    check(outcomes, OK)


@pytest.mark.requirement("seccomp.no-memory")
def test_tsync(guest: Guest) -> None:
    """If TSYNC finds no memory, no thread has the filter; otherwise, all have it."""
    others: dict[Task, Task] = {}

    def leader() -> Task:
        task = unprivileged(guest)
        others[task] = task.thread("other")
        return task

    outcomes = []
    failing = FailingAllocations(guest)
    for task, done in failing.one_after_another(leader, lambda task: task.install(DENY, FilterFlag.TSYNC)):
        outcomes.append(done)
        for thread in (task, others[task]):
            assert thread.call("getppid") == (EPERM if done == OK else returned(1))
    check(outcomes, OK)


@pytest.mark.requirement("seccomp.no-memory")
def test_listener(guest: Guest) -> None:
    """A filter with a listener that finds no memory leaves neither, and the next attempt gets the same descriptor."""
    filter_ = policy(notify("getppid"))
    outcomes = []
    failing = FailingAllocations(guest)
    for task, done in failing.one_after_another(lambda: unprivileged(guest), lambda task: task.listen(filter_)):
        outcomes.append(done)
        if done.errno:
            assert task.call("getppid") == returned(1)
            assert task.listen(filter_) == returned(FREE)
    check(outcomes, returned(FREE))


@pytest.mark.requirement("seccomp.no-memory-action")
@pytest.mark.parametrize("action", [Action.ERRNO, Action.TRAP], ids=["ERRNO", "TRAP"])
def test_action(guest: Guest, action: Action) -> None:
    """A call that is to be logged is denied or trapped, whether or not there is memory for the record."""

    def filtered() -> Task:
        task = unprivileged(guest)
        task.catch(Signal.SYS).result()
        task.install(DENY if action is Action.ERRNO else policy(trap("getppid")), FilterFlag.LOG).result()
        return task

    failing = FailingAllocations(guest)
    for task, done in failing.one_after_another(filtered, lambda task: task.call("getppid")):
        assert done == (EPERM if action is Action.ERRNO else trapped(task))
