# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_IOCTL_NOTIF_ADDFD: a supervisor installs a file of its own in its target's descriptor table."""

from __future__ import annotations

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import EBADF, OK, returned
from guests.promises import breaks
from guests.syscalls.seccomp import AddFd, FilterFlag, Poll
from guests.uapi import O_CLOEXEC, O_RDONLY, Signal
from suites.seccomp.support.addfd_pair import CHOSEN, FREE, AddFdPair

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
F_GETFD, F_GETFL, FD_CLOEXEC, O_ACCMODE = 1, 3, 1, 3


@pytest.mark.requirement("seccomp.addfd")
def test_the_lowest_free_number(guest: Guest) -> None:
    """The descriptor gets the lowest free number in the target, which ADDFD returns to the supervisor."""
    pair = AddFdPair(guest)
    assert pair.add() == returned(FREE)
    assert pair.add() == returned(FREE + 1)
    assert not pair.call.finished()
    pair.check_finish()
    pair.check_has(FREE, FREE + 1)
    pair.check_has_nothing(FREE + 2)


@pytest.mark.requirement("seccomp.addfd")
def test_a_chosen_number(guest: Guest) -> None:
    """With SETFD, the descriptor gets the chosen number, including 0, and no other."""
    pair = AddFdPair(guest)
    assert pair.add(number=CHOSEN, flags=AddFd.SETFD) == returned(CHOSEN)
    # 0 can be chosen too.
    assert pair.add(number=0, flags=AddFd.SETFD) == returned(0)
    pair.check_finish()
    pair.check_has(CHOSEN, 0)
    pair.check_has_nothing(FREE)


@pytest.mark.requirement("seccomp.addfd")
def test_the_previous_file_is_closed(guest: Guest) -> None:
    """SETFD closes what was open at the number: a reader of a pipe whose only write end is replaced sees EOF."""
    pair = AddFdPair(guest, waiting=False)
    reading, writing = pair.target.pipe()
    require(pair.target.poll(reading) == 0, "the pipe is at its end before its write end is replaced")
    pair.wait()
    assert pair.add(number=writing, flags=AddFd.SETFD) == returned(writing)
    pair.check_finish()
    assert pair.target.poll(reading) == Poll.HUP
    assert pair.target.read(reading) == returned(0)
    pair.check_has(writing)


@pytest.mark.requirement("seccomp.addfd")
@pytest.mark.parametrize(
    ("flags", "wanted"), [(0, 0), (O_CLOEXEC, FD_CLOEXEC)], ids=["open-after-exec", "closed-on-exec"]
)
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
    assert pair.target.call("fcntl", FREE, F_GETFL).result() & O_ACCMODE == O_RDONLY
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
    pair = AddFdPair(guest, waiting=False)
    child = pair.target.spawn("child")
    pair.call = child.begin("getppid")
    pair.notif = pair.receive()
    assert pair.add() == returned(FREE)
    pair.check_finish()
    pair.check_has(FREE, task=child)
    pair.check_has_nothing(FREE)


@pytest.mark.requirement("seccomp.addfd", "seccomp.notif-wait-killable")
def test_add_with_wait_killable(guest: Guest) -> None:
    """ADDFD also works for a caller that has a signal pending, which waits for the answer (WAIT_KILLABLE_RECV)."""
    pair = AddFdPair(guest, FilterFlag.WAIT_KILLABLE_RECV, waiting=False)
    pair.target.catch(Signal.USR1).result()
    pair.wait()
    pair.interrupt(Signal.USR1)
    with breaks("seccomp.notif-wait-killable"):
        assert pair.supervisor.still_waiting(pair.listener, pair.notif.id) == OK
    with breaks("seccomp.addfd"):
        assert pair.add() == returned(FREE)
    with breaks("seccomp.notif-wait-killable"):
        pair.check_finish()
        assert [one.signal for one in pair.target.caught_signals()] == [Signal.USR1]
    with breaks("seccomp.addfd"):
        pair.check_has(FREE)
