# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals to a task whose call waits for its supervisor."""

from __future__ import annotations

import pytest

from guests.bpf import notify, policy
from guests.guest import Guest
from guests.outcome import EINTR, EINVAL, ENOENT, OK, killed, returned
from guests.syscalls.seccomp import FilterFlag, Poll
from guests.uapi import Signal
from suites.seccomp.support.roles import Supervised, mismatches, signal_mask, status, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

ASK = policy(notify("getppid"))


def caught_signals(here: Supervised) -> list[int]:
    return [one.signal for one in here.target.caught()]


@pytest.mark.requirement("seccomp.notif-signal")
@pytest.mark.parametrize("received", [False, True], ids=["before-it-is-received", "after-it-was-received"])
def test_a_signal_drops_the_notification(guest: Guest, received: bool) -> None:
    """A signal makes the call fail with EINTR and discards its notification, for receiving and for answering."""
    here = Supervised(guest, ASK)
    here.target.catch(Signal.USR1).result()
    call = here.target.begin("getppid")
    call.wait_until_blocked()
    asked = here.supervisor.receive(here.listener) if received else None
    here.interrupt(Signal.USR1)
    assert call.outcome() == EINTR
    assert caught_signals(here) == [Signal.USR1]
    assert here.supervisor.ready_for(here.listener) == 0
    if asked:
        assert here.reply(asked) == ENOENT
        assert here.supervisor.still_waiting(here.listener, asked.id) == ENOENT
    # The next notification is received, not the discarded one.
    call, asked = here.ask("getppid", 7)
    assert asked.args[0] == 7
    here.reply(asked, value=1).result()
    assert call.outcome() == returned(1)


@pytest.mark.requirement("seccomp.notif-restart")
@pytest.mark.parametrize("received", [False, True], ids=["before-it-is-received", "after-it-was-received"])
def test_a_restarted_call_is_a_new_notification(guest: Guest, received: bool) -> None:
    """With SA_RESTART, the call is restarted after the handler, under another id, and the old id is void."""
    here = Supervised(guest, ASK)
    here.target.catch(Signal.USR1, restart=True).result()
    call = here.target.begin("getppid", 5)
    call.wait_until_blocked()
    old = here.supervisor.receive(here.listener).id if received else None
    here.interrupt(Signal.USR1)
    guest.wait_until(lambda: caught_signals(here) == [Signal.USR1], "the handler to run")
    again = here.receive()
    assert again.args[0] == 5
    assert old is None or (again.id != old and here.supervisor.reply(here.listener, old) == ENOENT)
    here.reply(again, value=2).result()
    assert call.outcome() == returned(2)


@pytest.mark.requirement("seccomp.notif-restart")
def test_stopped_and_continued(guest: Guest) -> None:
    """SIGSTOP and SIGCONT, without any handler, create a new notification too."""
    here = Supervised(guest, ASK)
    call, asked = here.ask("getppid")
    here.interrupt(Signal.STOP)
    here.target.wait_state("T")
    assert here.reply(asked, value=1) == ENOENT
    here.interrupt(Signal.CONT)
    again = here.receive()
    assert again.id != asked.id
    here.reply(again, value=2).result()
    assert call.outcome() == returned(2)


@pytest.mark.requirement("seccomp.notif-signal")
@pytest.mark.parametrize("how", ["ignored", "blocked"])
def test_a_signal_that_is_not_delivered(guest: Guest, how: str) -> None:
    """An ignored or blocked signal does not affect the notification."""
    here = Supervised(guest, ASK)
    (here.target.ignore if how == "ignored" else here.target.block)(Signal.USR1).result()
    call, asked = here.ask("getppid")
    here.interrupt(Signal.USR1)
    assert here.supervisor.still_waiting(here.listener, asked.id) == OK
    here.reply(asked, value=3).result()
    assert call.outcome() == returned(3)


# WAIT_KILLABLE_RECV

PATIENT = FilterFlag.WAIT_KILLABLE_RECV


@pytest.mark.requirement("seccomp.notif-wait-killable")
def test_patient_once_received(guest: Guest) -> None:
    """Once the notification has been received, a signal waits until it is answered, and then its handler runs."""
    here = Supervised(guest, ASK, PATIENT)
    here.target.catch(Signal.USR1).result()
    call, asked = here.ask("getppid")
    here.interrupt(Signal.USR1)
    pending = int(status(guest, here.target)["ShdPnd"], 16)
    assert pending & signal_mask(Signal.USR1)
    assert here.supervisor.still_waiting(here.listener, asked.id) == OK
    assert caught_signals(here) == []
    here.reply(asked, value=4).result()
    assert call.outcome() == returned(4)
    assert caught_signals(here) == [Signal.USR1]


@pytest.mark.requirement("seccomp.notif-wait-killable")
def test_patient_with_a_signal_that_came_early(guest: Guest) -> None:
    """A received call continues to wait, whatever number of signals arrive."""
    here = Supervised(guest, ASK, PATIENT)
    for signal in (Signal.USR1, Signal.USR2):
        here.target.catch(signal).result()
    call, asked = here.ask("getppid")
    for signal in (Signal.USR1, Signal.USR2, Signal.USR1):
        here.interrupt(signal)
        assert here.supervisor.still_waiting(here.listener, asked.id) == OK
    assert here.supervisor.ready_for(here.listener) == Poll.OUT
    here.reply(asked, value=5).result()
    assert call.outcome() == returned(5)


@pytest.mark.requirement("seccomp.notif-wait-killable")
def test_impatient_before_it_is_received(guest: Guest) -> None:
    """Before the notification has been received, a signal interrupts the call, with or without the flag."""
    here = Supervised(guest, ASK, PATIENT)
    here.target.catch(Signal.USR1).result()
    call = here.target.begin("getppid")
    call.wait_until_blocked()
    here.interrupt(Signal.USR1)
    assert call.outcome() == EINTR
    assert here.supervisor.ready_for(here.listener) == 0


@pytest.mark.requirement("seccomp.notif-wait-killable")
@pytest.mark.parametrize("signal", [Signal.KILL, Signal.TERM], ids=lambda signal: signal.name)
def test_patient_but_not_with_fatal_signals(guest: Guest, signal: Signal) -> None:
    """A fatal signal ends the wait, and the process."""
    here = Supervised(guest, ASK, PATIENT)
    call, asked = here.ask("getppid")
    here.interrupt(signal)
    assert call.outcome() == killed(signal)
    assert here.reply(asked) == ENOENT


@pytest.mark.requirement("seccomp.notif-wait-killable")
def test_patience_needs_a_listener(guest: Guest) -> None:
    """WAIT_KILLABLE_RECV without NEW_LISTENER fails with EINVAL."""
    task = unprivileged(guest)
    found: dict[str, tuple[object, object]] = {
        "alone": (task.install(ASK, PATIENT), EINVAL),
        "with another flag": (task.install(ASK, PATIENT | FilterFlag.LOG), EINVAL),
        "with a listener": (task.listen(ASK, PATIENT), OK),
    }
    assert mismatches(found) == []
