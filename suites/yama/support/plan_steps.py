# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of plans in which tasks declare and revoke exceptions, and make use of them."""

from __future__ import annotations

from guests.call_plan import Plan, StepValue
from guests.task import Task
from guests.uapi import Prctl
from suites.process_accesses import vector


def declare(plan: Plan, tracer: Task | StepValue | int) -> StepValue:
    """Name the tracer, by its number if it is not a task's."""
    who = tracer.tid if isinstance(tracer, Task) else tracer
    return plan.call("prctl", Prctl.SET_PTRACER, who, 0, 0, 0)


def revoke(plan: Plan) -> StepValue:
    return declare(plan, 0)


def read_by(plan: Plan, tracer: Task, target: Task | StepValue) -> StepValue:
    """The tracer reads memory of the target that is at the same address in every task."""
    who = target.tid if isinstance(target, Task) else target
    return plan.call("process_vm_readv", who, vector(tracer), 1, vector(tracer), 1, 0)


def wake(plan: Plan, pipe: tuple[int, int]) -> StepValue:
    """Wake whoever waits for the pipe."""
    return plan.call("write", pipe[1], b"x", 1)


def wait_for(plan: Plan, pipe: tuple[int, int]) -> StepValue:
    return plan.call("read", pipe[0], bytes(1), 1)
