# SPDX-License-Identifier: GPL-2.0-or-later
"""Children of a traced process, which stop before they can take orders: they execute a program by a plan."""

from __future__ import annotations

from guests.call_arguments import Out
from guests.call_plan import Counts, Plan, spare_slot, start
from guests.errors import require
from guests.task import Task
from guests.uapi import WALL, Clone, Ptrace, Signal
from suites.ptrace.support.programs import stored_arguments


def changed_root_after_exec(
    tracer: Task, parent: Task, path: str, flags: Clone, reports: int, *, generations: int = 1
) -> Counts:
    """Let `parent` start a child that executes a program and then calls chroot(), which needs a capability.

    Of several generations, the last one does that, and each of the others starts the next one and waits for it.

    The tracer resumes parent and child from their stops.  It gets as many reports as there are to be, the child's end
    among them.  A thread's execve() kills its creator, whose stop may then not be reported, or end before it is
    resumed.  Returns how chroot() ended.
    """
    child = Plan(spare_slot(0))
    arguments, environment = stored_arguments(parent, path, child.slot)
    child.call("execve", path, arguments, environment)
    child.call("chroot", "/")
    child.send(parent.guest, 1)
    first = child
    for generation in range(1, generations):
        above = Plan(spare_slot(generation))
        above.call("wait4", above.child(first), 0, WALL, 0)
        above.send(parent.guest, 1)
        first = above
    starting = Plan(parent.slot)
    starting.child(first, flags)
    # Otherwise the parent stops once more, when the child ends.
    parent.block(Signal.CHLD).result()
    running = start(parent, starting, 1)
    for _ in range(reports):
        pid, status = tracer.wait_for_any()
        if status.stopped_by:
            resumed = tracer.call("ptrace", Ptrace.CONT, pid, 0, 0, shown=f"resume({pid})")
            if not (pid == parent.pid and Clone.THREAD in flags):
                resumed.result()
        else:
            require(status.exit_code == 0, f"{pid} ended with status {status.raw:#x}")
            if Clone.THREAD in flags:
                break
    running.counts()
    if Clone.THREAD in flags:
        # By execve() the thread has become the process, and that has ended.
        parent.wait_death()
    else:
        parent.call("wait4", -1, Out(4), WALL, None, shown="reap(any)").result()
    executed, changed = child.counts(parent.guest)
    require(executed == {"OK": 1}, f"execve() of the child: {executed}")
    return changed
