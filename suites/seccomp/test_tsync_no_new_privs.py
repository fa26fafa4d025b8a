# SPDX-License-Identifier: GPL-2.0-or-later
"""TSYNC brings no_new_privs to every thread that it reaches, whatever filters the thread has had before."""

from __future__ import annotations

import pytest

from guests.bpf import Action, deny, policy, ret
from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, returned
from guests.syscalls.seccomp import FilterFlag
from guests.task import Task
from guests.uapi import Cap
from suites.seccomp.support.filtered_tasks import seccomp_state
from suites.seccomp.support.set_uid_program import SET_UID, make_set_uid_program

pytestmark = [pytest.mark.needs("SECCOMP_FILTER"), pytest.mark.requirement("seccomp.tsync-no-new-privs")]

DENY = policy(deny("getppid", errno=EINVAL))
OTHER = policy(deny("getuid", errno=EPERM))
ALLOW_ALL = (ret(Action.ALLOW),)


def capable(guest: Guest) -> Task:
    """A task of uid 1000 that can install filters without no_new_privs."""
    return guest.spawn("caller", caps=Cap.SYS_ADMIN, quiet=True)


def test_threads_with_filters(guest: Guest) -> None:
    """A thread that has all, some or none of the caller's filters gets no_new_privs together with the new one."""
    caller = capable(guest)
    threads = {"none": caller.thread("none")}
    caller.install(OTHER).result()
    threads["one"] = caller.thread("one")
    caller.install(ALLOW_ALL).result()
    threads["both"] = caller.thread("both")
    everyone = {"caller": caller, **threads}
    before = {name: seccomp_state(guest, task)[:2] for name, task in everyone.items()}
    assert before == {"caller": ("0", "2"), "none": ("0", "0"), "one": ("0", "2"), "both": ("0", "2")}
    caller.set_no_new_privs().result()
    assert [seccomp_state(guest, task)[0] for task in threads.values()] == ["0", "0", "0"]
    assert caller.install(DENY, FilterFlag.TSYNC) == returned(0)
    assert {name: seccomp_state(guest, task)[:2] for name, task in everyone.items()} == dict.fromkeys(
        everyone, ("1", "2")
    )
    assert [task.call("getppid") for task in threads.values()] == [EINVAL] * 3


@pytest.mark.parametrize("filtered", [False, True], ids=["a-thread-without-filters", "a-thread-with-filters"])
@pytest.mark.parametrize(
    ("no_new_privs", "uid"), [(True, 1000), (False, 0)], ids=["the-caller-has-it", "the-caller-lacks-it"]
)
def test_set_uid_programs(guest: Guest, filtered: bool, no_new_privs: bool, uid: int) -> None:
    """After TSYNC of a caller with no_new_privs, a set-uid program gives the other threads no privilege.

    The control is a caller that installs the same filter by CAP_SYS_ADMIN alone.
    """
    make_set_uid_program(guest)
    caller = capable(guest)
    if filtered:
        caller.install(ALLOW_ALL).result()
    thread = caller.thread("thread")
    if no_new_privs:
        caller.set_no_new_privs().result()
    assert caller.install(DENY, FilterFlag.TSYNC) == returned(0)
    thread.execute(SET_UID).result()
    assert thread.call("geteuid") == returned(uid)
    assert thread.call("getuid") == returned(1000)
    assert thread.call("getppid") == EINVAL
