# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_IOCTL_NOTIF_ADDFD: a supervisor installs a file of its own in its target's descriptor table."""

from __future__ import annotations

import pytest

from guests.call_plan import Plan
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EAGAIN, EBADF, EINTR, ENOENT, OK, Outcome, returned
from guests.promises import breaks
from guests.syscalls.seccomp import NOTIF_SEND, AddFd, FilterFlag, Poll, response
from guests.task import Task
from guests.uapi import O_CLOEXEC, O_RDONLY, O_RDWR, Signal
from suites.seccomp.support.addfd_pair import CHOSEN, FREE, AddFdPair

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
F_GETFD, F_GETFL, FD_CLOEXEC, O_ACCMODE = 1, 3, 1, 3
F_SETLK, F_RDLCK, F_WRLCK = 6, 0, 1


def set_lock(task: Task, descriptor: int, kind: int) -> Outcome:
    """Lock a whole file, without waiting."""
    return task.call("fcntl", descriptor, F_SETLK, task.abi.with_padding(kind, 2) + task.abi.words(0, 0, 0))


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
def test_locks_of_the_previous_file(guest: Guest) -> None:
    """SETFD closes the previous file as dup2() does, which releases the target's record locks on it (fcntl(2))."""
    pair = AddFdPair(guest, waiting=False)
    other = guest.root("other")
    of_other = other.open("/tmp/secret", O_RDWR).result()  # noqa: S108
    first, second = (pair.target.open("/tmp/secret").result() for _ in range(2))  # noqa: S108
    set_lock(pair.target, first, F_RDLCK).result()
    pair.wait()
    set_lock(other, of_other, F_WRLCK).require(EAGAIN)
    pair.add(number=second, flags=AddFd.SETFD).require(returned(second))
    pair.check_finish()
    assert set_lock(other, of_other, F_WRLCK) == OK


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
def test_close_on_exec_of_the_previous_file(guest: Guest) -> None:
    """Whether SETFD replaces a file that is closed on exec makes no difference: O_CLOEXEC alone decides."""
    pair = AddFdPair(guest, waiting=False)
    marked, unmarked = (pair.target.open("/tmp/secret", flags).result() for flags in (O_CLOEXEC, O_RDONLY))  # noqa: S108
    pair.wait()
    assert pair.add(number=marked, flags=AddFd.SETFD) == returned(marked)
    assert pair.add(number=unmarked, flags=AddFd.SETFD, new_flags=O_CLOEXEC) == returned(unmarked)
    pair.check_finish()
    assert pair.target.call("fcntl", marked, F_GETFD) == returned(0)
    assert pair.target.call("fcntl", unmarked, F_GETFD) == returned(FD_CLOEXEC)


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


# Several supervisors


@pytest.mark.requirement("seccomp.addfd")
def test_two_at_once(guest: Guest) -> None:
    """Two supervisors add a file each before the target runs: both succeed, and the call waits for its answer."""
    pair = AddFdPair(guest)
    first, second = pair.start_in_turn(pair.plan_to_add, pair.plan_to_add)
    assert first.counts()[-1] == {"OK": 1}
    assert second.counts()[-1] == {"OK": 1}
    pair.check_finish()
    pair.check_has(FREE, FREE + 1)
    pair.check_has_nothing(FREE + 2)


@pytest.mark.requirement("seccomp.addfd-concurrent")
def test_two_and_an_answer(guest: Guest) -> None:
    """If a third supervisor answers the call before the target runs, both others return: with a file, or ESRCH.

    The control is that both succeed without the answer.
    """
    pair = AddFdPair(guest)
    structure = response(pair.supervisor.abi, pair.notif.id, value=77)

    def answer(plan: Plan) -> None:
        plan.call("ioctl", pair.listener, NOTIF_SEND, structure)

    *adding, answering = pair.start_in_turn(pair.plan_to_add, pair.plan_to_add, answer)
    added = [one.counts()[-1] for one in adding]
    assert all(one in ({"OK": 1}, {"ESRCH": 1}) for one in added)
    assert answering.counts()[-1] == {"OK": 1}
    assert pair.call.outcome() == returned(77)
    end = FREE + added.count({"OK": 1})
    pair.check_has(*range(FREE, end))
    pair.check_has_nothing(end)


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


@pytest.mark.requirement("seccomp.notif-signal")
def test_a_signal_after_an_addition(guest: Guest) -> None:
    """A signal interrupts a call that has been given a descriptor like any other one; the descriptor remains."""
    pair = AddFdPair(guest, waiting=False)
    pair.target.catch(Signal.USR1).result()
    pair.wait()
    pair.add().require(returned(FREE))
    pair.interrupt(Signal.USR1)
    assert pair.call.outcome() == EINTR
    assert pair.reply(pair.notif) == ENOENT
    pair.check_has(FREE)


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
