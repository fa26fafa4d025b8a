# SPDX-License-Identifier: GPL-2.0-or-later
"""The beginning of a trace whose process is stopped, and the end of one whose process has ended."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import ECHILD, OK, exited, returned
from guests.uapi import PTRACE_EVENT_STOP, WALL, WNOHANG, Signal

WUNTRACED, WCONTINUED = 2, 8
HAS_CONTINUED = 0xFFFF
"""The status that wait4() reports then (wait(2), WIFCONTINUED)."""


@pytest.mark.requirement("ptrace.attach-to-the-stopped")
@pytest.mark.parametrize(("how", "event"), [("attach", 0), ("seize", PTRACE_EVENT_STOP)], ids=["attach", "seize"])
def test_attach_to_the_stopped(guest: Guest, how: str, event: int) -> None:
    """A process that SIGSTOP has stopped is in a stop of its tracer as soon as that has attached."""
    tracer, target = guest.spawn("tracer"), guest.spawn("target")
    tracer.kill(target, Signal.STOP).result()
    target.wait_state("T")
    assert (tracer.seize(target) if how == "seize" else tracer.attach(target)) == OK
    assert target.state() == "t"
    status = tracer.wait(target)
    assert (status.stopped_by, status.event) == (Signal.STOP, event)
    assert tracer.detach(target) == OK
    tracer.kill(target, Signal.CONT).result()
    assert target.call("getppid") == OK


@pytest.mark.requirement("ptrace.stop-after-a-trace")
@pytest.mark.parametrize("how", ["detaches", "ends"])
def test_tracer_of_the_stopped(guest: Guest, how: str) -> None:
    """A process that SIGSTOP has stopped stays so when its tracer detaches or ends, until it gets SIGCONT."""
    tracer, stopped, other = guest.spawn("tracer"), guest.spawn("stopped"), guest.spawn("other")
    tracer.kill(stopped, Signal.STOP).result()
    stopped.wait_state("T")
    tracer.seize(stopped).result()
    tracer.wait(stopped)
    tracer.seize_and_stop(other)
    if how == "detaches":
        for tracee in (stopped, other):
            tracer.detach(tracee).result()
    else:
        tracer.exit(0).require(exited(0))
    assert other.call("getppid") == OK
    stopped.wait_state("T", "S")
    assert stopped.state() == "T"
    assert guest.root().kill(stopped, Signal.CONT) == OK
    assert stopped.call("getppid") == OK


@pytest.mark.requirement("ptrace.end-of-a-tracer")
@pytest.mark.parametrize("how", ["tracer-ends", "tracer-waits"])
@pytest.mark.parametrize("ignores", [False, True], ids=["parent-waits", "parent-ignores-its-children"])
def test_end_of_a_tracer(guest: Guest, ignores: bool, how: str) -> None:
    """When a stranger ends, or has waited, whose tracee has ended, the tracee's parent, which waits for it, is told.

    parent ── target
    tracer
    """
    parent, tracer = guest.spawn("parent"), guest.spawn("tracer")
    target = parent.spawn("target")
    (parent.ignore(Signal.CHLD) if ignores else parent.catch(Signal.CHLD, restart=True)).result()
    tracer.seize(target).result()
    target.exit(7).require(exited(7))
    waiting = parent.begin("wait4", target.tid, Out(4), WALL, None, shown=f"reap({target})")
    assert waiting.blocks(), waiting
    assert parent.caught_signals() == []
    if how == "tracer-ends":
        tracer.exit(0).require(exited(0))
    else:
        assert tracer.reap(target) == returned(target.tid)
    assert waiting.outcome() == (ECHILD if ignores else returned(target.tid))
    assert [caught.signal for caught in parent.caught_signals()] == ([] if ignores else [Signal.CHLD])


@pytest.mark.requirement("ptrace.stop-of-a-traced-leader")
@pytest.mark.parametrize("traced", [False, True], ids=["untraced", "traced"])
def test_stop_of_a_process_without_its_leader(guest: Guest, traced: bool) -> None:
    """A parent learns that its child stops and continues, also if a stranger traces its ended first thread.

    parent ── leader, thread
    tracer
    """
    parent, tracer = guest.spawn("parent"), guest.spawn("tracer")
    leader = parent.spawn("leader")
    thread = leader.thread("thread")
    if traced:
        tracer.seize(leader).result()
    leader.exit_thread()
    leader.wait_death()
    for signal, state, option, status in (
        (Signal.STOP, "T", WUNTRACED, Signal.STOP << 8 | 0x7F),
        (Signal.CONT, "S", WCONTINUED, HAS_CONTINUED),
    ):
        parent.kill(leader, signal).result()
        thread.wait_state(state)
        waited = parent.call("wait4", leader.tid, Out(4), option | WNOHANG, None)
        assert waited == returned(leader.tid)
        assert parent.abi.integer(waited.read()) == status
