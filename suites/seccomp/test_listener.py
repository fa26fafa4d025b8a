# SPDX-License-Identifier: GPL-2.0-or-later
"""The listener: a descriptor that is polled, closed and inherited, and hangs up when no task has its filter."""

from __future__ import annotations

import struct

import pytest

from guests.bpf import Action, Program, notify, policy, ret
from guests.call_arguments import InOut, Out
from guests.guest import Guest
from guests.outcome import (
    EBADF,
    EBUSY,
    EINTR,
    EINVAL,
    ENOENT,
    ENOSYS,
    OK,
    returned,
)
from guests.syscalls.group import Pending
from guests.syscalls.seccomp import (
    NOTIF_ID_VALID,
    NOTIF_RECV,
    NOTIF_SEND,
    NOTIF_SIZE,
    USER_NOTIF_FD_SYNC_WAKE_UP,
    Notification,
    Poll,
)
from guests.task import Task
from guests.uapi import O_RDWR, Signal
from suites.seccomp.support.roles import GETPPID, Supervised, mismatches, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

ASK = policy(notify("getppid"))
ALLOW_ALL = (ret(Action.ALLOW),)
F_GETFD, F_GETFL, FD_CLOEXEC = 1, 3, 1
NOWHERE = 0x1000


@pytest.mark.requirement("seccomp.notif-poll")
def test_poll(guest: Guest) -> None:
    """A listener polls readable while a notification is to be received, and writable while one is to be answered."""
    here = Supervised(guest, ASK)

    def ready() -> int:
        return here.supervisor.ready_for(here.listener)

    other = here.target.spawn("other")
    assert ready() == 0
    call = here.target.begin("getppid")
    call.wait_until_blocked()
    assert ready() == Poll.IN
    asked = here.supervisor.receive(here.listener)
    assert ready() == Poll.OUT
    other.begin("getppid").wait_until_blocked()
    assert ready() == Poll.IN | Poll.OUT
    here.reply(asked).result()
    call.outcome()
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
    here = Supervised(guest, ASK)
    poller = here.supervisor.spawn("poller")
    waiting = wait_for(poller, here.listener, to_receive)
    call = here.target.begin("getppid")
    assert told(waiting) == to_receive
    waiting = wait_for(poller, here.listener, to_answer)
    asked = here.receive()
    assert told(waiting) == to_answer
    waiting = wait_for(poller, here.listener, to_the_end)
    here.reply(asked).result()
    call.outcome().result()
    here.target.exit()
    here.supervisor.reap(here.target)
    assert told(waiting) == Poll.HUP


def wait_for(poller: Task, listener: int, events: int) -> Pending:
    """Begin a poll() of the listener without timeout, and wait until it sleeps."""
    asked = InOut(struct.pack("<iHH", listener, events, 0))
    pending = poller.begin("poll", asked, 1, -1, shown=f"poll({listener}, forever)")
    pending.wait_until_blocked()
    return pending


def told(pending: Pending) -> int:
    """The events that ended the poll()."""
    return int(struct.unpack("<iHH", pending.outcome().read())[2])


above = pytest.mark.parametrize(
    "newer", [(), (ALLOW_ALL,)], ids=["the-newest-of-its-filters", "a-filter-below-another"]
)
"""The position of the listener's filter among those of its tasks."""


@pytest.mark.requirement("seccomp.notif-hang-up")
@above
def test_the_last_caller_is_gone(guest: Guest, newer: tuple[Program, ...]) -> None:
    """The listener does not hang up while any process has the filter, and does once none has it any more."""
    here = Supervised(guest, ASK)
    for program in newer:
        here.target.install(program).result()
    child = here.target.spawn("child")
    here.target.exit()
    here.supervisor.reap(here.target)
    assert here.supervisor.ready_for(here.listener) == 0
    child.exit()
    guest.init.reap(child).result()
    here.wait_for_hang_up()


@pytest.mark.requirement("seccomp.notif-recv-ends")
@above
def test_a_waiting_reader_when_the_last_caller_goes(guest: Guest, newer: tuple[Program, ...]) -> None:
    """When the last caller exits, a waiting NOTIF_RECV returns ENOENT, and so do later ones."""
    here = Supervised(guest, ASK)
    for program in newer:
        here.target.install(program).result()
    receiving = here.supervisor.begin_receive(here.listener)
    receiving.wait_until_blocked()
    here.target.exit()
    assert receiving.outcome() == ENOENT
    assert here.supervisor.receive_into(here.listener, bytes(NOTIF_SIZE)) == ENOENT
    assert here.target.state() == "Z"
    assert here.supervisor.ready_for(here.listener) == Poll.HUP


@pytest.mark.requirement("seccomp.notif-no-listener")
def test_the_listener_is_closed(guest: Guest) -> None:
    """When the listener is closed, waiting calls fail with ENOSYS, received or not, and so do all later ones."""
    here = Supervised(guest, ASK)
    other = here.target.spawn("other")
    received, _ = here.ask("getppid")
    unreceived = other.begin("getppid")
    unreceived.wait_until_blocked()
    here.supervisor.close(here.listener).result()
    assert received.outcome() == ENOSYS
    assert unreceived.outcome() == ENOSYS
    assert here.target.call("getppid") == ENOSYS


@pytest.mark.requirement("seccomp.notif-no-listener")
def test_the_supervisor_dies(guest: Guest) -> None:
    """A supervisor's death closes its listener, unless another process has a copy of the descriptor."""
    here = Supervised(guest, ASK)
    heir = here.supervisor.spawn("heir")
    call, asked = here.ask("getppid")
    here.supervisor.exit()
    assert heir.reply(here.listener, asked.id, value=2) == OK
    assert call.outcome() == returned(2)
    call = here.target.begin("getppid")
    heir.receive(here.listener)
    heir.exit()
    assert call.outcome() == ENOSYS


@pytest.mark.requirement("seccomp.notif-one-listener")
def test_one_listener_in_a_row_of_filters(guest: Guest) -> None:
    """A second listener is EBUSY, in a child and above other filters too, until the first is closed."""
    here = Supervised(guest, ASK)
    child = here.target.spawn("child")
    assert here.target.listen(ASK) == EBUSY
    assert child.listen(ASK) == EBUSY
    assert here.target.install(ASK) == OK
    assert child.install(ASK) == OK
    assert here.target.listen(ASK) == EBUSY
    assert child.listen(ASK) == EBUSY
    here.supervisor.close(here.listener).result()
    assert here.target.listen(ASK) == OK
    assert child.listen(ASK) == OK


@pytest.mark.requirement("seccomp.notif-newest-asked")
def test_only_the_newest_filters_listener_is_asked(guest: Guest) -> None:
    """Of two filters that notify, only the newer one's listener is asked; if it has none, the call is ENOSYS."""
    here = Supervised(guest, ASK)
    here.target.install(policy(notify("getppid"))).result()
    assert here.target.call("getppid") == ENOSYS
    assert here.supervisor.ready_for(here.listener) == 0


@pytest.mark.requirement("seccomp.notif-cloexec")
def test_the_listener_is_closed_on_exec(guest: Guest) -> None:
    """execve() closes the listener: an executed program cannot answer its own calls."""
    target = unprivileged(guest, "target")
    listener = target.listen(ASK).result()
    assert target.call("fcntl", listener, F_GETFD) == returned(FD_CLOEXEC)
    assert target.execute_again() == OK
    assert target.call("fcntl", listener, F_GETFD) == EBADF
    assert target.call("getppid") == ENOSYS


@pytest.mark.requirement("seccomp.notif-listener-file")
def test_the_listener_is_nothing_else(guest: Guest) -> None:
    """A listener is open read-write, but cannot be read or written; it rejects other ioctls, and /proc names it."""
    here = Supervised(guest, ASK)
    supervisor, listener = here.supervisor, here.listener
    found: dict[str, tuple[object, object]] = {
        "opened": (supervisor.call("fcntl", listener, F_GETFL), returned(O_RDWR)),
        "read": (supervisor.call("read", listener, Out(8), 8), EINVAL),
        "write": (supervisor.call("write", listener, b"12345678", 8), EINVAL),
        "ioctl 5": (supervisor.call("ioctl", listener, 0x40082105, Out(8)), EINVAL),
        "ioctl 0 of another kind": (supervisor.call("ioctl", listener, 0xC0504100, Out(80)), EINVAL),
    }
    assert mismatches(found) == []
    link = supervisor.call("readlinkat", -100, f"/proc/self/fd/{listener}", Out(64), 64).read()
    assert link.rstrip(b"\0") == b"anon_inode:seccomp notify"


@pytest.mark.requirement("seccomp.notif-set-flags")
def test_listener_flags(guest: Guest) -> None:
    """SYNC_WAKE_UP is the only flag; notifications and answers work the same with it."""
    here = Supervised(guest, ASK)
    found: dict[str, tuple[object, object]] = {
        str(flags): (here.supervisor.set_listener_flags(here.listener, flags), wanted)
        for flags, wanted in ((2, EINVAL), (3, EINVAL), (1 << 63, EINVAL), (0, OK), (1, OK))
    }
    assert mismatches(found) == []
    call, asked = here.ask("getppid")
    here.reply(asked, value=6).result()
    assert call.outcome() == returned(6)


@pytest.mark.requirement("seccomp.notif-set-flags")
def test_a_synchronous_wake_up(guest: Guest) -> None:
    """With SYNC_WAKE_UP, a call still wakes up a reader that waits in NOTIF_RECV or poll()."""
    here = Supervised(guest, ASK)
    here.supervisor.set_listener_flags(here.listener, USER_NOTIF_FD_SYNC_WAKE_UP).result()
    receiving = here.supervisor.begin_receive(here.listener)
    receiving.wait_until_blocked()
    call = here.target.begin("getppid")
    asked = Notification.decode(receiving.outcome().read())
    here.reply(asked, value=6).result()
    assert call.outcome() == returned(6)
    waiting = wait_for(here.supervisor.spawn("poller"), here.listener, Poll.IN)
    here.target.begin("getppid")
    assert told(waiting) == Poll.IN


@pytest.mark.requirement("seccomp.notif-recv-signal")
def test_a_signal_to_a_waiting_reader(guest: Guest) -> None:
    """A signal interrupts a waiting NOTIF_RECV with EINTR; later notifications are received."""
    here = Supervised(guest, ASK)
    here.supervisor.catch(Signal.USR1).result()
    receiving = here.supervisor.begin_receive(here.listener)
    receiving.wait_until_blocked()
    guest.init.kill(here.supervisor, Signal.USR1).result()
    assert receiving.outcome() == EINTR
    assert [one.signal for one in here.supervisor.caught()] == [Signal.USR1]
    call, asked = here.ask("getppid")
    here.reply(asked, value=7).result()
    assert call.outcome() == returned(7)


@pytest.mark.requirement("seccomp.notif-recv-restart")
def test_a_signal_that_restarts(guest: Guest) -> None:
    """With SA_RESTART, the reader handles the signal and continues to wait; it receives the next notification."""
    here = Supervised(guest, ASK)
    here.supervisor.catch(Signal.USR1, restart=True).result()
    receiving = here.supervisor.begin_receive(here.listener)
    receiving.wait_until_blocked()
    guest.init.kill(here.supervisor, Signal.USR1).result()
    guest.wait_until(lambda: len(here.supervisor.caught()) == 1, "the handler to run")
    receiving.wait_until_blocked()
    call = here.target.begin("getppid")
    asked = Notification.decode(receiving.outcome().read())
    here.reply(asked, value=7).result()
    assert call.outcome() == returned(7)


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.compat")
def test_a_32_bit_supervisor(guest: Guest) -> None:
    """A supervisor that makes 32-bit calls uses the same structures."""
    here = Supervised(guest, ASK)
    call = here.target.begin("getppid")
    received = here.supervisor.call32("ioctl", here.listener, NOTIF_RECV, InOut(bytes(NOTIF_SIZE)))
    asked = Notification.decode(received.read())
    assert (asked.nr, asked.pid) == (GETPPID, here.target.pid)
    assert here.supervisor.call32("ioctl", here.listener, NOTIF_ID_VALID, struct.pack("<Q", asked.id)) == OK
    answer = struct.pack("<QqiI", asked.id, 1 << 33, 0, 0)
    assert here.supervisor.call32("ioctl", here.listener, NOTIF_SEND, answer) == OK
    assert call.outcome() == returned(1 << 33)
