# SPDX-License-Identifier: GPL-2.0-or-later
"""Who inherits filters: children, threads and executed programs; and no_new_privs, which makes that safe."""

from __future__ import annotations

import pytest

from guests.bpf import Action, deny, policy, ret
from guests.guest import Guest
from guests.outcome import EACCES, EINVAL, EPERM, OK, exited, mismatches, returned
from guests.task import Task
from guests.uapi import Cap, Clone, Prctl
from suites.seccomp.support.filtered_tasks import status, unprivileged
from suites.seccomp.support.set_uid_program import SET_UID, make_set_uid_program

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

DENY = policy(deny("getppid", errno=EINVAL))
ALLOW_ALL = (ret(Action.ALLOW),)


# Filters


@pytest.mark.needs("USER_NS", "PID_NS")
@pytest.mark.requirement("seccomp.inheritance")
def test_children_and_threads_are_filtered(guest: Guest) -> None:
    """Children, grandchildren and threads inherit filters, whatever their clone flags, as do executed programs."""
    task = unprivileged(guest)
    task.install(DENY).result()
    child = task.spawn("child")
    made: dict[str, Task] = {
        "child": child,
        "grandchild": child.spawn("grandchild"),
        "thread": task.thread("thread"),
        "child of a thread": task.thread("other").spawn("its-child"),
        "sharing memory": task.spawn("sharer", flags=Clone.VM),
        "adopted by init": task.spawn("sibling", flags=Clone.PARENT),
        "in namespaces of its own": task.spawn("apart", flags=Clone.NEWUSER | Clone.NEWPID),
    }
    found: dict[str, tuple[object, object]] = {name: (one.call("getppid"), EINVAL) for name, one in made.items()}
    task.execute_again().result()
    found["the program that was executed"] = (task.call("getppid"), EINVAL)
    found["another call"] = (task.call("getuid"), returned(1000))
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.inheritance")
def test_later_filters_are_not_shared(guest: Guest) -> None:
    """A filter installed after fork or clone affects neither the child nor the other threads."""
    task = unprivileged(guest)
    child, thread = task.spawn("child"), task.thread("thread")
    task.install(DENY).result()
    assert child.call("getppid") == returned(task.pid)
    assert thread.call("getppid") == returned(guest.init.tid)
    assert task.call("getppid") == EINVAL
    child.install(policy(deny("getuid", errno=EPERM))).result()
    assert child.call("getuid") == EPERM
    assert task.call("getuid") == returned(1000)


@pytest.mark.requirement("seccomp.inheritance")
def test_filters_outlive_their_installer(guest: Guest) -> None:
    """A child keeps the filter that its parent installed after the parent has died."""
    parent = unprivileged(guest, "parent")
    parent.install(DENY).result()
    child = parent.spawn("child")
    parent.exit().require(exited(0))
    guest.init.reap(parent).result()
    assert child.call("getppid") == EINVAL


# no_new_privs


@pytest.mark.requirement("seccomp.no-new-privs")
def test_no_new_privs_stays(guest: Guest) -> None:
    """no_new_privs is set with 1 only, is never cleared, and is inherited by later children, threads and programs."""
    task = guest.spawn("task", quiet=True)
    before = task.thread("before")

    def get(who: Task) -> object:
        return who.call("prctl", Prctl.GET_NO_NEW_PRIVS, 0, 0, 0, 0)

    def put(*arguments: int) -> object:
        return task.call("prctl", Prctl.SET_NO_NEW_PRIVS, *arguments)

    found: dict[str, tuple[object, object]] = {
        "at first": (get(task), returned(0)),
        "set to 0": (put(0, 0, 0, 0), EINVAL),
        "set to 2": (put(2, 0, 0, 0), EINVAL),
        **({"set by the lower half": (put(1 << 32 | 1, 0, 0, 0), EINVAL)} if task.abi.word == 8 else {}),
        "with a third argument": (put(1, 1, 0, 0), EINVAL),
        "with a fourth": (put(1, 0, 1, 0), EINVAL),
        "with a fifth": (put(1, 0, 0, 1), EINVAL),
        "and still": (get(task), returned(0)),
        "set": (put(1, 0, 0, 0), OK),
        "set again": (put(1, 0, 0, 0), OK),
        "cleared": (put(0, 0, 0, 0), EINVAL),
        "in the end": (get(task), returned(1)),
        "asked with an argument": (task.call("prctl", Prctl.GET_NO_NEW_PRIVS, 1, 0, 0, 0), EINVAL),
        "asked with a fifth": (task.call("prctl", Prctl.GET_NO_NEW_PRIVS, 0, 0, 0, 1), EINVAL),
        "an older thread": (get(before), returned(0)),
        "a newer thread": (get(task.thread("after")), returned(1)),
        "a child": (get(task.spawn("child")), returned(1)),
    }
    task.execute_again().result()
    found["an executed program"] = (get(task), returned(1))
    assert mismatches(found) == []


def ordinary(guest: Guest) -> Task:
    return guest.spawn("ordinary", quiet=True)


def filtered_by_privilege(guest: Guest) -> Task:
    """A task that has installed a filter with CAP_SYS_ADMIN, and then dropped it."""
    task = guest.spawn("filtered", caps=Cap.SYS_ADMIN, quiet=True)
    task.install(DENY).result()
    task.set_caps(Cap.NONE).result()
    return task


def filtered_with_no_new_privs(guest: Guest) -> Task:
    task = unprivileged(guest)
    task.install(DENY).result()
    return task


def without_a_filter(guest: Guest) -> Task:
    return unprivileged(guest, "no-new-privs")


# fmt: off
EXECUTIONS = {
    # who executes root's set-uid program                          its effective uid   is it filtered?
    "ordinary":                   (ordinary,                       returned(0),        False),
    "filtered-by-privilege":      (filtered_by_privilege,          returned(0),        True),
    "with-no-new-privs":          (without_a_filter,               returned(1000),     False),
    "filtered-with-no-new-privs": (filtered_with_no_new_privs,     returned(1000),     True),
}
# fmt: on


@pytest.mark.requirement("seccomp.no-new-privs-exec")
@pytest.mark.parametrize("who", EXECUTIONS)
def test_set_uid_programs(guest: Guest, who: str) -> None:
    """A set-uid program gains privilege unless no_new_privs is set, filtered or not; its filters stay either way."""
    build, uid, filtered = EXECUTIONS[who]
    make_set_uid_program(guest)
    task = build(guest)
    task.execute(SET_UID).result()
    assert task.call("geteuid") == uid
    assert task.call("getuid") == returned(1000)
    assert task.call("getppid") == (EINVAL if filtered else returned(guest.init.tid))


@pytest.mark.requirement("seccomp.no-new-privs-exec")
@pytest.mark.parametrize("filtered", ["leader", "thread"])
@pytest.mark.parametrize("executing", ["leader", "thread"])
def test_set_uid_programs_of_threads(guest: Guest, filtered: str, executing: str) -> None:
    """Only the no_new_privs and the filters of the thread that executes a set-uid program count."""
    make_set_uid_program(guest)
    leader = guest.spawn("leader", quiet=True)
    threads = {"leader": leader, "thread": leader.thread("thread")}
    threads[filtered].set_no_new_privs().result()
    threads[filtered].install(DENY).result()
    task, itself = threads[executing], executing == filtered
    task.execute(SET_UID).result()
    assert task.call("geteuid") == returned(1000 if itself else 0)
    assert task.call("getppid") == (EINVAL if itself else returned(guest.init.tid))
    assert status(guest, task)["NoNewPrivs"] == ("1" if itself else "0")


@pytest.mark.requirement("seccomp.no-new-privs-exec")
@pytest.mark.parametrize("no_new_privs", [False, True], ids=["ordinary", "with-no-new-privs"])
def test_root_without_capabilities(guest: Guest, no_new_privs: bool) -> None:
    """uid 0 without capabilities regains them with any program that it executes, unless no_new_privs is set."""
    task = guest.spawn("root", uid=0, quiet=True)
    task.call("chroot", "/").require(EPERM)
    if no_new_privs:
        task.set_no_new_privs().result()
    task.execute_again().result()
    assert task.call("chroot", "/") == (EPERM if no_new_privs else OK)


@pytest.mark.requirement("seccomp.privilege")
def test_capabilities_lost_by_exec(guest: Guest) -> None:
    """CAP_SYS_ADMIN permits installing a filter only while the task has it: execve() loses it."""
    task = guest.spawn("capable", caps=Cap.SYS_ADMIN, quiet=True)
    assert task.install(ALLOW_ALL) == OK
    task.execute_again().result()
    assert task.install(ALLOW_ALL) == EACCES


# /proc/PID/status


@pytest.mark.requirement("seccomp.status")
def test_status(guest: Guest) -> None:
    """/proc/PID/status shows NoNewPrivs and Seccomp per thread: 0 at first, 2 under a filter, 1 in strict mode."""

    def shown(task: Task) -> tuple[str, str]:
        lines = status(guest, task)
        return lines["NoNewPrivs"], lines["Seccomp"]

    task = guest.spawn("task", quiet=True)
    thread = task.thread("thread")
    strict = guest.spawn("strict", quiet=True)
    assert shown(task) == ("0", "0")
    task.set_no_new_privs().result()
    assert shown(task) == ("1", "0")
    task.install(ALLOW_ALL).result()
    assert shown(task) == ("1", "2")
    assert shown(thread) == ("0", "0")
    strict.enter_strict_mode().result()
    assert shown(strict) == ("0", "1")


@pytest.mark.requirement("seccomp.status-count")
def test_count(guest: Guest) -> None:
    """Seccomp_filters counts a task's filters, including inherited ones; strict mode has none."""

    def count(task: Task) -> str:
        return status(guest, task)["Seccomp_filters"]

    task = unprivileged(guest)
    assert count(task) == "0"
    for wanted in ("1", "2", "3"):
        task.install(ALLOW_ALL).result()
        assert count(task) == wanted
    child = task.spawn("child")
    child.install(ALLOW_ALL).result()
    assert (count(child), count(task)) == ("4", "3")
    task.execute_again().result()
    assert count(task) == "3"
    # A rejected filter is not counted.
    assert task.install(()) == EINVAL
    assert count(task) == "3"
    strict = guest.spawn("strict", quiet=True)
    strict.enter_strict_mode().result()
    assert count(strict) == "0"
    # A filter that a thread has installed alone counts for that thread only.
    thread = task.thread("thread")
    thread.install(ALLOW_ALL).result()
    assert (count(thread), count(task)) == ("4", "3")
