# SPDX-License-Identifier: GPL-2.0-or-later
"""Executable files: while they run, by descriptor, with no arguments, and in directories of a group."""

from __future__ import annotations

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import ETXTBSY, OK, exited
from guests.uapi import O_CREAT, O_PATH, O_WRONLY, Signal
from suites.ptrace.support.programs import (
    ENVIRONMENT,
    FOLDER,
    Programs,
    execute,
    stored_arguments,
    wait_until_it_waits,
)

SHARED = f"{FOLDER}/shared"
AT_EMPTY_PATH = 0x1000
TASK_COMM_LEN = 16
START_STACK = 28
"""The field of /proc/PID/stat (proc_pid_stat(5)): the address of what the kernel gives to a program."""


@pytest.mark.requirement("ptrace.running-executable")
def test_running_executable(guest: Guest) -> None:
    """A program that runs cannot be opened for writing, and one that is open for writing cannot be executed."""
    owner, target = guest.spawn("owner"), guest.spawn("target")
    path = Programs(guest).create(uid=1000, gid=1000)
    writing = owner.open(path, O_WRONLY).result()
    assert execute(target, path) == ETXTBSY
    owner.close(writing).result()
    assert execute(target, path) == OK
    assert owner.open(path, O_WRONLY) == ETXTBSY
    assert owner.call("truncate", path, 0) == ETXTBSY
    child = target.spawn("child")
    execute(target, guest.program).result()
    assert owner.open(path, O_WRONLY) == ETXTBSY
    child.exit().require(exited(0))
    assert owner.open(path, O_WRONLY) == OK


@pytest.mark.requirement("ptrace.set-gid-of-others")
def test_set_gid_program_of_another_group(guest: Guest) -> None:
    """A process outside the group of a set-gid directory creates no set-gid program of that group in it."""
    root = guest.root()
    root.mkdir(SHARED).result()
    root.chown(SHARED, 0, 1001).result()
    root.chmod(SHARED, 0o2777).result()
    for folder, uid, mode in ((SHARED, 1000, 0o755), (SHARED, 1001, 0o2755), (FOLDER, 1000, 0o2755)):
        task, path = guest.spawn("task", uid=uid), f"{folder}/program-of-{uid}"
        task.call("umask", 0).result()
        task.open(path, O_WRONLY | O_CREAT, 0o2755).result()
        assert task.mode(path) == mode


@pytest.mark.requirement("ptrace.name-by-descriptor")
def test_name_of_a_program_executed_by_descriptor(guest: Guest) -> None:
    """execveat() of a descriptor names the process after the file, as if it had been executed by its path."""
    path = Programs(guest).create()
    name = path.rpartition("/")[2]
    for opened, relative in ((path, ""), (FOLDER, name)):
        task = guest.spawn("task")
        descriptor = task.open(opened, O_PATH).result()
        words = stored_arguments(task, path, task.slot)
        shown = f'execveat({descriptor}, "{relative}")'
        task.call("execveat", descriptor, relative, *words, AT_EMPTY_PATH, shown=shown).result()
        assert guest.read_file(f"/proc/{task.pid}/comm") == f"{name[: TASK_COMM_LEN - 1]}\n"


@pytest.mark.requirement("ptrace.exec-without-arguments")
@pytest.mark.parametrize("empty", [False, True], ids=["null", "an-empty-array"])
def test_without_arguments(guest: Guest, empty: bool) -> None:
    """A program that is executed without arguments gets an empty one, and does not take its environment for it."""
    task, path = guest.spawn("task"), Programs(guest).create_waiting()
    words, environment = task.store_words() if empty else None, task.store_words(ENVIRONMENT)
    running = task.begin("execve", path, words, environment, shown=f'execute("{path}") without arguments')
    wait_until_it_waits(task, running)
    require(not running.finished(), f"{running}, and the test needs it to run")
    assert guest.read_bytes(f"/proc/{task.pid}/cmdline") == b"\0"
    assert guest.read_bytes(f"/proc/{task.pid}/environ") == f"{ENVIRONMENT}\0".encode()
    address = int(guest.read_file(f"/proc/{task.pid}/stat").rpartition(")")[2].split()[START_STACK - 3])
    stack = guest.root().read_memory(task, address, 4 * task.abi.word)
    count, first, second, variable = task.abi.all_words(stack)
    assert (count, second, variable - first) == (1, 0, 1)
    guest.root().kill(task, Signal.KILL).result()
