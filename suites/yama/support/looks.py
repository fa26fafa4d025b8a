# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses that leave no trace, many of them in one round trip: each as a step of a plan, and as a line of a test."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guests.call_plan import Counts, Plan, run_together
from guests.outcome import Outcome
from guests.protocol import wire
from guests.protocol.wire import State
from guests.syscalls.process_access import event_attributes
from guests.task import Task
from guests.uapi import AT_FDCWD, KCMP_VM, O_RDONLY, O_WRONLY
from suites.process_accesses import COMMON_DESCRIPTOR, vector
from suites.walks.walk import Prediction
from suites.yama.support.access_model import AccessModel


class Addresses:
    """Memory of tasks with what the calls of all of them point to: every task has all slots at the same addresses."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bytes], int] = {}

    def of(self, task: Task, content: bytes) -> int:
        key = (task.slot, content)
        if key not in self._known:
            self._known[key] = task.store(content)
        return self._known[key]

    def path(self, target: Task, file: str) -> int:
        return self.of(target, f"/proc/{target.tid}/{file}".encode() + b"\0")


Step = Callable[[Plan, Addresses, Task, Task], object]


@dataclass(frozen=True)
class Look:
    """A way to look: `steps` adds it to a plan, its first step or (`judged`) a later one being the access itself."""

    call: str
    """The same as one call of a test, of the tasks `{0}` and `{1}`."""
    steps: Step
    predict: Callable[[AccessModel], Prediction | None]
    """None: the model does not know."""
    size: int
    judged: int = 0
    by_number: bool = True
    """Whether it names the target by a number of the caller's pid namespace."""


def _process_vm(call: str) -> Step:
    def add(plan: Plan, at: Addresses, tracer: Task, target: Task) -> None:
        plan.call(call, target.tid, at.of(tracer, vector(tracer)), 1, at.of(target, vector(target)), 1, 0)

    return add


def _open(file: str, flags: int) -> Step:
    def add(plan: Plan, at: Addresses, _: Task, target: Task) -> None:
        plan.call("close", plan.call("openat", AT_FDCWD, at.path(target, file), flags, 0))

    return add


def _syscall(plan: Plan, at: Addresses, tracer: Task, target: Task) -> None:
    opened = plan.call("openat", AT_FDCWD, at.path(target, "syscall"), O_RDONLY, 0)
    plan.call("read", opened, at.of(tracer, bytes(256)), 256)
    plan.call("close", opened)


def _descriptor(plan: Plan, _: Addresses, __: Task, target: Task) -> None:
    pidfd = plan.call("pidfd_open", target.pid, 0)
    plan.call("close", plan.call("pidfd_getfd", pidfd, COMMON_DESCRIPTOR, 0))
    plan.call("close", pidfd)


def _compare(plan: Plan, _: Addresses, tracer: Task, target: Task) -> None:
    plan.call("kcmp", tracer.tid, target.tid, KCMP_VM, 0, 0)


def _events(plan: Plan, at: Addresses, tracer: Task, target: Task) -> None:
    plan.call(
        "close",
        plan.call(
            "perf_event_open", at.of(tracer, event_attributes(tracer.abi, sigtrap=True)), target.tid, -1, -1, 0
        ),
    )


READ_MEMORY = Look("read_memory({0}, {1})", _process_vm("process_vm_readv"), lambda model: model.memory_call(), 1)
OPEN_MEMORY = Look(
    '{0}.open_proc({1}, "mem")',
    _open("mem", O_RDONLY),
    lambda model: model.open_memory(writing=False),
    2,
    by_number=False,
)
LOOKS = (
    READ_MEMORY,
    OPEN_MEMORY,
    Look("write_memory({0}, {1})", _process_vm("process_vm_writev"), lambda model: model.memory_call(), 1),
    Look(
        '{0}.open_proc({1}, "mem", O_WRONLY)',
        _open("mem", O_WRONLY),
        lambda model: model.open_memory(writing=True),
        2,
        by_number=False,
    ),
    Look("{0}.kcmp({0}, {1}, KCMP_VM)", _compare, lambda model: model.compare_memory(), 1),
    Look('{0}.open_proc({1}, "maps")', _open("maps", O_RDONLY), lambda model: model.open_maps(), 2, by_number=False),
    Look('{0}.open_proc({1}, "syscall")', _syscall, lambda model: model.open_syscall(), 3, by_number=False),
    Look(
        '{0}.read({0}.open_proc({1}, "syscall").value)',
        _syscall,
        lambda model: model.read_syscall(),
        3,
        judged=1,
        by_number=False,
    ),
    Look(
        f"{{0}}.pidfd_getfd({{1}}, {COMMON_DESCRIPTOR})", _descriptor, lambda model: model.descriptor(), 4, judged=1
    ),
    Look("{0}.count_events({1}, sigtrap=True)", _events, lambda model: model.events(), 2),
)
"""All of them; kinds that a kernel does not have are left out by their names in `accesses.NEEDS`."""


@dataclass(frozen=True)
class Glance:
    """One look of one task at another."""

    look: Look
    tracer: Task
    target: Task


def glance(glances: Sequence[Glance], at: Addresses) -> list[Outcome]:
    """The outcomes of all of them, in one round trip; their values are not known, only whether they succeeded."""
    plans: list[tuple[Task, Plan]] = []
    places: list[tuple[int, int]] = []
    open_plans: dict[int, int] = {}
    for each in glances:
        slot = each.tracer.slot
        if slot not in open_plans:
            open_plans[slot] = len(plans)
            plans.append((each.tracer, Plan(slot)))
        plan = plans[open_plans[slot]][1]
        places.append((open_plans[slot], len(plan) + each.look.judged))
        each.look.steps(plan, at, each.tracer, each.target)
    found = run_together(plans)
    return [_outcome(each, found[plan][step]) for each, (plan, step) in zip(glances, places, strict=True)]


def fits(glances: Sequence[Glance]) -> bool:
    """Whether each task's part of them fits into one plan."""
    slots = {each.tracer.slot for each in glances}
    sizes = [sum(each.look.size for each in glances if each.tracer.slot == slot) for slot in slots]
    return all(size <= wire.PLAN_STEPS for size in sizes)


def _outcome(each: Glance, counts: Counts) -> Outcome:
    what = each.look.call.format(each.tracer, each.target)
    (name,) = counts
    number = 0 if name == "OK" else getattr(errno, name) if name.startswith("E") else int(name)
    return Outcome(State.RETURNED, -number, what)
