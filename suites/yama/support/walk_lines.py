# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of walks that are longer than one call.  They prepare, and must succeed."""

from __future__ import annotations

from guests.errors import require
from guests.outcome import GONE
from guests.task import Task
from guests.uapi import WALL


def end_thread(task: Task, tracer: Task | None = None) -> None:
    """A thread ends, and is no longer found by its number; its tracer, if it has one, must see its end first."""
    dying = task.begin("exit", 0)
    if tracer is not None:
        tracer.reap(task).result()
    dying.outcome().require(GONE)
    # Its tid is cleared before the kernel has given away its children and forgotten its number (do_exit()).
    directory = f"/proc/{task.pid}/task/{task.tid}"
    task.guest.wait_until(lambda: not task.guest.exists(directory), f"{directory} to go")


def reap(parent: Task, child: Task, *, inside: bool = False) -> None:
    """wait4() for a child that has ended.  `inside`: both are in the same pid namespace, which is not the first."""
    number = child.own_tid if inside else child.tid
    done = parent.call("wait4", number, None, WALL, None, shown=f"reap({child})").result()
    require(done == number, f"{parent} reaped {done} instead of {child}")
