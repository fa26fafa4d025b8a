# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks that are frozen by control groups of version 1, whose freezer is that of suspend and hibernation."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.bpf import Action, policy, rule
from guests.call_plan import Plan, run
from guests.errors import require
from guests.guest import Guest
from guests.outcome import OK, returned
from guests.uapi import AT_FDCWD, O_RDONLY
from suites.seccomp.support.filtered_tasks import allow_core_dumps, core_dumps, dumped, unprivileged
from suites.seccomp.support.freezer import LegacyFreezer

pytestmark = [
    pytest.mark.needs("SECCOMP_FILTER", "CGROUP_FREEZER"),
    pytest.mark.own_machine("it changes the tree of control groups, and freezes all processes"),
]


@core_dumps
@pytest.mark.requirement("seccomp.kill-core-frozen")
def test_a_process_that_is_about_to_dump_core(guest: Guest, promised: Callable[[str], bool]) -> None:
    """A killed thread that waits for another, frozen one to end is frozen too; thawed, the process dumps core."""
    leader = unprivileged(guest, "leader")
    other = leader.thread("other")
    allow_core_dumps(leader)
    leader.install(policy(rule(Action.KILL_PROCESS, "getppid"))).result()
    groups = [LegacyFreezer(guest, other), LegacyFreezer(guest, leader)]
    groups[0].freeze()
    groups[0].wait_until_frozen()
    call = leader.begin("getppid")
    leader.wait_state("D")
    groups[1].freeze()
    groups[1].wait_until_frozen()
    assert not call.finished()
    for group in groups:
        group.thaw()
    assert call.outcome() == dumped(promised)


FUTEX_WAIT, FUTEX_WAKE = 0, 1
SNAPSHOT_FREEZE, SNAPSHOT_UNFREEZE = 0x3301, 0x3302
"""Freeze all tasks for hibernation, and thaw them (include/uapi/linux/suspend_ioctls.h)."""


@pytest.mark.needs("HIBERNATION_SNAPSHOT_DEV")
@pytest.mark.requirement("seccomp.thawed-twice")
def test_a_task_that_is_thawed_twice(guest: Guest) -> None:
    """A task that the system thaws while its group is frozen runs on after its group is thawed too.

    It waits for commands in a loop, as filtered tasks do, so that it is running when the group is thawed.
    """
    task = unprivileged(guest, "task")
    group = LegacyFreezer(guest, task)
    word = task.store(bytes(4))
    call = task.begin("futex", word, FUTEX_WAIT, 0, None)
    call.wait_until_blocked()
    group.freeze()
    group.wait_until_frozen()
    root = guest.root("hibernating")
    plan = Plan(root.slot)
    device = plan.call("openat", AT_FDCWD, "/dev/snapshot", O_RDONLY, 0)
    plan.call("ioctl", device, SNAPSHOT_FREEZE, 0)
    plan.call("ioctl", device, SNAPSHOT_UNFREEZE, 0)
    plan.call("close", device)
    require(run(root, plan) == [{"OK": 1}] * len(plan), "the system could not be frozen for hibernation")
    assert root.call("futex", word, FUTEX_WAKE, 1) == returned(1)
    # Whether the task runs before its group is thawed is not promised.
    guest.wait_until(lambda: task.state() == "D" or call.finished(), f"{task} to run, or to be frozen")
    group.thaw()
    assert call.outcome() == OK
    assert [task.call("getppid") for _ in range(3)] == [returned(guest.init.tid)] * 3
