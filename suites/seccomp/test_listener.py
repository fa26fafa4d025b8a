# SPDX-License-Identifier: GPL-2.0-or-later
"""The listener: a descriptor that is polled, closed and inherited, and hangs up when no task has its filter."""

from __future__ import annotations

import pytest

from guests.bpf import Action, Program, notify, policy, ret
from guests.call_arguments import InOut, Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EBADF, EBUSY, EINTR, EINVAL, ENOENT, ENOSYS, OK, exited, mismatches, returned
from guests.promises import breaks
from guests.syscalls.base import Pending
from guests.syscalls.seccomp import NOTIF_SIZE, USER_NOTIF_FD_SYNC_WAKE_UP, Notification, Poll
from guests.task import Task
from guests.uapi import AT_FDCWD, O_RDWR, Signal
from suites.seccomp.support.filtered_tasks import SupervisedPair, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

NOTIFY = policy(notify("getppid"))
ALLOW_ALL = (ret(Action.ALLOW),)
F_GETFD, F_GETFL, FD_CLOEXEC = 1, 3, 1


@pytest.mark.requirement("seccomp.notif-poll")
def test_poll(guest: Guest) -> None:
    """A listener polls readable while a notification is to be received, and writable while one is to be answered."""
    pair = SupervisedPair(guest, NOTIFY)

    def ready() -> int:
        return pair.supervisor.poll(pair.listener)

    other = pair.target.spawn("other")
    assert ready() == 0
    call = pair.target.begin("getppid")
    call.wait_until_blocked()
    assert ready() == Poll.IN
    notif = pair.supervisor.receive(pair.listener)
    assert ready() == Poll.OUT
    other.begin("getppid").wait_until_blocked()
    assert ready() == Poll.IN | Poll.OUT
    assert pair.reply(notif) == OK
    call.outcome().require(OK)
    assert ready() == Poll.IN


@pytest.mark.requirement("seccomp.notif-poll", "seccomp.notif-hang-up")
@pytest.mark.parametrize(
    ("to_receive", "to_answer", "to_the_end"),
    [(Poll.IN, Poll.OUT, Poll.IN), (Poll.RDNORM, Poll.WRNORM, 0)],
    ids=["in-and-out", "rdnorm-wrnorm-and-nothing"],
)
def test_poll_wakes_up(guest: Guest, to_receive: int, to_answer: int, to_the_end: int) -> None:
    """poll() returns when there is something to receive, something to answer, and when nothing more can come.

    POLLRDNORM is reported like POLLIN, POLLWRNORM like POLLOUT, and the hang-up even if no event was requested.
    """
    pair = SupervisedPair(guest, NOTIFY)
    poller = pair.supervisor.spawn("poller")
    with breaks("seccomp.notif-poll"):
        waiting = check_poll_waits(poller, pair.listener, to_receive)
        call = pair.target.begin("getppid")
        assert returned_events(waiting) == to_receive
        waiting = check_poll_waits(poller, pair.listener, to_answer)
        notif = pair.receive()
        assert returned_events(waiting) == to_answer
    with breaks("seccomp.notif-hang-up"):
        waiting = check_poll_waits(poller, pair.listener, to_the_end)
        pair.reply(notif).result()
        call.outcome().require(OK)
        end(pair)
        assert returned_events(waiting) == Poll.HUP


def end(pair: SupervisedPair) -> None:
    """End the target's process."""
    pair.target.exit().require(exited(0))
    pair.supervisor.reap(pair.target).result()


def check_poll_waits(poller: Task, listener: int, events: int) -> Pending:
    """Begin a poll() of the listener without timeout, and wait until it sleeps."""
    notif = InOut(poller.abi.pack("iHH", listener, events, 0))
    pending = poller.begin("ppoll", notif, 1, None, None, 8, shown=f"poll({listener}, forever)")
    assert pending.blocks(), pending
    return pending


def returned_events(pending: Pending) -> int:
    """The events that ended the poll()."""
    return int(pending.abi.unpack("iHH", pending.outcome().read())[2])


above = pytest.mark.parametrize(
    "newer", [(), (ALLOW_ALL,)], ids=["the-newest-of-its-filters", "a-filter-below-another"]
)
"""The position of the listener's filter among those of its tasks."""


@pytest.mark.requirement("seccomp.notif-hang-up")
@above
def test_the_last_caller_exits(guest: Guest, newer: tuple[Program, ...]) -> None:
    """The listener does not hang up while any process has the filter, and does once none has it any more."""
    pair = SupervisedPair(guest, NOTIFY)
    for program in newer:
        pair.target.install(program).result()
    child = pair.target.spawn("child")
    end(pair)
    assert pair.poll() == 0
    child.exit().require(exited(0))
    guest.init.reap(child).result()
    pair.wait_for_hang_up()


@pytest.mark.requirement("seccomp.notif-recv-ends", "seccomp.notif-hang-up")
@above
def test_a_waiting_reader_when_the_last_caller_exits(guest: Guest, newer: tuple[Program, ...]) -> None:
    """When the last caller exits, a waiting NOTIF_RECV returns ENOENT, and so do later ones."""
    pair = SupervisedPair(guest, NOTIFY)
    for program in newer:
        pair.target.install(program).result()
    receiving = pair.supervisor.begin_receive(pair.listener)
    with breaks("seccomp.notif-recv-ends"):
        assert receiving.blocks(), receiving
        pair.target.exit().require(exited(0))
        assert receiving.outcome() == ENOENT
        assert pair.supervisor.receive_into(pair.listener, bytes(NOTIF_SIZE)) == ENOENT
    require(pair.target.state() == "Z", f"{pair.target} has been reaped")
    with breaks("seccomp.notif-hang-up"):
        assert pair.poll() == Poll.HUP


@pytest.mark.requirement("seccomp.notif-no-listener")
def test_the_listener_is_closed(guest: Guest) -> None:
    """When the listener is closed, waiting calls fail with ENOSYS, received or not, and so do all later ones."""
    pair = SupervisedPair(guest, NOTIFY)
    other = pair.target.spawn("other")
    received, _ = pair.call_and_receive("getppid")
    unreceived = other.begin("getppid")
    unreceived.wait_until_blocked()
    pair.supervisor.close(pair.listener).result()
    assert received.outcome() == ENOSYS
    assert unreceived.outcome() == ENOSYS
    assert pair.target.call("getppid") == ENOSYS


@pytest.mark.requirement("seccomp.notif-no-listener")
def test_the_supervisor_dies(guest: Guest) -> None:
    """A supervisor's death closes its listener, unless another process has a copy of the descriptor."""
    pair = SupervisedPair(guest, NOTIFY)
    heir = pair.supervisor.spawn("heir")
    call, notif = pair.call_and_receive("getppid")
    pair.supervisor.exit().require(exited(0))
    assert heir.reply(pair.listener, notif.id, value=2) == OK
    assert call.outcome() == returned(2)
    call = pair.target.begin("getppid")
    heir.receive(pair.listener)
    heir.exit().require(exited(0))
    assert call.outcome() == ENOSYS


@pytest.mark.requirement("seccomp.notif-one-listener")
def test_one_listener_in_a_chain_of_filters(guest: Guest) -> None:
    """A second listener is EBUSY, in a child and above other filters too, until the first is closed."""
    pair = SupervisedPair(guest, NOTIFY)
    child = pair.target.spawn("child")
    assert pair.target.listen(NOTIFY) == EBUSY
    assert child.listen(NOTIFY) == EBUSY
    assert pair.target.install(NOTIFY) == OK
    assert child.install(NOTIFY) == OK
    assert pair.target.listen(NOTIFY) == EBUSY
    assert child.listen(NOTIFY) == EBUSY
    pair.supervisor.close(pair.listener).result()
    assert pair.target.listen(NOTIFY) == OK
    assert child.listen(NOTIFY) == OK


@pytest.mark.requirement("seccomp.notif-newest-listener")
def test_only_the_newest_filters_listener_receives(guest: Guest) -> None:
    """Of two filters that notify, only the newer one's listener is asked; if it has none, the call is ENOSYS."""
    pair = SupervisedPair(guest, NOTIFY)
    call, notif = pair.call_and_receive("getppid")
    assert pair.reply(notif, value=3) == OK
    assert call.outcome() == returned(3)
    pair.target.install(NOTIFY).result()
    assert pair.target.call("getppid") == ENOSYS
    assert pair.poll() == 0

    newest = unprivileged(guest, "newest", parent=pair.supervisor)
    newest.install(NOTIFY).result()
    listener = pair.fetch_listener(newest, NOTIFY)
    call = newest.begin("getppid")
    assert pair.supervisor.reply(listener, pair.supervisor.receive(listener).id, value=4) == OK
    assert call.outcome() == returned(4)


@pytest.mark.requirement("seccomp.notif-cloexec")
def test_the_listener_is_closed_on_exec(guest: Guest) -> None:
    """execve() closes the listener: an executed program cannot answer its own calls."""
    target = unprivileged(guest, "target")
    listener = target.listen(NOTIFY).result()
    assert target.call("fcntl", listener, F_GETFD) == returned(FD_CLOEXEC)
    target.execute_again().result()
    assert target.call("fcntl", listener, F_GETFD) == EBADF
    assert target.call("getppid") == ENOSYS


@pytest.mark.requirement("seccomp.notif-listener-file")
def test_the_listener_is_only_a_listener(guest: Guest) -> None:
    """A listener is open read-write, but cannot be read or written; it rejects other ioctls, and /proc names it."""
    pair = SupervisedPair(guest, NOTIFY)
    supervisor, listener = pair.supervisor, pair.listener
    found: dict[str, tuple[object, object]] = {
        "opened": (supervisor.call("fcntl", listener, F_GETFL), returned(O_RDWR)),
        "read": (supervisor.call("read", listener, Out(8), 8), EINVAL),
        "write": (supervisor.call("write", listener, b"12345678", 8), EINVAL),
        "ioctl 5": (supervisor.call("ioctl", listener, 0x40082105, Out(8)), EINVAL),
        "ioctl 0 of another kind": (supervisor.call("ioctl", listener, 0xC0504100, Out(80)), EINVAL),
    }
    assert mismatches(found) == []
    link = supervisor.call("readlinkat", AT_FDCWD, f"/proc/self/fd/{listener}", Out(64), 64).read()
    assert link.rstrip(b"\0") == b"anon_inode:seccomp notify"


@pytest.mark.requirement("seccomp.notif-set-flags")
def test_listener_flags(guest: Guest) -> None:
    """SYNC_WAKE_UP is the only flag; notifications and answers work the same with it."""
    pair = SupervisedPair(guest, NOTIFY)
    invalid = (2, 3, pair.supervisor.abi.highest_bit)
    found: dict[str, tuple[object, object]] = {
        f"{flags:#x}": (pair.supervisor.set_listener_flags(pair.listener, flags), wanted)
        for flags, wanted in (*((flags, EINVAL) for flags in invalid), (0, OK), (USER_NOTIF_FD_SYNC_WAKE_UP, OK))
    }
    assert mismatches(found) == []
    call, notif = pair.call_and_receive("getppid")
    assert pair.reply(notif, value=6) == OK
    assert call.outcome() == returned(6)


@pytest.mark.requirement("seccomp.notif-set-flags")
def test_a_synchronous_wake_up(guest: Guest) -> None:
    """With SYNC_WAKE_UP, a call still wakes up a reader that waits in NOTIF_RECV or poll()."""
    pair = SupervisedPair(guest, NOTIFY)
    assert pair.supervisor.set_listener_flags(pair.listener, USER_NOTIF_FD_SYNC_WAKE_UP) == OK
    receiving = pair.supervisor.begin_receive(pair.listener)
    assert receiving.blocks(), receiving
    call = pair.target.begin("getppid")
    assert receiving.outcome() == OK
    notif = Notification.decode(receiving.outcome().read(), receiving.abi)
    assert pair.reply(notif, value=6) == OK
    assert call.outcome() == returned(6)
    waiting = check_poll_waits(pair.supervisor.spawn("poller"), pair.listener, Poll.IN)
    pair.target.begin("getppid")
    assert returned_events(waiting) == Poll.IN


@pytest.mark.requirement("seccomp.notif-recv-signal")
def test_a_signal_to_a_waiting_reader(guest: Guest) -> None:
    """A signal interrupts a waiting NOTIF_RECV with EINTR; later notifications are received."""
    pair = SupervisedPair(guest, NOTIFY)
    pair.supervisor.catch(Signal.USR1).result()
    receiving = pair.supervisor.begin_receive(pair.listener)
    assert receiving.blocks(), receiving
    guest.init.kill(pair.supervisor, Signal.USR1).result()
    assert receiving.outcome() == EINTR
    assert [one.signal for one in pair.supervisor.caught_signals()] == [Signal.USR1]
    call, notif = pair.call_and_receive("getppid")
    assert pair.reply(notif, value=7) == OK
    assert call.outcome() == returned(7)


@pytest.mark.requirement("seccomp.notif-recv-restart")
def test_a_signal_with_sa_restart(guest: Guest) -> None:
    """With SA_RESTART, the reader handles the signal and continues to wait; it receives the next notification."""
    pair = SupervisedPair(guest, NOTIFY)
    pair.supervisor.catch(Signal.USR1, restart=True).result()
    receiving = pair.supervisor.begin_receive(pair.listener)
    assert receiving.blocks(), receiving
    guest.init.kill(pair.supervisor, Signal.USR1).result()
    guest.wait_until(lambda: len(pair.supervisor.caught_signals()) == 1, "the handler to run")
    assert receiving.blocks(), receiving
    call = pair.target.begin("getppid")
    assert receiving.outcome() == OK
    notif = Notification.decode(receiving.outcome().read(), receiving.abi)
    assert pair.reply(notif, value=7) == OK
    assert call.outcome() == returned(7)
