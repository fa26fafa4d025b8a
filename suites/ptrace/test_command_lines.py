# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc/PID/cmdline and environ: long ones, titles that processes give themselves, and memory that is a file's."""

from __future__ import annotations

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import OK
from guests.task import Task
from guests.uapi import MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, O_CREAT, O_RDWR, PROT_READ, PROT_WRITE, Cap
from suites.ptrace.support.programs import ENVIRONMENT, FOLDER, Programs

PAGE = 4096
ARG_START = 48
"""The field of /proc/PID/stat (proc_pid_stat(5)): the address of the arguments, after which the environment comes."""
PR_SET_MM = 35
SET_ARG_START, SET_ARG_END, SET_ENV_START, SET_ENV_END = 8, 9, 10, 11
WORDS = b"a command line\0and its environment\0"
AFTER_ARGUMENTS = 15
"""Where the environment begins in WORDS."""


def command_line(guest: Guest, task: Task) -> bytes:
    return guest.read_bytes(f"/proc/{task.pid}/cmdline")


def execute_with(guest: Guest, task: Task, *words: str) -> bytes:
    """execve() the program of a task with these arguments besides its own, and return its command line."""
    path = Programs(guest).create()
    words = (path, "task", str(task.slot), *words)
    task.call("execve", path, task.store_words(*words), task.store_words(ENVIRONMENT), shown="execute()").result()
    return b"".join(word.encode() + b"\0" for word in words)


@pytest.mark.requirement("ptrace.command-line")
def test_long_command_line(guest: Guest) -> None:
    """The command line is shown as a whole, however long it is, in one piece or in several."""
    task = guest.spawn("task")
    wanted = execute_with(guest, task, "x" * 2 * PAGE, "", "the last")
    assert command_line(guest, task) == wanted
    reader = guest.spawn("reader", uid=1001)
    descriptor = reader.open(f"/proc/{task.pid}/cmdline").result()
    pieces = b""
    while (done := reader.read(descriptor, PAGE - 1)).result():
        pieces += done.read()[: done.value]
    assert pieces == wanted


@pytest.mark.requirement("ptrace.command-line")
def test_title(guest: Guest) -> None:
    """A process that writes a title over its arguments, and on over its environment, has it as command line."""
    task = guest.spawn("task")
    own = execute_with(guest, task)
    address = int(guest.read_file(f"/proc/{task.pid}/stat").rpartition(")")[2].split()[ARG_START - 3])
    for title in (b"short".ljust(len(own), b"\0"), b"t" * (len(own) + len(ENVIRONMENT) // 2) + b"\0"):
        require(task.copy(address, task.store(title), len(title)) == OK, f"{task} could not write its title")
        assert command_line(guest, task) == title
    assert guest.read_bytes(f"/proc/{task.pid}/environ").endswith(ENVIRONMENT.encode()[-3:] + b"\0")


@pytest.mark.requirement("ptrace.command-line-of-a-file")
def test_command_line_from_a_file(guest: Guest) -> None:
    """Where a process says that its arguments are, they are shown if the memory is anonymous, and not if a file's."""
    task = guest.spawn("task", caps=Cap.SYS_RESOURCE)
    path = f"{FOLDER}/words"
    file = task.open(path, O_RDWR | O_CREAT).result()
    task.write(file, WORDS).result()
    for flags, descriptor, shown in (
        (MAP_PRIVATE | MAP_ANONYMOUS, -1, True),
        (MAP_SHARED, file, False),
        (MAP_PRIVATE, file, False),
    ):
        address = task.call("mmap", 0, PAGE, PROT_READ | PROT_WRITE, flags, descriptor, 0).result()
        if shown:
            task.copy(address, task.store(WORDS), len(WORDS)).result()
        for what, where in (
            (SET_ARG_START, 0),
            (SET_ARG_END, AFTER_ARGUMENTS),
            (SET_ENV_START, AFTER_ARGUMENTS),
            (SET_ENV_END, len(WORDS)),
        ):
            task.call("prctl", PR_SET_MM, what, address + where, 0, 0).result()
        assert command_line(guest, task) == (WORDS[:AFTER_ARGUMENTS] if shown else b"")
        assert guest.read_bytes(f"/proc/{task.pid}/environ") == (WORDS[AFTER_ARGUMENTS:] if shown else b"")
