# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers at the same time as what ends or changes the call: signals, other answers, ADDFD, closing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from guests.bpf import notify, policy
from guests.call_plan import Plan, StepValue
from guests.guest import Guest
from guests.protocol.meeting_layout import Watched
from guests.syscalls.seccomp import (
    NOTIF_ADDFD,
    NOTIF_RECV,
    NOTIF_SEND,
    NOTIF_SIZE,
    AddFd,
    FilterFlag,
    Poll,
    addfd_request,
    response,
)
from guests.task import Task
from guests.uapi import THREAD_FLAGS, WALL, Signal
from suites.races.race import AllowedOutcome, Race
from suites.seccomp.support.addfd_pair import CHOSEN, FREE, AddFdPair
from suites.seccomp.support.filtered_tasks import SupervisedPair
from suites.seccomp.support.stored_filters import install, stored

pytestmark = [pytest.mark.races, pytest.mark.needs("SECCOMP_FILTER")]
concurrent = pytest.mark.requirement("seccomp.notif-concurrent")

NOTIFY = policy(notify("getppid"))
ANSWER, OTHER_ANSWER = 7, 8
TOO_LATE = {"ENOENT", "EINPROGRESS"}
"""Whether the answered call has woken up decides between the two."""
NONE = "-"


class Notified:
    """Memory of a task for one notification and its answers, in which the id is copied to and fro."""

    def __init__(self, owner: Task) -> None:
        self._owner = owner
        self._zeros, self._notif = owner.store(bytes(NOTIF_SIZE)), owner.store(bytes(NOTIF_SIZE))

    def clear(self, plan: Plan) -> None:
        """Add a step: the kernel requires zeros where it writes the notification."""
        plan.copy(self._notif, self._zeros, NOTIF_SIZE)

    def receive(self, plan: Plan, listener: int) -> StepValue:
        return plan.call("ioctl", listener, NOTIF_RECV, self._notif)

    def answer(self, plan: Plan, value: int) -> int:
        """Add a step that takes over the id; the address of the answer."""
        return self._with_the_id(plan, response(self._owner.abi, 0, value=value))

    def addition(self, plan: Plan, pair: AddFdPair, flags: AddFd) -> int:
        """The same; the address of the request that adds the supervisor's file as a certain number."""
        request = addfd_request(self._owner.abi, 0, pair.file, number=CHOSEN, flags=flags | AddFd.SETFD)
        return self._with_the_id(plan, request)

    def _with_the_id(self, plan: Plan, structure: bytes) -> int:
        address = self._owner.store(structure)
        plan.copy(address, self._notif, 8)
        return address


def receiving(race: Race, plan: Plan, notified: Notified, listener: int) -> None:
    notified.clear(plan)
    race.watch("receive", notified.receive(plan, listener))


def send(race: Race, plan: Plan, listener: int, address: int) -> None:
    race.watch("answer", plan.call("ioctl", listener, NOTIF_SEND, address))


@concurrent
def test_a_signal(guest: Guest, race: Race) -> None:
    """A call whose answer was refused has been interrupted; one whose answer was accepted may have been, too."""
    pair = SupervisedPair(guest, NOTIFY)
    pair.target.catch(Signal.USR1).result()
    sender, notified = pair.supervisor.spawn("sender"), Notified(pair.supervisor)
    calling, answering, signalling = (race.plan(task) for task in (pair.target, pair.supervisor, sender))
    # The signal of the round before is delivered before the next call is made.
    calling.call("getpid")
    race.watch("call", calling.call("getppid"), Watched.VALUE)
    receiving(race, answering, notified, pair.listener)
    address = notified.answer(answering, ANSWER)
    race.go(answering, signalling)
    send(race, answering, pair.listener, address)
    race.watch("signal", signalling.call("kill", pair.target.pid, Signal.USR1))
    race.tally(calling, answering, signalling)
    race.check(({ANSWER, "EINTR"}, "OK", "OK", "OK"), ("EINTR", "OK", "ENOENT", "OK"))


@concurrent
def test_a_fatal_signal(guest: Guest, race: Race) -> None:
    """A call whose answer was refused never returns; one whose answer was accepted returns it, or never."""
    pair = SupervisedPair(guest, NOTIFY)
    notified, status = Notified(pair.supervisor), pair.target.store(bytes(4))
    killing, calling, answering = race.plan(pair.target), race.child(), race.plan(pair.supervisor)
    pid = killing.child(calling)
    race.watch("call", calling.call("getppid"), Watched.VALUE)
    receiving(race, answering, notified, pair.listener)
    address = notified.answer(answering, ANSWER)
    race.go(killing, answering)
    race.watch("kill", killing.call("kill", pid, Signal.KILL))
    send(race, answering, pair.listener, address)
    killing.call("wait4", pid, status, WALL, 0)
    race.watch_word("status", pair.target, status)
    race.tally(killing, answering)
    race.check(
        (NONE, "OK", "OK", "ENOENT", Signal.KILL),
        ({NONE, ANSWER}, "OK", "OK", "OK", Signal.KILL),
        (ANSWER, "OK", "OK", "OK", 0),
    )


@concurrent
def test_another_answer(guest: Guest, race: Race) -> None:
    """Of two answers, one is accepted, and the call returns that one."""
    pair = SupervisedPair(guest, NOTIFY)
    notified = Notified(pair.supervisor)
    calling, answering, contradicting = (
        race.plan(task) for task in (pair.target, pair.supervisor, pair.supervisor.spawn("second"))
    )
    race.watch("call", calling.call("getppid"), Watched.VALUE)
    receiving(race, answering, notified, pair.listener)
    one, other = notified.answer(answering, ANSWER), notified.answer(answering, OTHER_ANSWER)
    race.go(answering, contradicting)
    send(race, answering, pair.listener, one)
    send(race, contradicting, pair.listener, other)
    race.tally(calling, answering, contradicting)
    race.check((ANSWER, "OK", "OK", TOO_LATE), (OTHER_ANSWER, "OK", TOO_LATE, "OK"))


ADDITIONS: dict[str, tuple[AddFd, tuple[AllowedOutcome, ...]]] = {
    "add": (
        AddFd.NONE,
        # the call, its reception, the answer, the addition, and whether the call's process can close the number
        ((ANSWER, "OK", "OK", CHOSEN, "OK"), (ANSWER, "OK", "OK", {*TOO_LATE, "ESRCH"}, "EBADF")),
    ),
    "add-and-send": (
        AddFd.SEND,
        ((ANSWER, "OK", "OK", TOO_LATE, "EBADF"), (CHOSEN, "OK", TOO_LATE, CHOSEN, "OK")),
    ),
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("add", marks=pytest.mark.requirement("seccomp.addfd-concurrent")),
        pytest.param("add-and-send", marks=pytest.mark.requirement("seccomp.addfd-send")),
    ],
)
def test_an_addition(guest: Guest, race: Race, kind: str) -> None:
    """A file that was added is there when the call returns; a request that was refused has added nothing.

    Of an answer and an addition that answers, one is accepted.
    """
    flags, allowed = ADDITIONS[kind]
    pair = AddFdPair(guest, waiting=False)
    notified, second = Notified(pair.supervisor), pair.supervisor.spawn("second")
    calling, answering, adding = (race.plan(task) for task in (pair.target, pair.supervisor, second))
    race.watch("call", calling.call("getppid"), Watched.VALUE)
    receiving(race, answering, notified, pair.listener)
    answer, addition = notified.answer(answering, ANSWER), notified.addition(answering, pair, flags)
    race.go(answering, adding)
    send(race, answering, pair.listener, answer)
    race.watch("add", adding.call("ioctl", pair.listener, NOTIF_ADDFD, addition), Watched.VALUE)
    race.watch("close", calling.call("close", CHOSEN))
    race.tally(calling, answering, adding)
    race.check(*allowed)


@pytest.mark.requirement("seccomp.addfd-interrupted")
def test_an_addition_and_a_signal(guest: Guest, race: Race) -> None:
    """An addition that a signal has interrupted has added nothing, and any other one has added the file."""
    pair = AddFdPair(guest, waiting=False)
    notified = Notified(pair.supervisor)
    second, sender = (pair.supervisor.spawn(name) for name in ("second", "sender"))
    second.catch(Signal.USR1).result()
    plans = (race.plan(task) for task in (pair.target, pair.supervisor, second, sender))
    calling, answering, adding, signalling = plans
    race.watch("call", calling.call("getppid"), Watched.VALUE)
    receiving(race, answering, notified, pair.listener)
    answer = notified.answer(answering, ANSWER)
    addition = notified.addition(answering, pair, AddFd.NONE)
    race.meet(answering, adding, signalling)
    race.go(adding, signalling)
    race.watch("add", adding.call("ioctl", pair.listener, NOTIF_ADDFD, addition), Watched.VALUE)
    race.watch("signal", signalling.call("kill", second.pid, Signal.USR1))
    race.meet(answering, adding, signalling)
    send(race, answering, pair.listener, answer)
    race.watch("close", calling.call("close", CHOSEN))
    race.tally(calling, answering, adding, signalling)
    race.check(
        (ANSWER, "OK", CHOSEN, "OK", "OK", "OK"),
        (ANSWER, "OK", "EINTR", "OK", "OK", "EBADF"),
    )


def check_two_readers(race: Race, pair: SupervisedPair, callers: Mapping[Task, int]) -> None:
    """Two readers receive a call each, of two that tasks make in all, and each call returns its reader's answer."""
    calling = {race.plan(task): calls for task, calls in callers.items()}
    readers = {race.plan(task): Notified(task) for task in (pair.supervisor, pair.supervisor.spawn("second"))}
    for reader, notified in readers.items():
        notified.clear(reader)
    race.go(*calling, *readers)
    for caller, calls in calling.items():
        for _ in range(calls):
            race.watch("call", caller.call("getppid"), Watched.VALUE)
    for value, (reader, notified) in zip((ANSWER, OTHER_ANSWER), readers.items(), strict=True):
        race.watch("receive", notified.receive(reader, pair.listener))
        send(race, reader, pair.listener, notified.answer(reader, value))
    race.tally(*calling, *readers)
    accepted = ("OK",) * 4
    race.check((ANSWER, OTHER_ANSWER, *accepted), (OTHER_ANSWER, ANSWER, *accepted))


@concurrent
def test_several_readers(guest: Guest, race: Race) -> None:
    """Two readers receive two calls of two tasks, each another one."""
    pair = SupervisedPair(guest, NOTIFY)
    check_two_readers(race, pair, {pair.target: 1, pair.target.spawn("other"): 1})


@concurrent
def test_one_call_for_two_readers(guest: Guest, race: Race) -> None:
    """A call wakes two readers, of which one receives it; the other one receives the next call."""
    pair = SupervisedPair(guest, NOTIFY)
    check_two_readers(race, pair, {pair.target: 2})


@concurrent
def test_close(guest: Guest, race: Race) -> None:
    """One thread closes its process's only listener, while another one receives a call from it and answers.

    A call whose answer was accepted returns it; any other one fails with ENOSYS.
    """
    shell = guest.spawn("shell")
    shell.set_no_new_privs().result()
    program, notified, status = stored(shell, NOTIFY), Notified(shell), shell.store(bytes(4))
    starting, calling, closing, answering = race.plan(shell), race.child(), race.child(), race.child()
    pid = starting.child(calling)
    for thread in (closing, answering):
        calling.child(thread, THREAD_FLAGS)
    race.watch("listener", install(calling, program, FilterFlag.NEW_LISTENER), Watched.VALUE)
    notified.clear(answering)
    race.go(calling, closing, answering)
    race.watch("call", calling.call("getppid"), Watched.VALUE)
    race.watch("close", closing.call("close", FREE))
    race.watch("receive", notified.receive(answering, FREE))
    send(race, answering, FREE, notified.answer(answering, ANSWER))
    for thread in (closing, answering):
        calling.join(thread)
    starting.call("wait4", pid, status, WALL, 0)
    race.watch_word("status", shell, status)
    race.tally(starting)
    race.check(
        (FREE, "ENOSYS", "OK", "EBADF", "EBADF", 0),
        (FREE, "ENOSYS", "OK", "OK", "EBADF", 0),
        (FREE, ANSWER, "OK", "OK", "OK", 0),
    )


@pytest.mark.requirement("seccomp.notif-recv-ends")
def test_exit_of_the_last_caller(guest: Guest, race: Race) -> None:
    """The only filtered thread exits, while another one begins to receive: that fails, and the listener hangs up."""
    shell = guest.spawn("shell")
    shell.set_no_new_privs().result()
    program, notified, status = stored(shell, NOTIFY), Notified(shell), shell.store(bytes(4))
    polled, unpolled = (shell.store(shell.abi.pack("iHH", FREE, 0, 0)) for _ in range(2))
    starting, reading, calling = race.plan(shell), race.child(), race.child()
    pid = starting.child(reading)
    reading.child(calling, THREAD_FLAGS)
    race.watch("listener", install(calling, program, FilterFlag.NEW_LISTENER), Watched.VALUE)
    notified.clear(reading)
    reading.copy(polled, unpolled, 8)
    # The caller's act is its exit.
    race.go(reading, calling)
    race.watch("receive", notified.receive(reading, FREE))
    reading.call("ppoll", polled, 1, 0, 0, 0)
    race.watch_word("events", shell, polled + 4)
    starting.call("wait4", pid, status, WALL, 0)
    race.watch_word("status", shell, status)
    race.tally(starting)
    hung_up = shell.abi.integer(shell.abi.pack("HH", 0, Poll.HUP))
    race.check((FREE, "ENOENT", hung_up, 0))
