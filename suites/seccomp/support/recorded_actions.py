# SPDX-License-Identifier: GPL-2.0-or-later
"""Which actions of filters are recorded, and a task whose call meets an action."""

from __future__ import annotations

import errno

from guests.bpf import Action, policy, rule
from guests.guest import Guest
from guests.outcome import EIO, ENOSYS, OK, Expected, Outcome, killed
from guests.syscalls.seccomp import FilterFlag
from guests.task import Task
from guests.uapi import Signal
from suites.seccomp.support.filtered_tasks import trapped, unprivileged

# fmt: off
RECORDED: dict[Action, tuple[bool, bool, str]] = {
    # action                logged with FILTER_FLAG_LOG, without it, and with which signal
    Action.KILL_PROCESS:   (True,  True,  "31"),
    Action.KILL_THREAD:    (True,  True,  "31"),
    Action.TRAP:           (True,  False, "0"),
    Action.ERRNO:          (True,  False, "0"),
    Action.USER_NOTIF:     (True,  False, "0"),
    Action.TRACE:          (True,  False, "0"),
    Action.LOG:            (True,  True,  "0"),
    Action.ALLOW:          (False, False, ""),
}
_TAKEN: dict[Action, Expected] = {
    # action                the result of getppid(), other than TRAP
    Action.KILL_PROCESS:   killed(Signal.SYS),
    Action.KILL_THREAD:    killed(Signal.SYS),
    Action.ERRNO:          EIO,
    Action.USER_NOTIF:     ENOSYS,
    Action.TRACE:          ENOSYS,
    Action.LOG:            OK,
    Action.ALLOW:          OK,
}
# fmt: on


def taken(action: Action, task: Task) -> Expected:
    """The result of getppid() in a task that catches SIGSYS."""
    return trapped(task) if action is Action.TRAP else _TAKEN[action]


def act(guest: Guest, action: Action, flags: FilterFlag, *, parent: Task | None = None) -> tuple[Task, Outcome]:
    """A task whose call meets the action, and the call's outcome."""
    task = unprivileged(guest, parent=parent)
    task.catch(Signal.SYS).result()
    task.install(policy(rule(action, "getppid", data=errno.EIO)), flags).result()
    return task, task.call("getppid")
