# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_IOCTL_NOTIF_ADDFD: a supervisor installs a file of its own in its target's descriptor table."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EBADF, OK, returned
from guests.syscalls.seccomp import AddFd, FilterFlag, Poll
from guests.uapi import O_CLOEXEC, O_RDWR
from suites.seccomp.support.addfd_pair import CHOSEN, FREE, SECRET, AddFdPair

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
F_GETFD, F_GETFL = 1, 3


@pytest.mark.requirement("seccomp.addfd")
def test_the_lowest_free_number(guest: Guest) -> None:
    """The descriptor gets the lowest free number in the target, which ADDFD returns to the supervisor."""
    pair = AddFdPair(guest)
    assert pair.add() == returned(FREE)
    assert pair.add() == returned(FREE + 1)
    assert not pair.call.finished()
    pair.check_finish()
    assert pair.has(FREE)
    assert pair.has(FREE + 1)
    assert not pair.has(FREE + 2)


@pytest.mark.requirement("seccomp.addfd")
def test_a_chosen_number(guest: Guest) -> None:
    """With SETFD, the descriptor gets the chosen number, including 0, and no other."""
    pair = AddFdPair(guest)
    assert pair.add(number=CHOSEN, flags=AddFd.SETFD) == returned(CHOSEN)
    # 0 can be chosen too.
    assert pair.add(number=0, flags=AddFd.SETFD) == returned(0)
    pair.check_finish()
    assert pair.has(CHOSEN)
    assert pair.has(0)
    assert not pair.has(FREE)


@pytest.mark.requirement("seccomp.addfd")
def test_the_previous_file_is_closed(guest: Guest) -> None:
    """SETFD closes what was open at the number: a reader of a pipe whose only write end is replaced sees EOF."""
    pair = AddFdPair(guest)
    pair.check_finish()
    reading, writing = pair.target.pipe()
    pair.call, pair.notif = pair.call_and_receive("getppid")
    assert pair.add(number=writing, flags=AddFd.SETFD) == returned(writing)
    pair.check_finish()
    assert pair.target.read(reading) == returned(0)
    assert pair.has(writing)


@pytest.mark.requirement("seccomp.addfd")
@pytest.mark.parametrize(("flags", "wanted"), [(0, 0), (O_CLOEXEC, 1)], ids=["open-after-exec", "closed-on-exec"])
def test_close_on_exec(guest: Guest, flags: int, wanted: int) -> None:
    """O_CLOEXEC applies to the new descriptor, not to the file."""
    pair = AddFdPair(guest)
    assert pair.add(new_flags=flags) == returned(FREE)
    assert pair.add(number=CHOSEN, flags=AddFd.SETFD, new_flags=flags) == returned(CHOSEN)
    pair.check_finish()
    assert pair.target.call("fcntl", FREE, F_GETFD) == returned(wanted)
    assert pair.target.call("fcntl", CHOSEN, F_GETFD) == returned(wanted)


@pytest.mark.requirement("seccomp.addfd")
def test_it_is_the_same_open_file(guest: Guest) -> None:
    """The new descriptor shares the file's position and mode, as with dup()."""
    pair = AddFdPair(guest)
    assert pair.add() == returned(FREE)
    pair.check_finish()
    pair.supervisor.call("lseek", pair.file, 5, 0).result()
    assert pair.target.call("lseek", FREE, 0, 1) == returned(5)
    assert pair.target.call("fcntl", FREE, F_GETFL).result() & O_RDWR == 0
    assert pair.target.write(FREE, b"no") == EBADF


@pytest.mark.requirement("seccomp.addfd")
def test_no_reference_remains(guest: Guest) -> None:
    """Only supervisor and target hold the file: a pipe is at its end when both have closed their descriptors."""
    pair = AddFdPair(guest)
    reading, writing = pair.supervisor.pipe()
    assert pair.add(descriptor=writing) == returned(FREE)
    pair.check_finish()
    pair.supervisor.close(writing).result()
    assert pair.supervisor.poll(reading) == 0
    pair.target.close(FREE).result()
    assert pair.supervisor.poll(reading) == Poll.HUP
    assert pair.supervisor.read(reading) == returned(0)


# Whose call it is


@pytest.mark.requirement("seccomp.addfd")
def test_the_callers_descriptor_table(guest: Guest) -> None:
    """Of two processes under one filter, the one that made the call gets the descriptor."""
    pair = AddFdPair(guest)
    pair.check_finish()
    child = pair.target.spawn("child")
    call = child.begin("getppid")
    pair.notif = pair.receive()
    assert pair.add() == returned(FREE)
    assert pair.reply(pair.notif) == OK
    assert call.outcome() == OK
    found = child.read(FREE, len(SECRET))
    assert found == returned(len(SECRET))
    assert found.read() == SECRET
    assert pair.target.read(FREE) == EBADF


@pytest.mark.requirement("seccomp.addfd", "seccomp.notif-wait-killable")
def test_add_with_wait_killable(guest: Guest) -> None:
    """ADDFD also works for a caller that only fatal signals can interrupt (WAIT_KILLABLE_RECV)."""
    pair = AddFdPair(guest, FilterFlag.WAIT_KILLABLE_RECV)
    assert pair.add() == returned(FREE)
    pair.check_finish()
    assert pair.has(FREE)
