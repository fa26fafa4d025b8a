# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes while a call waits in the middle, for memory that its caller withholds."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EACCES, EPERM, OK, Expected, killed, returned
from guests.task import Task
from guests.uapi import MAP_SHARED, O_RDONLY, O_RDWR, PROT_READ, Cap, Signal
from suites.ptrace.support.programs import ENVIRONMENT, FOLDER, Programs
from suites.userfaults import EVENT_FORK, WithheldPage, enable, register

pytestmark = pytest.mark.needs("USERFAULTFD")

PTRACE_SETREGSET, NT_PRSTATUS = 0x4205, 1


@pytest.mark.requirement("ptrace.exec-mode-at-use")
@pytest.mark.parametrize(
    ("mode", "uid"), [pytest.param(0o4750, 1000, id="closed"), pytest.param(0o4755, 0, id="still-open")]
)
def test_program_whose_mode_changes(guest: Guest, mode: int, uid: int) -> None:
    """A program that becomes set-uid during execve() gives its ids only to those who may execute it then."""
    root, task = guest.root(), guest.spawn("task")
    path, page = Programs(guest).create(), WithheldPage(guest, task)
    words = task.agent_arguments(path)
    array = task.store(task.load(words, 3 * task.abi.word) + task.abi.words(page.address, 0))
    running = task.begin("execve", path, array, task.store_words(ENVIRONMENT), shown=f'execute("{path}")')
    running.wait_until_blocked()
    root.chmod(path, mode).result()
    page.release()
    done = running.outcome()
    # Some kernels look for the file after they have copied the arguments.
    assert done in ((OK, EACCES) if mode == 0o4750 else (OK,))
    if done == OK:
        assert task.call("geteuid") == returned(uid)


@pytest.mark.requirement("ptrace.killed-during-a-request")
def test_killed_during_a_request(guest: Guest) -> None:
    """A tracee that is killed while its tracer writes its registers stays stopped until the request ends."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    page = WithheldPage(guest, tracer)
    tracer.seize_and_stop(tracee)
    # Not every register takes any value, so it is written what it has.
    first_register = tracer.register_set(tracee, NT_PRSTATUS, tracer.abi.word)
    vector = tracer.abi.words(page.address, len(first_register))
    writing = tracer.begin("ptrace", PTRACE_SETREGSET, tracee.tid, NT_PRSTATUS, vector, shown="setregset()")
    writing.wait_until_blocked()
    guest.root().kill(tracee, Signal.KILL).result()
    assert tracee.state() == "t"
    assert not writing.finished()
    page.release(first_register)
    assert writing.outcome() == OK
    assert tracee.wait_death() == killed(Signal.KILL)


def open_userfaults(task: Task) -> int:
    return task.call("userfaultfd", 0).result()


@pytest.mark.requirement("ptrace.forks-by-userfaultfd")
@pytest.mark.parametrize(
    ("caps", "wanted"),
    [
        pytest.param(Cap.NONE, EPERM, id="a-user"),
        pytest.param(Cap.SYS_ADMIN, EPERM, id="with-another-capability"),
        pytest.param(Cap.SYS_PTRACE, OK, id="with-the-capability"),
    ],
)
def test_forks_are_reported(guest: Guest, caps: Cap, wanted: Expected) -> None:
    """Only CAP_SYS_PTRACE gives reports of forks by userfaultfd, with a descriptor of the child's memory."""
    guest.set_sysctl("vm.unprivileged_userfaultfd", 1)
    task = guest.spawn("task", caps=caps)
    assert enable(task, open_userfaults(task)) == OK
    assert enable(task, open_userfaults(task), EVENT_FORK) == wanted


@pytest.mark.needs("TMPFS")
@pytest.mark.requirement("ptrace.userfaultfd-read-only")
@pytest.mark.parametrize(
    ("owner", "flags", "wanted"),
    [pytest.param(0, O_RDONLY, EPERM, id="may-only-be-read"), pytest.param(1000, O_RDWR, OK, id="may-be-written")],
)
def test_pages_of_a_file(guest: Guest, owner: int, flags: int, wanted: Expected) -> None:
    """A process that may only read a file cannot fill its pages by userfaultfd; one that may write can."""
    guest.set_sysctl("vm.unprivileged_userfaultfd", 1)
    task, path, size = guest.spawn("task"), f"{FOLDER}/file", guest.hello.page_size
    guest.upload(path, b"content")
    guest.root().chown(path, owner, owner).result()
    address = task.call("mmap", 0, size, PROT_READ, MAP_SHARED, task.open(path, flags).result(), 0).result()
    descriptor = open_userfaults(task)
    enable(task, descriptor).result()
    assert register(task, descriptor, address, size) == wanted
