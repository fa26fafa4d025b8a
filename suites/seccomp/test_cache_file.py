# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc/PID/seccomp_cache: who may read it, and whose is empty.  test_bitmap.py is about its content."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EACCES, GONE, OK
from guests.task import Task
from guests.uapi import Cap
from suites.seccomp.support.checkpoint_tracers import ALLOW_ALL, capable_in_its_own_user_namespace
from suites.seccomp.support.filtered_tasks import unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")


@pytest.mark.requirement("seccomp.cache-privilege")
@pytest.mark.needs("SECCOMP_CACHE_DEBUG")
def test_the_cache_requires_privilege(guest: Guest) -> None:
    """Reading /proc/PID/seccomp_cache requires CAP_SYS_ADMIN; an unfiltered task's file is empty."""
    task = unprivileged(guest)
    task.install(ALLOW_ALL).result()
    assert guest.spawn("curious").read_proc(task, "seccomp_cache") == EACCES
    assert capable_in_its_own_user_namespace(guest).read_proc(task, "seccomp_cache") == EACCES
    assert guest.spawn("capable", caps=Cap.SYS_ADMIN).read_proc(task, "seccomp_cache") == OK
    assert guest.read_file(f"/proc/{task.pid}/seccomp_cache") != ""
    assert guest.read_file(f"/proc/{guest.spawn('free').pid}/seccomp_cache") == ""


@pytest.mark.requirement("seccomp.cache-privilege")
@pytest.mark.needs("SECCOMP_CACHE_DEBUG")
def test_the_openers_capability_counts(guest: Guest) -> None:
    """The opener's capability counts, not the reader's: without it, even root reads nothing from the open file."""
    task = unprivileged(guest)
    task.install(ALLOW_ALL).result()
    owner, curious = guest.spawn("capable", caps=Cap.SYS_ADMIN), guest.spawn("curious")
    with_it, without = (
        owner.open_proc(task, "seccomp_cache").result(),
        curious.open_proc(task, "seccomp_cache").result(),
    )
    root = guest.root()
    assert root.read(root.pidfd_getfd(curious, without).result()) == EACCES
    owner.set_caps(Cap.NONE).result()
    assert owner.read(with_it) == OK


@pytest.mark.requirement("seccomp.exited")
@pytest.mark.needs("SECCOMP_CACHE_DEBUG")
def test_exited_threads_have_no_filters(guest: Guest) -> None:
    """A leader that has exited shows no filters, while its process and another thread's filter live on."""
    leader = unprivileged(guest, "leader")
    leader.install(ALLOW_ALL).result()
    thread = leader.thread("thread")

    def has_cache_lines(task: Task) -> bool:
        return guest.read_file(f"/proc/{task.pid}/task/{task.tid}/seccomp_cache") != ""

    assert (has_cache_lines(leader), has_cache_lines(thread)) == (True, True)
    assert leader.exit_thread() == GONE
    leader.wait_state("Z")
    assert (has_cache_lines(leader), has_cache_lines(thread)) == (False, True)
