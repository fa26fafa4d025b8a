# SPDX-License-Identifier: GPL-2.0-or-later
"""Children and threads that a tracer follows, as `strace -f` does: SECCOMP_RET_TRACE stops their calls too."""

from __future__ import annotations

import pytest

from guests.bpf import policy, trace
from guests.call_plan import Counts, Plan, spare_slot, start
from guests.guest import Guest
from guests.uapi import PTRACE_EVENT_SECCOMP, PTRACE_EVENT_STOP, THREAD_FLAGS, Clone, Ptrace, PtraceOption, Signal
from suites.seccomp.support.traced_pair import TracedPair

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

# fmt: off
CHILDREN = {
    #          the tracer's option         clone()'s flags
    "fork":   (PtraceOption.TRACEFORK,     Clone.NONE),
    "vfork":  (PtraceOption.TRACEVFORK,    Clone.VM | Clone.VFORK),
    "thread": (PtraceOption.TRACECLONE,    THREAD_FLAGS),
}
# fmt: on


def call_of_a_child(guest: Guest, options: PtraceOption, flags: Clone) -> tuple[list[int], Counts]:
    """Let a tracee create a child that calls getppid() and ends, and resume both from each of their stops.

    Returns the events of the child's stops, and how the call ended.
    """
    pair = TracedPair(guest, policy(trace("getppid")), options=options)
    child, creating = Plan(spare_slot(0)), Plan(pair.tracee.slot)
    child.call("getppid")
    child.send(guest, 1)
    creating.child(child, flags)
    # Otherwise the tracee stops once more, when its child ends.
    pair.tracee.block(Signal.CHLD).result()
    running = start(pair.tracee, creating, 1)
    events: list[int] = []
    created = ended = False
    while not (created and ended):
        tid, status = pair.tracer.wait_for_any()
        if status.stopped_by:
            pair.tracer.call("ptrace", Ptrace.CONT, tid, 0, 0, shown=f"resume({tid})").result()
        if tid == pair.tracee.tid:
            created = True
        elif status.stopped_by:
            events.append(status.event)
        else:
            ended = True
    running.counts()
    return events, child.counts(guest)[0]


@pytest.mark.requirement("seccomp.trace-children")
@pytest.mark.parametrize("how", CHILDREN)
def test_children(guest: Guest, how: str) -> None:
    """A child or thread that is traced from its start has its creator's options, PTRACE_O_TRACESECCOMP or not."""
    option, flags = CHILDREN[how]
    followed = call_of_a_child(guest, option | PtraceOption.TRACESECCOMP, flags)
    assert followed == ([PTRACE_EVENT_STOP, PTRACE_EVENT_SECCOMP], {"OK": 1})
    assert call_of_a_child(guest, option, flags) == ([PTRACE_EVENT_STOP], {"ENOSYS": 1})
