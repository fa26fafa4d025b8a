# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_IOCTL_NOTIF_ADDFD with SEND: the number of the new descriptor answers the call."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EBADF, EMFILE, ENOENT, OK, mismatches, returned
from guests.syscalls.seccomp import AddFd
from guests.uapi import O_CLOEXEC
from suites.seccomp.support.addfd_pair import CHOSEN, FREE, AddFdPair

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
F_GETFD, FD_CLOEXEC = 1, 1


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send(guest: Guest) -> None:
    """With SEND, the call returns the new descriptor, and needs no other answer."""
    pair = AddFdPair(guest)
    assert pair.add(flags=AddFd.SEND) == returned(FREE)
    assert pair.call.outcome() == returned(FREE)
    assert pair.reply(pair.notif) == ENOENT
    pair.check_has(FREE)


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send_a_chosen_number(guest: Guest) -> None:
    """SETFD and SEND work together: the call returns the chosen number."""
    pair = AddFdPair(guest)
    assert pair.add(flags=AddFd.SEND | AddFd.SETFD, number=CHOSEN, new_flags=O_CLOEXEC) == returned(CHOSEN)
    assert pair.call.outcome() == returned(CHOSEN)
    assert pair.target.call("fcntl", CHOSEN, F_GETFD) == returned(FD_CLOEXEC)
    pair.check_has(CHOSEN)


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send_that_fails(guest: Guest) -> None:
    """A failed ADDFD with SEND does not answer the call, which continues to wait for another answer."""
    pair = AddFdPair(guest, waiting=False)
    pair.limit_numbers(FREE)
    pair.wait()
    found: dict[str, tuple[object, object]] = {
        "no room": (pair.add(flags=AddFd.SEND), EMFILE),
        "the limit itself": (pair.add(flags=AddFd.SEND | AddFd.SETFD, number=FREE), EBADF),
        "beyond the limit": (pair.add(flags=AddFd.SEND | AddFd.SETFD, number=CHOSEN), EBADF),
        "nothing open": (pair.add(flags=AddFd.SEND, descriptor=99), EBADF),
        "still waiting": (pair.supervisor.still_waiting(pair.listener, pair.notif.id), OK),
    }
    assert mismatches(found) == []
    pair.check_finish()


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_then_send(guest: Guest) -> None:
    """SEND works after other descriptors have been added."""
    pair = AddFdPair(guest)
    assert pair.add() == returned(FREE)
    assert pair.add(flags=AddFd.SEND) == returned(FREE + 1)
    assert pair.call.outcome() == returned(FREE + 1)


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send_during_another(guest: Guest) -> None:
    """While another descriptor is being added, SEND fails with EBUSY, and the call continues to wait."""
    pair = AddFdPair(guest)
    first, late = pair.start_in_turn(pair.plan_to_add, lambda plan: pair.plan_to_add(plan, AddFd.SEND))
    assert first.counts()[-1] == {"OK": 1}
    assert late.counts()[-1] == {"EBUSY": 1}
    pair.check_finish()
    pair.check_has(FREE)
    pair.check_has_nothing(FREE + 1)
