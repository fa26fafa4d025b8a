# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts: the arguments that their interpreters get, first lines that are too long, and chains of interpreters."""

from __future__ import annotations

import errno

import pytest

from guests.guest import Guest
from guests.outcome import ENOEXEC, OK, Outcome, error
from guests.promises import breaks
from guests.syscalls.base import Pending
from guests.task import Task
from guests.uapi import Cap
from suites.ptrace.support.privileges import make_ambient, permitted
from suites.ptrace.support.programs import ENVIRONMENT, FOLDER, Programs, execute, wait_until_it_waits

pytestmark = pytest.mark.needs("BINFMT_SCRIPT")

ELOOP = error(errno.ELOOP)
MOST = 5
"""The longest chain of scripts."""
READ = 255
"""How many bytes of a script's first line the kernel reads, since 5.1."""


def script(guest: Guest, name: str, line: str) -> str:
    """A script in /tmp with this first line, and its path."""
    path = f"{FOLDER}/{name}"
    guest.upload(path, line.encode() + b"\n", 0o755)
    return path


def begin_in_tmp(task: Task, path: str, *arguments: str) -> Pending:
    """Start an execve() in /tmp, where relative names of interpreters are found."""
    task.call("chdir", FOLDER).result()
    words = task.store_words(path, *arguments)
    return task.begin("execve", path, words, task.store_words(ENVIRONMENT), shown=f'execute("{path}")')


def execute_in_tmp(task: Task, path: str, *arguments: str) -> Outcome:
    return begin_in_tmp(task, path, *arguments).outcome()


def command_line(guest: Guest, task: Task) -> list[str]:
    return guest.read_file(f"/proc/{task.pid}/cmdline").rstrip("\0").split("\0")


def chain(guest: Guest, name: str, program: str, length: int) -> list[str]:
    """So many scripts, each the interpreter of the next; that of the first is the program."""
    names = [f"{name}-{number}" for number in range(length)]
    for interpreter, each in zip((f"{program} first", *names), names, strict=False):
        script(guest, each, f"#!{interpreter}")
    return names


@pytest.mark.requirement("ptrace.script-arguments", "ptrace.script-chain")
def test_chain(guest: Guest) -> None:
    """Five scripts are each another's interpreter, and hand down each other's names; six are too many."""
    task, program = guest.spawn("task"), Programs(guest).create_waiting()
    five, six = chain(guest, "five", program, MOST), chain(guest, "six", program, MOST + 1)
    with breaks("ptrace.script-chain"):
        assert begin_in_tmp(task, six[-1]).outcome() == ELOOP
        running = begin_in_tmp(task, five[-1], "argument", "")
        wait_until_it_waits(task, running)
        assert not running.finished(), running
    with breaks("ptrace.script-arguments"):
        words = (program, "first", *five, "argument", "")
        assert guest.read_bytes(f"/proc/{task.pid}/cmdline") == b"".join(f"{word}\0".encode() for word in words)


@pytest.mark.requirement("ptrace.exec-scripts")
@pytest.mark.parametrize(
    ("mode", "interpreters", "remains"),
    [
        pytest.param(0o755, 0o755, Cap.KILL, id="ordinary"),
        pytest.param(0o4755, 0o755, Cap.KILL, id="set-uid-script"),
        pytest.param(0o755, 0o4755, Cap.NONE, id="set-uid-interpreter"),
    ],
)
def test_ambient_capabilities(guest: Guest, mode: int, interpreters: int, remains: Cap) -> None:
    """The set-uid bit of a script does not cost a process its ambient capabilities; that of an interpreter does."""
    task, programs = guest.spawn("task", caps=Cap.KILL), Programs(guest)
    path = programs.create_script(task, programs.create(mode=interpreters, uid=1001), mode=mode)
    make_ambient(task, Cap.KILL)
    execute(task, path).result()
    assert permitted(task) == remains


@pytest.mark.requirement("ptrace.script-long-line")
def test_long_line(guest: Guest) -> None:
    """What the kernel reads of a long first line is the argument of the interpreter, and the rest is left out."""
    task = guest.spawn("task")
    line = f"#!{guest.program} task {'x' * 2 * READ}"
    script(guest, str(task.slot), line)
    assert execute_in_tmp(task, str(task.slot)) == OK
    assert command_line(guest, task) == [guest.program, line[:READ].partition(" ")[2], str(task.slot)]


@pytest.mark.requirement("ptrace.script-long-interpreter")
def test_long_interpreter(guest: Guest) -> None:
    """An interpreter whose path is too long is not executed, nor is a file that the first part of the path names."""
    task = guest.spawn("task")
    longest = f"{FOLDER}/".ljust(READ - len("#!"), "a")
    guest.root().copy_file(Programs(guest).create(), longest)
    script(guest, "task", f"#!{longest}b")
    assert execute_in_tmp(task, "task", str(task.slot)) == ENOEXEC
    script(guest, "task", f"#!{longest}")
    assert execute_in_tmp(task, "task", str(task.slot)) == OK
    assert command_line(guest, task) == [longest, "task", str(task.slot)]
