# SPDX-License-Identifier: GPL-2.0-or-later
"""Whoever waits for a listener, or for its target, is woken: after an error, a fatal signal, and the last user."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.bpf import kill_process, notify, policy
from guests.call_arguments import InOut
from guests.call_plan import Counts, give_realtime_priority, share_a_processor
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EFAULT, EINTR, ENOENT, OK, exited, killed, returned
from guests.promises import breaks
from guests.syscalls.base import Pending
from guests.syscalls.seccomp import NOTIF_RECV, AddFd, FilterFlag, Notification, Poll
from guests.task import Task
from guests.uapi import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, Signal
from suites.seccomp.support.addfd_pair import FREE, AddFdPair
from suites.seccomp.support.filtered_tasks import SupervisedPair

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

NOTIFY = policy(notify("getppid"))


def zeros_to_read(task: Task) -> int:
    """The address of zeros that the task cannot overwrite: a reception into them fails when it has happened."""
    return task.call("mmap", None, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0).result()


def begin_to_receive(task: Task, listener: int) -> Pending:
    """Wait in NOTIF_RECV."""
    pending = task.begin_receive(listener)
    pending.wait_until_blocked()
    return pending


def begin_to_poll(task: Task, listener: int, events: int) -> Pending:
    """Wait in poll()."""
    pollfd = InOut(task.abi.pack("iHH", listener, events, 0))
    pending = task.begin("ppoll", pollfd, 1, None, None, 8, shown=f"poll({listener})")
    pending.wait_until_blocked()
    return pending


def events(pending: Pending) -> int:
    """The events that ended the poll()."""
    return int(pending.abi.unpack("iHH", pending.outcome().read())[2])


# After an error


@pytest.mark.requirement("seccomp.notif-recv-fault")
def test_another_reader_after_an_unwritable_buffer(guest: Guest) -> None:
    """When a reader fails because of its buffer, another reader that waits receives the notification.

    The first one has the higher priority, and waits longer.
    """
    pair = SupervisedPair(guest, NOTIFY)
    first, second = pair.supervisor.spawn("first"), pair.supervisor.spawn("second")
    buffer = zeros_to_read(first)
    share_a_processor(first, second)
    give_realtime_priority(first, 10)
    failing = first.begin("ioctl", pair.listener, NOTIF_RECV, buffer, shown="receive into an unwritable buffer")
    failing.wait_until_blocked()
    receiving = begin_to_receive(second, pair.listener)
    call = pair.target.begin("getppid")
    assert failing.outcome() == EFAULT
    notif = Notification.decode(receiving.outcome().read(), receiving.abi)
    assert pair.reply(notif, value=5) == OK
    assert call.outcome() == returned(5)


@pytest.mark.requirement("seccomp.notif-recv-fault", "seccomp.notif-wait-killable")
def test_wait_killable_after_an_unwritable_buffer(guest: Guest) -> None:
    """With WAIT_KILLABLE_RECV, a signal interrupts a call whose reception has failed, like one never received."""
    pair = SupervisedPair(guest, NOTIFY, FilterFlag.WAIT_KILLABLE_RECV)
    pair.target.catch(Signal.USR1).result()
    call = pair.target.begin("getppid")
    call.wait_until_blocked()
    failed = pair.supervisor.receive_into(pair.listener, zeros_to_read(pair.supervisor))
    with breaks("seccomp.notif-recv-fault"):
        assert failed == EFAULT
        assert pair.poll() == Poll.IN
    with breaks("seccomp.notif-wait-killable"):
        pair.interrupt(Signal.USR1)
        assert call.outcome() == EINTR


# After a fatal signal, and the last user


def exit_by_itself(pair: SupervisedPair) -> None:
    pair.target.exit().require(exited(0))


def be_killed(pair: SupervisedPair) -> None:
    """Be killed while its call waits for an answer."""
    call, _ = pair.call_and_receive("getppid")
    pair.interrupt(Signal.KILL)
    call.outcome().require(killed(Signal.KILL))


def be_killed_unreceived(pair: SupervisedPair) -> None:
    """Be killed while its call waits to be received, which nobody does."""
    call = pair.target.begin("getppid")
    call.wait_until_blocked()
    pair.interrupt(Signal.KILL)
    call.outcome().require(killed(Signal.KILL))


def be_killed_by_its_filter(pair: SupervisedPair) -> None:
    pair.target.install(policy(kill_process("getuid"))).result()
    pair.target.call("getuid").require(killed(Signal.SYS))


ENDS: dict[str, Callable[[SupervisedPair], None]] = {
    "exits": exit_by_itself,
    "is-killed-before-reception": be_killed_unreceived,
    "is-killed-after-reception": be_killed,
    "is-killed-by-its-filter": be_killed_by_its_filter,
}


@pytest.mark.requirement("seccomp.notif-hang-up")
@pytest.mark.parametrize("end", ENDS)
def test_pollers_when_the_last_caller_ends(guest: Guest, end: str) -> None:
    """However the last caller ends, all who poll the listener learn of the hang-up, and can poll it again."""
    pair = SupervisedPair(guest, NOTIFY)
    polling = [begin_to_poll(pair.supervisor.spawn(name), pair.listener, 0) for name in ("first", "second")]
    ENDS[end](pair)
    pair.supervisor.reap(pair.target).result()
    assert [events(one) for one in polling] == [Poll.HUP] * 2
    assert pair.poll() == Poll.HUP


@pytest.mark.requirement("seccomp.notif-recv-ends")
@pytest.mark.parametrize("end", ["exits", "is-killed-by-its-filter"])
def test_readers_when_the_last_caller_ends(guest: Guest, end: str) -> None:
    """When the last caller ends, all readers that wait get ENOENT, and so does the next one."""
    pair = SupervisedPair(guest, NOTIFY)
    receiving = [begin_to_receive(pair.supervisor.spawn(name), pair.listener) for name in ("first", "second")]
    ENDS[end](pair)
    assert [one.outcome() for one in receiving] == [ENOENT] * 2
    assert pair.supervisor.begin_receive(pair.listener).outcome() == ENOENT


@pytest.mark.requirement("seccomp.notif-recv-ends")
@pytest.mark.parametrize("end", ["is-killed-before-reception", "is-killed-after-reception"])
def test_readers_after_a_fatal_signal(guest: Guest, end: str) -> None:
    """After a fatal signal to the last caller, of whose call nothing remains, no reader waits."""
    pair = SupervisedPair(guest, NOTIFY)
    ENDS[end](pair)
    for _ in range(3):
        assert pair.supervisor.begin_receive(pair.listener).outcome() == ENOENT


@pytest.mark.requirement("seccomp.notif-kill")
def test_the_next_caller_after_a_fatal_signal(guest: Guest) -> None:
    """A reader that waits when one of two callers is killed receives the call of the other."""
    pair = SupervisedPair(guest, NOTIFY)
    other = pair.target.spawn("other")
    be_killed_unreceived(pair)
    call = other.begin("getppid", 7)
    notif = pair.receive_after_signal()
    assert (notif.pid, notif.args[0]) == (other.pid, 7)
    assert pair.reply(notif, value=5) == OK
    assert call.outcome() == returned(5)


@pytest.mark.requirement("seccomp.notif-poll")
def test_a_poller_after_a_fatal_signal(guest: Guest) -> None:
    """A poller that begins to wait when one of two callers has been killed is woken by the call of the other."""
    pair = SupervisedPair(guest, NOTIFY)
    other, poller = pair.target.spawn("other"), pair.supervisor.spawn("poller")
    be_killed_unreceived(pair)
    polling = begin_to_poll(poller, pair.listener, Poll.IN)
    other.begin("getppid")
    assert events(polling) == Poll.IN


@pytest.mark.requirement("seccomp.notif-recv-signal")
def test_a_fatal_signal_to_a_reader(guest: Guest) -> None:
    """A fatal signal ends a reader that waits; the other reader receives the next call."""
    pair = SupervisedPair(guest, NOTIFY)
    first = pair.supervisor.spawn("first")
    dying = begin_to_receive(first, pair.listener)
    receiving = begin_to_receive(pair.supervisor, pair.listener)
    guest.init.kill(first, Signal.KILL).result()
    assert dying.outcome() == killed(Signal.KILL)
    call = pair.target.begin("getppid")
    notif = Notification.decode(receiving.outcome().read(), receiving.abi)
    assert pair.reply(notif, value=5) == OK
    assert call.outcome() == returned(5)


# ADDFD

# fmt: off
INTERRUPTIONS: dict[str, tuple[Signal, list[Counts]]] = {
    # the signal to the supervisor                  the results of its write() and its ADDFD
    "by-a-signal":        (Signal.USR1, [{"OK": 1}, {"EINTR": 1}]),
    "by-a-fatal-signal":  (Signal.KILL, [{}, {}]),
}
# fmt: on


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(AddFd.NONE, id="add", marks=pytest.mark.requirement("seccomp.addfd-interrupted")),
        pytest.param(AddFd.SEND, id="add-and-send", marks=pytest.mark.requirement("seccomp.addfd-send-interrupted")),
    ],
)
@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_add_is_interrupted(guest: Guest, flags: AddFd, interruption: str) -> None:
    """A supervisor that a signal interrupts in ADDFD, before its target runs, has added and answered nothing.

    The signal comes when the supervisor sleeps in ADDFD.
    """
    signal, wanted = INTERRUPTIONS[interruption]
    pair = AddFdPair(guest)
    pair.supervisor.catch(Signal.USR1).result()
    heir = pair.supervisor.spawn("heir")
    adding, sending = pair.start_in_turn(
        lambda plan: pair.plan_to_add(plan, flags),
        lambda plan: plan.call("kill", pair.supervisor.pid, signal),
    )
    require(sending.counts() == [{"OK": 1}] * 2, "the signal was not sent")
    assert adding.counts() == wanted
    assert heir.still_waiting(pair.listener, pair.notif.id) == OK
    assert heir.reply(pair.listener, pair.notif.id, value=77) == OK
    assert pair.call.outcome() == returned(77)
    pair.check_has_nothing(FREE)


@pytest.mark.requirement("seccomp.addfd-send-interrupted")
def test_add_and_send_without_a_signal(guest: Guest) -> None:
    """The control: a supervisor that waits for its target in ADDFD with SEND, and gets no signal, has answered."""
    pair = AddFdPair(guest)
    (adding,) = pair.start_in_turn(lambda plan: pair.plan_to_add(plan, AddFd.SEND))
    assert adding.counts() == [{"OK": 1}]
    assert pair.call.outcome() == returned(FREE)
    pair.check_has(FREE)
