# SPDX-License-Identifier: GPL-2.0-or-later
"""A fatal signal in each stop and wait that a filter causes: the task ends in order, and its call never runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from guests.bpf import Action, policy, rule
from guests.errors import require
from guests.guest import Guest
from guests.outcome import ENOENT, OK
from guests.syscalls.base import Pending
from guests.syscalls.seccomp import FilterFlag, Notification
from guests.uapi import AT_FDCWD, PTRACE_EVENT_EXIT, PTRACE_EVENT_SECCOMP, PtraceOption, Signal
from suites.seccomp.support.filtered_tasks import MADE, SupervisedPair, check_not_made
from suites.seccomp.support.syscall_traced_pair import SYSCALL_STOP

pytestmark = [pytest.mark.needs("SECCOMP_FILTER"), pytest.mark.requirement("seccomp.killed-while-waiting")]


class TracedPair(SupervisedPair):
    """A supervisor that holds its target's listener, and also traces it: each call of the target stops twice."""

    def __init__(self, guest: Guest, action: Action, flags: FilterFlag = FilterFlag.NONE) -> None:
        super().__init__(guest, policy(rule(action, "mkdirat")), flags)
        self.other = self.target.thread("other")
        self.path = self.target.store(MADE.encode() + b"\0")
        self.call: Pending
        self.notif: Notification | None = None

    def begin(self, *, stop_at_entry: bool = False) -> None:
        """Let the target call mkdir(), under a tracer from then on."""
        options = PtraceOption.TRACESYSGOOD | PtraceOption.TRACESECCOMP | PtraceOption.TRACEEXIT
        if stop_at_entry:
            self.supervisor.seize_and_stop(self.target, options)
            self.supervisor.resume_to_syscall(self.target).result()
        else:
            self.supervisor.seize(self.target, options).result()
        self.call = self.target.begin("mkdirat", AT_FDCWD, self.path, 0o755)
        if stop_at_entry:
            self.require_stop(SYSCALL_STOP)

    def require_stop(self, signal: int, event: int = 0) -> None:
        stop = self.supervisor.wait(self.target)
        require((stop.stopped_by, stop.event) == (signal, event), f"{self.target} has another status: {stop}")


def at_the_entry(guest: Guest) -> TracedPair:
    """In the stop at the call's entry, before its filters run."""
    pair = TracedPair(guest, Action.ALLOW)
    pair.begin(stop_at_entry=True)
    return pair


def in_the_event_stop(guest: Guest) -> TracedPair:
    """In the stop of SECCOMP_RET_TRACE."""
    pair = TracedPair(guest, Action.TRACE)
    pair.begin()
    pair.require_stop(Signal.TRAP, PTRACE_EVENT_SECCOMP)
    return pair


def before_the_signal(guest: Guest) -> TracedPair:
    """In the stop before SECCOMP_RET_TRAP's signal is delivered."""
    pair = TracedPair(guest, Action.TRAP)
    pair.begin()
    pair.require_stop(Signal.SYS)
    return pair


def at_the_exit(guest: Guest) -> TracedPair:
    """In the stop at the exit of a denied call."""
    pair = TracedPair(guest, Action.ERRNO)
    pair.begin(stop_at_entry=True)
    pair.supervisor.resume_to_syscall(pair.target).result()
    pair.require_stop(SYSCALL_STOP)
    return pair


def before_reception(guest: Guest) -> TracedPair:
    """Waiting for the notification to be received."""
    pair = TracedPair(guest, Action.USER_NOTIF)
    pair.begin()
    pair.call.wait_until_blocked()
    return pair


def after_reception(guest: Guest, flags: FilterFlag = FilterFlag.NONE) -> TracedPair:
    """Waiting for the notification to be answered."""
    pair = TracedPair(guest, Action.USER_NOTIF, flags)
    pair.begin()
    pair.notif = pair.receive()
    pair.call.wait_until_blocked()
    return pair


def after_reception_killable(guest: Guest) -> TracedPair:
    """The same where only fatal signals interrupt."""
    return after_reception(guest, FilterFlag.WAIT_KILLABLE_RECV)


PLACES: dict[str, Callable[[Guest], TracedPair]] = {
    "at-the-entry": at_the_entry,
    "in-the-stop-of-trace": in_the_event_stop,
    "before-the-signal-of-trap": before_the_signal,
    "at-the-exit-of-a-denied-call": at_the_exit,
    "before-reception": before_reception,
    "after-reception": after_reception,
    "after-reception-and-killable": after_reception_killable,
}


@dataclass(frozen=True)
class End:
    """A way for a process to end from outside of the thread that waits."""

    cause: Callable[[TracedPair], object]
    status: int
    """As PTRACE_EVENT_EXIT and wait4() report it."""


ENDS = {
    "sigkill": End(lambda pair: pair.interrupt(Signal.KILL), Signal.KILL),
    "exit-of-another-thread": End(lambda pair: pair.other.begin("exit_group", 7), 7 << 8),
}


def places(table: dict[str, Callable[[Guest], TracedPair]]) -> list[object]:
    """The rows, for parametrize; that with WAIT_KILLABLE_RECV is about a later promise too."""
    return [
        pytest.param(
            build,
            id=name,
            marks=pytest.mark.requirement("seccomp.notif-wait-killable") if build is after_reception_killable else (),
        )
        for name, build in table.items()
    ]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("place", places(PLACES))
def test_killed(guest: Guest, place: Callable[[Guest], TracedPair], end: str) -> None:
    """A waiting task that is killed has an exit event with its status, then that status; then the listener hangs up.

    The call does not run, and its notification is void before the exit event.
    """
    pair, how = place(guest), ENDS[end]
    how.cause(pair)
    assert pair.supervisor.wait(pair.target).event == PTRACE_EVENT_EXIT
    assert pair.supervisor.event_message(pair.target) == how.status
    assert pair.poll() == 0
    if pair.notif:
        assert pair.supervisor.still_waiting(pair.listener, pair.notif.id) == ENOENT
        assert pair.reply(pair.notif) == ENOENT
    pair.supervisor.resume(pair.target).result()
    assert pair.supervisor.wait(pair.target).raw == how.status
    pair.wait_for_hang_up()
    check_not_made(guest)


@pytest.mark.parametrize("place", places({"in-the-stop-of-trace": in_the_event_stop, "at-the-entry": at_the_entry}))
def test_not_killed(guest: Guest, place: Callable[[Guest], TracedPair]) -> None:
    """The control: a call that is resumed from its stop, instead of killed there, runs."""
    pair = place(guest)
    pair.supervisor.resume(pair.target).result()
    assert pair.call.outcome() == OK
    assert guest.exists(MADE)
