# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses to another process that several areas try, and the mark of a capability.  What succeeds is undone."""

from __future__ import annotations

from guests.errors import require
from guests.outcome import Outcome
from guests.protocol import wire
from guests.task import Task
from guests.uapi import PTRACE_EVENT_STOP, Signal

COMMON_DESCRIPTOR = 1001
"""A descriptor that the agent leaves open in every task."""
_PF_SUPERPRIV = 0x100
"""In include/linux/sched.h."""
UNUSED = 0x7000
"""An offset in a task's data that nothing uses."""


def vector(task: Task, caller: Task | None = None) -> bytes:
    """A struct iovec for eight otherwise unused bytes of a task's memory, for a caller other than the task itself."""
    return (caller or task).abi.words(wire.data_address(task.slot, UNUSED), 8)


def read_memory(tracer: Task, target: Task) -> Outcome:
    """process_vm_readv(), which has no side effects: for tests that need a single access."""
    return _process_vm("process_vm_readv", tracer, target)


def write_memory(tracer: Task, target: Task) -> Outcome:
    return _process_vm("process_vm_writev", tracer, target)


def _process_vm(call: str, tracer: Task, target: Task) -> Outcome:
    return tracer.call(call, target.tid, vector(tracer), 1, vector(target, tracer), 1, 0, shown=f"{call}({target})")


def closed(task: Task, opened: Outcome) -> Outcome:
    """What opened a descriptor, or did not, after closing it."""
    if not opened.errno:
        task.close(opened.value).result()
    return opened


def attach(tracer: Task, target: Task) -> Outcome:
    done = tracer.attach(target)
    if not done.errno:
        require(tracer.wait(target).stopped_by == Signal.STOP, f"{done!r}, but {target} did not stop by SIGSTOP")
        tracer.detach(target).result()
    return done


def seize(tracer: Task, target: Task) -> Outcome:
    done = tracer.seize(target)
    if not done.errno:
        tracer.interrupt(target).result()
        require(tracer.wait(target).event == PTRACE_EVENT_STOP, f"{target} did not stop when {tracer} interrupted it")
        tracer.detach(target).result()
    return done


def used_a_capability(task: Task) -> bool:
    """PF_SUPERPRIV, in field 9 of /proc/PID/stat.  A child does not have its parent's."""
    fields = task.guest.read_file(f"/proc/{task.pid}/stat").rpartition(")")[2].split()
    require(len(fields) > 6, f"/proc does not show the flags of {task}")
    return bool(int(fields[6]) & _PF_SUPERPRIV)
