# SPDX-License-Identifier: GPL-2.0-or-later
"""Children of a traced process: their first stop, and what the tracer learns of them."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.call_plan import Plan, spare_slot, start
from guests.guest import Guest
from guests.outcome import OK, returned
from guests.uapi import (
    PTRACE_EVENT_FORK,
    PTRACE_EVENT_STOP,
    PTRACE_EVENT_VFORK_DONE,
    WALL,
    Clone,
    Ptrace,
    PtraceOption,
    Signal,
)


@pytest.mark.requirement("ptrace.first-stop-of-children")
@pytest.mark.parametrize(
    ("how", "stop"),
    [("attach", (Signal.STOP, 0)), ("seize", (Signal.TRAP, PTRACE_EVENT_STOP))],
    ids=["attach", "seize"],
)
def test_first_stop(guest: Guest, how: str, stop: tuple[Signal, int]) -> None:
    """A child that is traced from its start stops before it does anything, and once only."""
    tracer, parent = guest.spawn("tracer"), guest.spawn("parent")
    if how == "attach":
        assert tracer.attach_and_wait(parent) == OK
    else:
        tracer.seize_and_stop(parent)
    assert tracer.set_options(parent, PtraceOption.TRACEFORK) == OK
    tracer.resume(parent).result()
    child, starting = Plan(spare_slot(0)), Plan(parent.slot)
    child.call("getpid")
    child.send(guest, 1)
    starting.child(child)
    # Otherwise the parent stops once more, when the child ends.
    parent.block(Signal.CHLD).result()
    running = start(parent, starting, 1)
    stops: list[tuple[int, int]] = []
    has_forked, has_ended = False, False
    # Either may come first.  A child that does not stop ends all the same.
    while not (has_forked and has_ended):
        pid, status = tracer.wait_for_any()
        if pid == parent.tid:
            assert status.event == PTRACE_EVENT_FORK
            has_forked = True
        elif status.stopped_by:
            stops.append((status.stopped_by, status.event))
        else:
            has_ended = True
        if status.stopped_by:
            tracer.call("ptrace", Ptrace.CONT, pid, 0, 0, shown=f"resume({pid})").result()
    assert running.counts() == [{"OK": 1}]
    assert stops == [stop]


@pytest.mark.requirement("ptrace.vfork-done")
@pytest.mark.parametrize("options", [PtraceOption.TRACEVFORKDONE, PtraceOption.NONE], ids=["with-option", "without"])
def test_end_of_vfork(guest: Guest, options: PtraceOption) -> None:
    """A tracer with the option for it learns that its tracee goes on after vfork(), and which child has ended it."""
    tracer, parent = guest.spawn("tracer"), guest.spawn("parent")
    child, starting = Plan(spare_slot(0)), Plan(parent.slot)
    child.call("getpid")
    child.send(guest, 1)
    starting.child(child, Clone.VM | Clone.VFORK)
    # So that there is a stop in any case.
    starting.call("kill", parent.pid, Signal.USR1)
    parent.block(Signal.CHLD).result()
    tracer.seize(parent, options).result()
    running = start(parent, starting, 1)
    status, message = tracer.wait(parent), 0
    if options:
        assert (status.stopped_by, status.event) == (Signal.TRAP, PTRACE_EVENT_VFORK_DONE)
        message = tracer.event_message(parent)
        tracer.resume(parent).result()
        status = tracer.wait(parent)
    assert (status.stopped_by, status.event) == (Signal.USR1, 0)
    tracer.resume(parent).result()
    running.counts()
    reaped = parent.call("wait4", -1, Out(4), WALL, None, shown="reap(any)")
    assert reaped == (returned(message) if options else OK)
