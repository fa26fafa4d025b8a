# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts: the arguments that their interpreters get, first lines that are too long, and chains of interpreters."""

from __future__ import annotations

import errno

import pytest

from guests.guest import Guest
from guests.outcome import ENOEXEC, OK, Outcome, error
from guests.promises import breaks
from guests.task import Task
from suites.ptrace.support.programs import ENVIRONMENT, FOLDER, Programs, stored_words

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


def execute_in_tmp(task: Task, path: str, *arguments: str) -> Outcome:
    """execve() in /tmp, where relative names of interpreters are found."""
    task.call("chdir", FOLDER).result()
    words = stored_words(task, path, *arguments)
    return task.call("execve", path, words, stored_words(task, ENVIRONMENT), shown=f'execute("{path}")')


def command_line(guest: Guest, task: Task) -> list[str]:
    return guest.read_file(f"/proc/{task.pid}/cmdline").rstrip("\0").split("\0")


def chain(guest: Guest, task: Task, length: int) -> list[str]:
    """So many scripts, each the interpreter of the next; that of the first is the tasks' program."""
    # That finds the number of its task in the name of the script.
    names = [str(task.slot), *(f"{task.name}-{number}" for number in range(1, length))]
    lines = [f"#!{guest.program} task", *(f"#!{name}" for name in names)]
    for name, line in zip(names, lines, strict=False):
        script(guest, name, line)
    return names


@pytest.mark.requirement("ptrace.script-arguments", "ptrace.script-chain")
def test_chain(guest: Guest) -> None:
    """Five scripts are each another's interpreter, and hand down each other's names; six are too many."""
    task, refused = guest.spawn("five"), guest.spawn("six")
    names = chain(guest, task, MOST)
    with breaks("ptrace.script-chain"):
        assert execute_in_tmp(task, names[-1], "argument", "") == OK
    with breaks("ptrace.script-arguments"):
        assert guest.read_bytes(f"/proc/{task.pid}/cmdline").split(b"\0") == [
            *(word.encode() for word in (guest.program, "task", *names, "argument", "")),
            b"",
        ]
    with breaks("ptrace.script-chain"):
        assert execute_in_tmp(refused, chain(guest, refused, MOST + 1)[-1]) == ELOOP


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
    """An interpreter whose path is longer is not executed, nor is a file that the first part of the path names."""
    task = guest.spawn("task")
    longest = f"{FOLDER}/".ljust(READ - len("#!"), "a")
    guest.root().copy_file(Programs(guest).create(), longest)
    script(guest, "task", f"#!{longest}b")
    assert execute_in_tmp(task, "task", str(task.slot)) == ENOEXEC
    script(guest, "task", f"#!{longest}")
    assert execute_in_tmp(task, "task", str(task.slot)) == OK
    assert command_line(guest, task) == [longest, "task", str(task.slot)]
