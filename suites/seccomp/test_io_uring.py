# SPDX-License-Identifier: GPL-2.0-or-later
"""io_uring under filters: its system calls are filtered, and what is submitted to a ring is not."""

from __future__ import annotations

import errno

import pytest

from guests.bpf import Action, deny, kill_thread, log, policy, rule
from guests.guest import Guest
from guests.outcome import EBADF, EINVAL, EIO, ENOSYS, EPERM, OK, Expected, killed, mismatches, returned
from guests.sysctl_path import sysctl_path
from guests.task import Task
from guests.uapi import AT_FDCWD, Cap, Signal
from suites.seccomp.support.audit_records import AuditRecords, audited, fields
from suites.seccomp.support.filtered_tasks import trapped, unprivileged
from suites.seccomp.support.io_uring_ring import ASYNC, Ring, set_up

pytestmark = pytest.mark.needs("SECCOMP_FILTER", "IO_URING")

DENY_OPEN = policy(deny("openat", errno=errno.EIO))
FILE, CONTENT = "/tmp/file", b"what the filter keeps from the task"  # noqa: S108 - the guest's

# fmt: off
TAKEN: dict[Action, Expected | None] = {
    # action               the result of openat() as a system call
    Action.KILL_PROCESS:   killed(Signal.SYS),
    Action.TRAP:           None,
    Action.ERRNO:          EIO,
    Action.USER_NOTIF:     ENOSYS,
    Action.TRACE:          ENOSYS,
}
# fmt: on


@pytest.fixture
def task(guest: Guest) -> Task:
    """A task that will be filtered, and a file for it to open."""
    guest.write_file(FILE, CONTENT, create=True).result()
    return unprivileged(guest)


def check_opened(task: Task, ring: Ring) -> None:
    """Submit the operation of the ring: it opens the file."""
    assert ring.enter() == returned(1)
    opened = ring.result()
    assert opened == OK
    assert task.read(opened.value, len(CONTENT)).read() == CONTENT


@pytest.mark.requirement("seccomp.io-uring")
@pytest.mark.parametrize("how", [0, ASYNC], ids=["at-once", "in-a-worker"])
@pytest.mark.parametrize("action", TAKEN, ids=lambda action: action.name)
def test_submitted_operations(task: Task, action: Action, how: int) -> None:
    """An openat() that is submitted to a ring runs, whatever the filters return for the system call openat()."""
    task.catch(Signal.SYS).result()
    task.install(policy(rule(action, "openat", data=errno.EIO))).result()
    ring = Ring(task)
    ring.prepare_open(FILE, how=how)
    check_opened(task, ring)
    wanted = TAKEN[action]
    assert task.open(FILE) == (trapped(task, "openat", AT_FDCWD) if wanted is None else wanted)


@pytest.mark.requirement("seccomp.io-uring")
def test_an_older_ring(task: Task) -> None:
    """Operations of a ring that is older than the filter are not filtered either."""
    ring = Ring(task)
    ring.prepare_open(FILE)
    task.install(DENY_OPEN).result()
    check_opened(task, ring)
    assert task.open(FILE) == EIO


@pytest.mark.requirement("seccomp.io-uring")
def test_its_system_calls(task: Task) -> None:
    """io_uring's own system calls are filtered like any other: denying them denies all operations."""
    ring = Ring(task)
    ring.prepare_open(FILE)
    task.install(policy(deny("io_uring_setup", "io_uring_enter", "io_uring_register", errno=errno.EIO))).result()
    assert ring.enter() == EIO
    assert set_up(task) == EIO
    assert task.call("io_uring_register", ring.descriptor, 0, None, 0) == EIO
    assert task.read(ring.descriptor + 1) == EBADF


@audited
@pytest.mark.requirement("seccomp.io-uring")
def test_records(guest: Guest, task: Task) -> None:
    """Of filters that log openat() and io_uring_enter(), a submitted openat() leaves a record of the latter alone."""
    records = AuditRecords(guest)
    ring = Ring(task)
    ring.prepare_open(FILE)
    task.install(policy(log("openat"), log("io_uring_enter"))).result()
    check_opened(task, ring)
    records.wait_for_all()
    assert [fields(one)["syscall"] for one in records.of(task)] == [str(task.number("io_uring_enter"))]


@pytest.mark.requirement("seccomp.kill-thread-worker")
@pytest.mark.parametrize("worker", [False, True], ids=["without-a-worker", "with-a-worker"])
def test_kill_thread_beside_a_worker(task: Task, worker: bool) -> None:
    """KILL_THREAD in a process's only thread ends the process by SIGSYS, with or without a worker of its rings."""
    if worker:
        ring = Ring(task)
        ring.prepare_open(FILE, how=ASYNC)
        ring.enter().require(returned(1))
    task.install(policy(kill_thread("getppid"))).result()
    assert task.call("getppid") == killed(Signal.SYS)


# kernel.io_uring_disabled

DISABLED, GROUP = "kernel.io_uring_disabled", "kernel.io_uring_group"
# fmt: off
WHO = {
    # uid and gid, capabilities              with 0, with 1, and with 2
    "root":                  (0,    Cap.ALL,         (OK, OK,    EPERM)),
    "root-without-caps":     (0,    Cap.NONE,        (OK, EPERM, EPERM)),
    "with-cap-sys-admin":    (1000, Cap.SYS_ADMIN,   (OK, OK,    EPERM)),
    "unprivileged":          (1000, Cap.NONE,        (OK, EPERM, EPERM)),
    "member-of-the-group":   (2000, Cap.NONE,        (OK, OK,    EPERM)),
}
# fmt: on


@pytest.mark.needs("SYSCTL")
@pytest.mark.requirement("seccomp.io-uring-disabled")
@pytest.mark.parametrize("value", [0, 1, 2])
def test_who_may_make_a_ring(guest: Guest, value: int) -> None:
    """At io_uring_disabled 0, all may make rings, at 1 CAP_SYS_ADMIN and io_uring_group, at 2 nobody."""
    tasks = {name: guest.spawn("task", uid=uid, caps=caps) for name, (uid, caps, _) in WHO.items()}
    guest.set_sysctl(GROUP, 2000)
    guest.set_sysctl(DISABLED, value)
    found: dict[str, tuple[object, object]] = {
        name: (set_up(task), WHO[name][2][value]) for name, task in tasks.items()
    }
    filtered = unprivileged(guest)
    filtered.install(DENY_OPEN).result()
    found["filtered"] = (set_up(filtered), WHO["unprivileged"][2][value])
    assert mismatches(found) == []


@pytest.mark.needs("SYSCTL")
@pytest.mark.requirement("seccomp.io-uring-disabled")
def test_existing_rings_work_on(guest: Guest, task: Task) -> None:
    """A ring that was made before goes on working when rings are disabled; a new one cannot be made."""
    ring = Ring(task)
    guest.set_sysctl(DISABLED, 2)
    ring.prepare_open(FILE)
    check_opened(task, ring)
    assert set_up(task) == EPERM


@pytest.mark.needs("SYSCTL")
@pytest.mark.requirement("seccomp.io-uring-disabled")
def test_values(guest: Guest) -> None:
    """kernel.io_uring_disabled takes 0, 1 and 2, in any order, and nothing else; initially it is 0."""
    path = sysctl_path(DISABLED)
    assert guest.sysctl(DISABLED) == "0"
    for value, wanted in (("2", OK), ("3", EINVAL), ("-1", EINVAL), ("1", OK), ("all", EINVAL), ("0", OK)):
        before = guest.sysctl(DISABLED)
        assert guest.write_file(path, value) == wanted
        assert guest.sysctl(DISABLED) == (value if wanted is OK else before)
