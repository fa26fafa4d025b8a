# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters in a task's memory, for plans that install them."""

from __future__ import annotations

from guests.bpf import Filter, assembled, pack
from guests.call_plan import Plan, StepValue
from guests.syscalls.seccomp import SET_MODE_FILTER, FilterFlag, fprog
from guests.task import Task


def stored(task: Task, filter_: Filter) -> int:
    """The address of a struct sock_fprog that stays, for any process with the task's ABI."""
    program = assembled(filter_, task.abi.name)
    return task.store(fprog(task.abi, len(program), task.store(pack(program, task.abi))))


def install(plan: Plan, program: int, flags: FilterFlag = FilterFlag.NONE) -> StepValue:
    """Add a step that installs a stored filter."""
    return plan.call("seccomp", SET_MODE_FILTER, flags, program)
