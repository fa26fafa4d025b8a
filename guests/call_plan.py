# SPDX-License-Identifier: GPL-2.0-or-later
"""Plans: short sequences of calls that a task repeats many times, without the host in between.

They create load, and make calls in quicker succession than the host can request them:

    plan = Plan(tracee.slot)
    plan.call("prctl", Prctl.SET_PTRACER, tracer.tid)
    plan.call("prctl", Prctl.SET_PTRACER, 0)
    running = start(tracee, plan, rounds=1000)
    ...
    assert running.counts() == [{"OK": 1000}, {"OK": 1000}]
"""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from guests.abi import Abi
from guests.abis import NATIVE, call_number
from guests.call_arguments import Argument, marshal
from guests.protocol import wire
from guests.protocol.channel import CALL_DEADLINE
from guests.protocol.conversation import Conversation
from guests.protocol.wire import Op, State, Step
from guests.task import Task
from guests.uapi import SCHED_FIFO, SCHED_NORMAL, Clone

Counts = dict[str, int]
"""The number of times that a step had each result: `OK`, or the name of an error."""

ANY_MOMENT = 31
"""As the meeting allows."""
_ARGUMENTS = 0x4000
"""The offset of a plan's arguments in a slot's data, after those of single calls."""
_ARGUMENTS_EACH = 0x200
"""Size in bytes of the space for one step's arguments."""


@dataclass(frozen=True)
class StepValue:
    """Stands for the last result of an earlier step of the plan of a slot."""

    step: int
    slot: int


class Plan:
    """A sequence of steps for the task of a slot.  Methods that add a step return a placeholder for its value."""

    def __init__(self, slot: int, arch: str = "") -> None:
        """`slot` is a task's, or an unused one for a child (see `child`).

        `arch`: the ABI whose numbers its calls have, if it is not the guest's own.
        """
        self.slot = slot
        self._arch = arch
        self._steps: list[tuple[Step, int | str, list[int], int, int]] = []
        self._writes: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def call(self, name: str, *arguments: Argument | StepValue) -> StepValue:
        """Add a system call; at most one of its arguments may be an earlier step's value."""
        later = [(place, value) for place, value in enumerate(arguments) if isinstance(value, StepValue)]
        place, result_of = (later[0][0], later[0][1].step + 1) if later else (0, 0)
        start = _ARGUMENTS + len(self) * _ARGUMENTS_EACH
        laid = marshal(self.slot, [0 if isinstance(value, StepValue) else value for value in arguments], start=start)
        self._writes += laid.writes
        return self._add(Step.CALL, name, laid.numbers, result_of, place)

    def child(self, plan: Plan, flags: Clone = Clone.NONE) -> StepValue:
        """Start a process (or, with suitable `flags`, a thread) that executes a plan of its own and ends."""
        return self._add(Step.CHILD, plan.slot, [flags])

    def join(self, plan: Plan) -> StepValue:
        """Wait until the thread of that plan has ended."""
        return self._add(Step.JOIN, plan.slot, [])

    def wait(self, kind: Step, place: int, gate: int, parties: int, longest: int = ANY_MOMENT) -> None:
        """Wait for other plans at a gate of the meeting in a slot (see `guests.meeting`).

        longest: whatever the meeting allows, the moment that this plan waits after `Step.GO` is shorter than 2 to the
        power of this, in turns of an empty loop.
        """
        self._add(kind, place, [parties, gate, longest])

    def take(self, value: StepValue) -> StepValue:
        """The latest value of a step of another plan, as this plan's: only a meeting makes it certain which one."""
        return self._add(Step.TAKE, value.slot, [value.step])

    def sleep(self, abi: Abi, nanoseconds: int) -> None:
        """Sleep for less than a second; `abi` is that of the task."""
        self.call("clock_nanosleep", time.CLOCK_MONOTONIC, 0, abi.pack("qq", 0, nanoseconds), None)

    def copy(self, to: int, source: int, length: int) -> None:
        """Copy memory without a system call.  Both places are of what `Task.store` returned."""
        self._add(Step.COPY, 0, [to, source, length])

    def _add(self, kind: Step, nr: int | str, arguments: list[int], result_of: int = 0, place: int = 0) -> StepValue:
        self._steps.append((kind, nr, arguments, result_of, place))
        return StepValue(len(self) - 1, self.slot)

    def orders(self, rounds: int, arch: str) -> list[tuple[Op, bytes]]:
        """The requests that put the plan into its slot; `arch` is the guest's."""
        if len(self) > wire.PLAN_STEPS:
            raise ValueError(f"a plan has at most {wire.PLAN_STEPS} steps, but this one has {len(self)}")
        pokes = [(Op.POKE, wire.PIECE.pack(offset, len(content)) + content) for offset, content in self._writes]
        steps = b""
        for kind, nr, arguments, result_of, place in self._steps:
            name = self._arch or arch
            value = call_number(nr, name) if isinstance(nr, str) else nr
            if nr == "ioctl" and name in NATIVE:
                arguments = [arguments[0], NATIVE[name].ioctl(arguments[1]), *arguments[2:]]
            steps += wire.PLAN_STEP.pack(value, *wire.six(arguments), kind, result_of, place)
        return [*pokes, (Op.PLAN, wire.PLAN.pack(rounds, len(self)) + steps)]

    def send(self, conversation: Conversation, rounds: int) -> None:
        """Send the plan to its slot."""
        for op, body in self.orders(rounds, conversation.arch):
            _check_accepted(conversation, conversation.request(op, self.slot, body, _what(self)), _what(self))

    def counts(self, conversation: Conversation) -> list[Counts]:
        """The results of its steps so far; for a child's plan, those of all the children that have executed it."""
        what = f"the counts of slot {self.slot}"
        return _named(conversation, conversation.request(Op.COUNTS, self.slot, b"", what), len(self), what)


class Running:
    """A plan that a task is executing."""

    def __init__(self, task: Task, plan: Plan, rounds: int) -> None:
        self._task = task
        self._steps = len(plan)
        self._what = f"{task}.run_plan({len(plan)} steps, {rounds} rounds)"
        self._sequence = task.guest.send(Op.RUN_PLAN, task.slot, b"", self._what)

    def counts(self, deadline_s: float = CALL_DEADLINE) -> list[Counts]:
        """Wait for the end of the plan, and return the results of each step."""
        body = self._task.guest.collect(self._sequence, self._what, deadline_s)
        found = _named(self._task.guest, body, self._steps, self._what)
        self._task.guest.transcript.append(f"          {self._what} -> {found}")
        return found


def spare_slot(number: int) -> int:
    """A slot for a child's plan, counted from the last one: `spawn` uses slots from the beginning."""
    return wire.SLOT_COUNT - 1 - number


def start(task: Task, plan: Plan, rounds: int) -> Running:
    """Have a task execute a plan `rounds` times."""
    plan.send(task.guest, rounds)
    return Running(task, plan, rounds)


def run(task: Task, plan: Plan, rounds: int = 1) -> list[Counts]:
    """Have a task execute a plan, and wait for its end."""
    return start(task, plan, rounds).counts()


def share_a_processor(*tasks: Task) -> None:
    """Let these tasks run on the first processor alone, so that priorities decide which of them runs."""
    for task in tasks:
        task.guest.init.call("sched_setaffinity", task.tid, 8, task.guest.init.abi.words(1)).result()


def give_realtime_priority(task: Task, priority: int) -> None:
    """Have init give a task a real-time priority, which the task itself may not do.

    No task with a lower priority that shares its processor (`share_a_processor`) runs until this one waits.
    """
    _set_scheduler(task, SCHED_FIFO, priority)


def return_to_normal_priority(task: Task) -> None:
    """Take a real-time priority away again."""
    _set_scheduler(task, SCHED_NORMAL, 0)


def _set_scheduler(task: Task, policy: int, priority: int) -> None:
    init = task.guest.init
    init.call("sched_setscheduler", task.tid, policy, init.abi.pack("I", priority)).result()


def start_realtime(task: Task, plan: Plan, rounds: int = 1, priority: int = 10) -> Running:
    """Start a plan in a task after init has given it a real-time priority."""
    plan.send(task.guest, rounds)
    give_realtime_priority(task, priority)
    return Running(task, plan, rounds)


def run_together(plans: Sequence[tuple[Task, Plan]]) -> list[list[Counts]]:
    """Have several tasks execute a plan each, once, in one round trip.  The transcript does not mention it."""
    sent = []
    for task, plan in plans:
        orders = [task.guest.send(op, plan.slot, body, _what(plan)) for op, body in plan.orders(1, task.guest.arch)]
        sent.append((task, plan, orders, task.guest.send(Op.RUN_PLAN, plan.slot, b"", _what(plan))))
    found = []
    for task, plan, orders, running in sent:
        for order in orders:
            _check_accepted(task.guest, task.guest.collect(order, _what(plan)), _what(plan))
        found.append(_named(task.guest, task.guest.collect(running, _what(plan)), len(plan), _what(plan)))
    return found


def total(counts: list[Counts]) -> Counts:
    """The sum over all steps."""
    return dict(sum((Counter(step) for step in counts), Counter()))


def _what(plan: Plan) -> str:
    return f"a plan for slot {plan.slot}"


def _check_accepted(conversation: Conversation, answer: bytes, what: str) -> None:
    state, value, _ = conversation.decoded(wire.split_result, answer, what)
    conversation.check_accepted(state, value, what)


def _named(conversation: Conversation, body: bytes, steps: int, what: str) -> list[Counts]:
    """The counts by the names of errors; empty ones if the plan has killed the task."""
    state, value, tail = conversation.decoded(wire.split_result, body, what)
    conversation.check_accepted(state, value, what)
    if state is not State.RETURNED:
        return [{} for _ in range(steps)]
    counts = conversation.decoded(lambda tail: wire.split_counts(tail, steps), tail, what)
    names = {0: "OK", **errno.errorcode}
    return [{names.get(error, str(error)): n for error, n in step.items()} for step in counts]
