# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals to a task whose call waits for its supervisor."""

from __future__ import annotations

import pytest

from guests.bpf import Action, notify, policy, ret
from guests.call_plan import (
    Plan,
    give_realtime_priority,
    return_to_normal_priority,
    share_a_processor,
    start_realtime,
)
from guests.guest import Guest
from guests.outcome import EINTR, EINVAL, ENOENT, OK, killed, mismatches, returned
from guests.syscalls.seccomp import (
    NOTIF_ADDFD,
    NOTIF_RECV,
    NOTIF_SEND,
    AddFd,
    FilterFlag,
    Poll,
    addfd_request,
    response,
)
from guests.uapi import RLIMIT_NOFILE, Signal
from suites.seccomp.support.filtered_tasks import (
    SupervisedPair,
    let_priorities_decide,
    signal_mask,
    status,
    unprivileged,
)
from suites.userfaults import WithheldPage

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

NOTIFY = policy(notify("getppid"))


def caught_signals(pair: SupervisedPair) -> list[int]:
    return [one.signal for one in pair.target.caught_signals()]


@pytest.mark.requirement("seccomp.notif-signal")
@pytest.mark.parametrize("received", [False, True], ids=["before-it-is-received", "after-it-was-received"])
def test_a_signal_discards_the_notification(guest: Guest, received: bool) -> None:
    """A signal makes a notified call fail with EINTR, and voids its notification for receiving and answering."""
    pair = SupervisedPair(guest, NOTIFY)
    pair.target.catch(Signal.USR1).result()
    call = pair.target.begin("getppid")
    call.wait_until_blocked()
    notif = pair.supervisor.receive(pair.listener) if received else None
    pair.interrupt(Signal.USR1)
    assert call.outcome() == EINTR
    assert caught_signals(pair) == [Signal.USR1]
    assert pair.supervisor.poll(pair.listener) == 0
    if notif:
        assert pair.reply(notif) == ENOENT
        assert pair.supervisor.still_waiting(pair.listener, notif.id) == ENOENT
    # The next notification is received, not the discarded one.
    call = pair.target.begin("getppid", 7)
    notif = pair.receive_after_signal()
    assert notif.args[0] == 7
    assert pair.reply(notif, value=1) == OK
    assert call.outcome() == returned(1)


@pytest.mark.requirement("seccomp.notif-restart")
@pytest.mark.parametrize("received", [False, True], ids=["before-it-is-received", "after-it-was-received"])
def test_a_restarted_call_is_a_new_notification(guest: Guest, received: bool) -> None:
    """With SA_RESTART, the call is restarted after the handler, under another id, and the old id is void."""
    pair = SupervisedPair(guest, NOTIFY)
    pair.target.catch(Signal.USR1, restart=True).result()
    call = pair.target.begin("getppid", 5)
    call.wait_until_blocked()
    old = pair.supervisor.receive(pair.listener).id if received else None
    pair.interrupt(Signal.USR1)
    guest.wait_until(lambda: caught_signals(pair) == [Signal.USR1], "the handler to run")
    again = pair.receive_after_signal()
    assert again.args[0] == 5
    assert old is None or (again.id != old and pair.supervisor.reply(pair.listener, old) == ENOENT)
    assert pair.reply(again, value=2) == OK
    assert call.outcome() == returned(2)


@pytest.mark.requirement("seccomp.notif-restart-continued")
def test_stopped_and_continued(guest: Guest) -> None:
    """SIGSTOP and SIGCONT, without any handler, make a notified call create a new notification too."""
    pair = SupervisedPair(guest, NOTIFY)
    call, notif = pair.call_and_receive("getppid")
    pair.interrupt(Signal.STOP)
    pair.target.wait_state("T")
    assert pair.reply(notif, value=1) == ENOENT
    pair.interrupt(Signal.CONT)
    guest.wait_until(lambda: call.finished() or bool(pair.poll() & Poll.IN), "the call to be made again")
    assert not call.finished()
    again = pair.receive_after_signal()
    assert again.id != notif.id
    assert pair.reply(again, value=2) == OK
    assert call.outcome() == returned(2)


@pytest.mark.requirement("seccomp.notif-signal")
@pytest.mark.parametrize("how", ["ignored", "blocked"])
def test_a_signal_that_is_not_delivered(guest: Guest, how: str) -> None:
    """An ignored or blocked signal does not affect the notification."""
    pair = SupervisedPair(guest, NOTIFY)
    (pair.target.ignore if how == "ignored" else pair.target.block)(Signal.USR1).result()
    call, notif = pair.call_and_receive("getppid")
    pair.interrupt(Signal.USR1)
    assert pair.supervisor.still_waiting(pair.listener, notif.id) == OK
    assert pair.reply(notif, value=3) == OK
    assert call.outcome() == returned(3)


# WAIT_KILLABLE_RECV

WAIT_KILLABLE = FilterFlag.WAIT_KILLABLE_RECV


@pytest.mark.requirement("seccomp.notif-wait-killable")
def test_wait_killable_once_received(guest: Guest) -> None:
    """With WAIT_KILLABLE_RECV, a signal waits until a call that was received is answered; then its handler runs."""
    pair = SupervisedPair(guest, NOTIFY, WAIT_KILLABLE)
    pair.target.catch(Signal.USR1).result()
    call, notif = pair.call_and_receive("getppid")
    pair.interrupt(Signal.USR1)
    pending = int(status(guest, pair.target)["ShdPnd"], 16)
    assert pending & signal_mask(Signal.USR1)
    assert pair.supervisor.still_waiting(pair.listener, notif.id) == OK
    assert caught_signals(pair) == []
    assert pair.reply(notif, value=4) == OK
    assert call.outcome() == returned(4)
    assert caught_signals(pair) == [Signal.USR1]


@pytest.mark.requirement("seccomp.notif-wait-killable")
def test_wait_killable_with_several_signals(guest: Guest) -> None:
    """With WAIT_KILLABLE_RECV, a received call continues to wait, whatever number of signals arrive."""
    pair = SupervisedPair(guest, NOTIFY, WAIT_KILLABLE)
    for signal in (Signal.USR1, Signal.USR2):
        pair.target.catch(signal).result()
    call, notif = pair.call_and_receive("getppid")
    for signal in (Signal.USR1, Signal.USR2, Signal.USR1):
        pair.interrupt(signal)
        assert pair.supervisor.still_waiting(pair.listener, notif.id) == OK
    assert pair.supervisor.poll(pair.listener) == Poll.OUT
    assert pair.reply(notif, value=5) == OK
    assert call.outcome() == returned(5)
    assert set(caught_signals(pair)) == {Signal.USR1, Signal.USR2}


@pytest.mark.requirement("seccomp.notif-wait-killable")
def test_wait_killable_under_a_newer_filter(guest: Guest) -> None:
    """WAIT_KILLABLE_RECV of the filter that notifies counts, whatever filters the target has installed since."""
    for flags, wanted in ((WAIT_KILLABLE, returned(4)), (FilterFlag.NONE, EINTR)):
        pair = SupervisedPair(guest, NOTIFY, flags)
        pair.target.catch(Signal.USR1).result()
        pair.target.install((ret(Action.ALLOW),)).result()
        call, notif = pair.call_and_receive("getppid")
        pair.interrupt(Signal.USR1)
        if flags:
            assert pair.supervisor.still_waiting(pair.listener, notif.id) == OK
            assert pair.reply(notif, value=4) == OK
        assert call.outcome() == wanted


@pytest.mark.requirement("seccomp.notif-wait-killable")
def test_wait_killable_with_tsync(guest: Guest) -> None:
    """WAIT_KILLABLE_RECV counts for every thread to which TSYNC gives the filter."""
    pair = SupervisedPair(guest, NOTIFY)
    for flags, wanted in ((WAIT_KILLABLE, returned(4)), (FilterFlag.NONE, EINTR)):
        leader = unprivileged(guest, "leader", parent=pair.supervisor)
        thread = leader.thread("thread")
        leader.catch(Signal.USR1).result()
        listener = pair.fetch_listener(leader, NOTIFY, flags | FilterFlag.TSYNC | FilterFlag.TSYNC_ESRCH)
        for task in (leader, thread):
            call = task.begin("getppid")
            notif = pair.supervisor.receive(listener)
            guest.init.call("tgkill", task.pid, task.tid, Signal.USR1).result()
            if flags:
                assert pair.supervisor.still_waiting(listener, notif.id) == OK
                assert pair.supervisor.reply(listener, notif.id, value=4) == OK
            assert call.outcome() == wanted


@pytest.mark.requirement("seccomp.notif-wait-killable")
def test_wait_killable_before_it_is_received(guest: Guest) -> None:
    """Before its notification is received, a signal interrupts a call, with WAIT_KILLABLE_RECV or without."""
    pair = SupervisedPair(guest, NOTIFY, WAIT_KILLABLE)
    pair.target.catch(Signal.USR1).result()
    call = pair.target.begin("getppid")
    call.wait_until_blocked()
    pair.interrupt(Signal.USR1)
    assert call.outcome() == EINTR
    assert pair.supervisor.poll(pair.listener) == 0


@pytest.mark.needs("USERFAULTFD")
@pytest.mark.requirement("seccomp.notif-wait-killable")
def test_wait_killable_until_the_reception_fails(guest: Guest) -> None:
    """A call whose reader dies while the notification is written to its memory is interrupted by an earlier signal.

    The signal waits as long as the reception may succeed.
    """
    pair = SupervisedPair(guest, NOTIFY, WAIT_KILLABLE)
    pair.target.catch(Signal.USR1).result()
    reader = pair.supervisor.spawn("reader")
    thread, page = reader.thread("thread"), WithheldPage(guest, reader)
    page.release()
    receiving = reader.begin("ioctl", pair.listener, NOTIF_RECV, page.address, shown="receive into a withheld page")
    receiving.wait_until_blocked()
    page.withhold_again(thread)
    call = pair.target.begin("getppid")
    guest.wait_until(lambda: pair.poll() == Poll.OUT, "the notification to be received")
    pair.interrupt(Signal.USR1)
    pair.target.wait_state("D")
    guest.init.kill(reader, Signal.KILL).result()
    receiving.outcome().require(killed(Signal.KILL))
    assert call.outcome() == EINTR
    assert caught_signals(pair) == [Signal.USR1]


@pytest.mark.requirement("seccomp.notif-wait-killable")
@pytest.mark.parametrize("signal", [Signal.KILL, Signal.TERM], ids=lambda signal: signal.name)
def test_wait_killable_with_fatal_signals(guest: Guest, signal: Signal) -> None:
    """A fatal signal ends the wait of a call with WAIT_KILLABLE_RECV, and the process."""
    pair = SupervisedPair(guest, NOTIFY, WAIT_KILLABLE)
    call, notif = pair.call_and_receive("getppid")
    pair.interrupt(signal)
    assert call.outcome() == killed(signal)
    assert pair.reply(notif) == ENOENT


@pytest.mark.requirement("seccomp.notif-wait-killable")
def test_wait_killable_needs_a_listener(guest: Guest) -> None:
    """WAIT_KILLABLE_RECV without NEW_LISTENER fails with EINVAL."""
    task = unprivileged(guest)
    found: dict[str, tuple[object, object]] = {
        "alone": (task.install(NOTIFY, WAIT_KILLABLE), EINVAL),
        "with another flag": (task.install(NOTIFY, WAIT_KILLABLE | FilterFlag.LOG), EINVAL),
        "with a listener": (task.listen(NOTIFY, WAIT_KILLABLE), OK),
    }
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.notif-wait-killable-answer")
def test_an_answer_right_behind_a_signal(guest: Guest) -> None:
    """A received call that a signal has just woken up returns its answer, and then the signal is caught.

    The answer comes while the woken thread waits for the listener's lock: another thread of its process holds it,
    because it is adding a descriptor beyond the end of their table, and in a kernel that can be preempted waits for
    readers of the old one.  Who runs next is decided by priorities.
    """
    let_priorities_decide(guest)
    pair = SupervisedPair(guest, policy(notify("getppid", "getegid")), FilterFlag.WAIT_KILLABLE_RECV)
    adding = pair.target.thread("adding")
    pair.target.catch(Signal.USR1).result()
    pair.target.call("setrlimit", RLIMIT_NOFILE, pair.target.abi.words(4096, 4096)).result()
    calls, notifs = {}, {}
    for thread, name in ((pair.target, "getppid"), (adding, "getegid")):
        calls[thread] = thread.begin(name)
        notifs[thread] = pair.receive()
        calls[thread].wait_until_blocked()
    plan = Plan(pair.supervisor.slot)
    plan.call("tgkill", pair.target.pid, pair.target.tid, Signal.USR1)
    abi = pair.supervisor.abi
    request = addfd_request(abi, notifs[adding].id, pair.listener, number=4000, flags=AddFd.SETFD)
    plan.call("ioctl", pair.listener, NOTIF_ADDFD, request)
    plan.call("ioctl", pair.listener, NOTIF_SEND, response(abi, notifs[pair.target].id, value=7))
    share_a_processor(pair.supervisor, pair.target, adding)
    give_realtime_priority(adding, 5)
    assert start_realtime(pair.supervisor, plan, priority=10).counts() == [{"OK": 1}] * 3
    assert calls[pair.target].outcome() == returned(7)
    assert caught_signals(pair) == [Signal.USR1]
    return_to_normal_priority(adding)
    assert pair.reply(notifs[adding], value=8) == OK
    assert calls[adding].outcome() == returned(8)
