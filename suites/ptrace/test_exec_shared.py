# SPDX-License-Identifier: GPL-2.0-or-later
"""What execve() makes of sharing with another process: of the directory, the descriptors, and the signal handlers."""

from __future__ import annotations

import pytest

from guests.call_plan import Plan, run, spare_slot
from guests.guest import Guest
from guests.outcome import EBADF, ENOEXEC, OK, exited, killed, returned
from guests.task import Task
from guests.uapi import WALL, Clone, Signal
from suites.ptrace.support.programs import FOLDER, Programs, execute

F_GETFD = 1


@pytest.mark.requirement("ptrace.exec-shared-directory")
def test_shared_directory(guest: Guest) -> None:
    """A process that shares its directory with another one gains nothing; with its own threads, it does."""
    path = Programs(guest).create(mode=0o6755)
    target, alone = guest.spawn("target"), guest.spawn("alone")
    sharer = target.spawn("sharer", flags=Clone.FS)
    alone.thread("thread")
    execute(target, path).result()
    execute(alone, path).result()
    assert target.call("geteuid") == returned(1000)
    assert target.call("getegid") == returned(1000)
    assert alone.call("geteuid") == returned(0)
    assert alone.call("getegid") == returned(0)
    sharer.exit().require(exited(0))
    target.reap(sharer).result()
    execute(target, path).result()
    assert target.call("geteuid") == returned(0)


@pytest.mark.requirement("ptrace.exec-own-descriptors")
def test_shared_descriptors(guest: Guest) -> None:
    """Two processes that share their descriptors no longer do once one has executed a program, set-uid or not."""
    made = Programs(guest)
    for path in (made.create(), made.create(mode=0o4755)):
        target = guest.spawn("target")
        sharer = target.spawn("sharer", flags=Clone.FILES)
        before = target.open("/").result()
        assert sharer.call("fcntl", before, F_GETFD) == OK
        execute(target, path).result()
        after = target.open("/").result()
        assert sharer.call("fcntl", after, F_GETFD) == EBADF
        assert sharer.call("close", before) == OK
        assert target.call("fcntl", before, F_GETFD) == OK


@pytest.mark.requirement("ptrace.exec-own-handlers")
def test_shared_handlers(guest: Guest) -> None:
    """A process that has shared memory and handlers with another chooses no handler for its new program."""
    made = Programs(guest)
    for path in (made.create(), made.create(mode=0o4755)):
        target = guest.spawn("target")
        sharer = target.spawn("sharer", flags=Clone.VM | Clone.SIGHAND)
        sharer.catch(Signal.USR1).result()
        target.kill(target, Signal.USR1).result()
        assert [caught.signal for caught in target.caught_signals()] == [Signal.USR1]
        execute(target, path).result()
        sharer.catch(Signal.USR2).result()
        assert target.kill(target, Signal.USR2) == killed(Signal.USR2)


def start_sharer(task: Task) -> dict[str, int]:
    """Start a child that shares the task's directory and ends at once, and return how the start ended."""
    child, starting = Plan(spare_slot(0)), Plan(task.slot)
    child.call("getpid")
    child.send(task.guest, 1)
    starting.call("wait4", starting.child(child, Clone.FS), 0, WALL, 0)
    return run(task, starting)[0]


@pytest.mark.requirement("ptrace.exec-that-fails")
def test_failed_execution(guest: Guest) -> None:
    """A process whose execve() has failed can still share its directory, as it does with its threads."""
    task = guest.spawn("task")
    guest.upload(f"{FOLDER}/junk", b"not a program", 0o755)
    assert start_sharer(task) == {"OK": 1}
    assert execute(task, f"{FOLDER}/junk") == ENOEXEC
    assert start_sharer(task) == {"OK": 1}
