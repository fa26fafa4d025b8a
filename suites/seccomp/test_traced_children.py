# SPDX-License-Identifier: GPL-2.0-or-later
"""Children and threads that a tracer follows, as `strace -f` does: SECCOMP_RET_TRACE stops their calls too."""

from __future__ import annotations

import pytest

from guests.bpf import policy, trace
from guests.call_plan import Counts, Plan, spare_slot, start
from guests.guest import Guest
from guests.outcome import exited
from guests.syscalls.seccomp import Poll
from guests.uapi import (
    AT_FDCWD,
    PTRACE_EVENT_SECCOMP,
    PTRACE_EVENT_STOP,
    THREAD_FLAGS,
    Cap,
    Clone,
    Ptrace,
    PtraceOption,
    Signal,
)
from suites.seccomp.support.checkpoint_tracers import restore
from suites.seccomp.support.filtered_tasks import MADE
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


def call_of_a_child(
    guest: Guest, options: PtraceOption, flags: Clone, caps: Cap = Cap.NONE
) -> tuple[list[int], Counts]:
    """Let a tracee create a child that calls getppid() and ends, and resume both from each of their stops.

    Returns the events of the child's stops, and how the call ended.
    """
    pair = TracedPair(guest, policy(trace("getppid")), options=options, caps=caps)
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


@restore
@pytest.mark.requirement("seccomp.suspend-children")
@pytest.mark.parametrize("how", CHILDREN)
def test_suspended_children(guest: Guest, how: str) -> None:
    """A child or thread that is traced from its start runs without filters if its creator's are suspended."""
    option, flags = CHILDREN[how]
    suspended = call_of_a_child(guest, option | PtraceOption.SUSPEND_SECCOMP, flags, Cap.SYS_ADMIN)
    assert suspended == ([PTRACE_EVENT_STOP], {"OK": 1})
    filtered = call_of_a_child(guest, option, flags, Cap.SYS_ADMIN)
    assert filtered == ([PTRACE_EVENT_STOP], {"ENOSYS": 1})


@pytest.mark.requirement("seccomp.trace-exitkill")
@pytest.mark.parametrize("how", ["fork", "vfork"])
@pytest.mark.parametrize("exitkill", [True, False], ids=["exitkill", "without"])
def test_the_tracers_death(guest: Guest, how: str, exitkill: bool) -> None:
    """With PTRACE_O_EXITKILL, the tracer's death kills a followed child too, before its stopped call runs."""
    option, flags = CHILDREN[how]
    options = option | PtraceOption.TRACESECCOMP | (PtraceOption.EXITKILL if exitkill else PtraceOption.NONE)
    pair = TracedPair(guest, policy(trace("mkdirat")), options=options)
    child, creating = Plan(spare_slot(0)), Plan(pair.tracee.slot)
    child.call("mkdirat", AT_FDCWD, MADE, 0o755)
    child.send(guest, 1)
    creating.child(child, flags)
    start(pair.tracee, creating, 1)
    tid, status = pair.tracer.wait_for_any()
    while status.event != PTRACE_EVENT_SECCOMP:
        pair.tracer.call("ptrace", Ptrace.CONT, tid, 0, 0, shown=f"resume({tid})").result()
        tid, status = pair.tracer.wait_for_any()
    watcher = guest.root("watcher")
    pidfd = watcher.call("pidfd_open", tid, 0).result()
    pair.tracer.exit().require(exited(0))
    guest.wait_until(lambda: watcher.poll(pidfd) & Poll.IN == Poll.IN, "the child to end")
    assert child.counts(guest) == [{} if exitkill else {"OK": 1}]
    assert guest.exists(MADE) == (not exitkill)
