# SPDX-License-Identifier: GPL-2.0-or-later
"""Races: what several tasks do at the same time, round after round, and every outcome that is allowed.

    declaring, reading = race.plan(target), race.plan(tracer)
    race.go(declaring, reading)
    race.watch("declare", declaring.call("prctl", Prctl.SET_PTRACER, tracer.tid, 0, 0, 0))
    race.watch("read", reading.call("process_vm_readv", ...))
    race.tally(declaring, reading)
    race.check(("OK", {"OK", "EPERM"}))

Each round begins where the one before has ended, in the guest and without the host.  An outcome has a result for each
`watch`, in their order.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field

from guests.call_plan import Plan, StepValue, share_a_processor, spare_slot, start, start_realtime
from guests.errors import require
from guests.meeting import LONGEST, Meeting, Result, RoundOutcome, Tally
from guests.protocol.meeting_layout import Watched
from guests.session import Session
from guests.task import Task
from guests.uapi import Signal

ROUNDS = 25
"""Of a test that is not told otherwise, in a guest with several processors."""
ROUNDS_ON_ONE_PROCESSOR = 8
"""Without a second processor, hardly anything happens at the same time."""
ROUNDS_OF_A_BATCH = 100
"""Where the time is limited, and not the number of rounds."""
ROUNDS_WITH_PREEMPTION = 8
"""Of a batch in which a task is preempted: these rounds take long, and on a busy host much longer."""
BATCH_DEADLINE_S = 120.0
FREE_FOR_NS = 50_000
"""How long a task that is preempted again and again runs in between."""
PREEMPTIONS = 0x7FFFFFFF
"""More than there is time for."""
LONGEST_BESIDE_PREEMPTION = 22
"""For moments of up to some 10 ms: that is how long a task is stopped that is preempted."""
RANDOM_BYTES = 0x4000
"""What a preempting task has the kernel compute: it takes about as long as execve()."""
GRND_INSECURE = 4
"""For getrandom(): do not wait until they are good ones."""

AllowedOutcome = tuple[Result | Set[Result], ...]
"""An outcome, or several that differ in the results that are sets."""


@dataclass(frozen=True)
class RaceBudget:
    """How long the races of a test take."""

    rounds: int
    """Rounds of a batch, of which there is at least one."""
    seed: int
    seconds: float = 0.0
    """Begin no batch after this time."""
    longest: int = LONGEST
    """Moments are shorter than 2 to the power of this."""
    processors: int = 1
    """The guest's."""


@dataclass
class RaceRecord:
    """The outcomes of a test's races."""

    rounds: int = 0
    overlaps: int = 0
    outcomes: Counter[RoundOutcome] = field(default_factory=Counter)
    allowed: int = 0
    """How many outcomes the specification allows."""

    @classmethod
    def of(cls, tally: Tally) -> RaceRecord:
        counts = Counter({outcome: count for outcome, (count, _) in tally.outcomes.items()})
        return cls(tally.rounds, tally.overlaps, counts)

    def add(self, other: RaceRecord) -> None:
        self.rounds += other.rounds
        self.overlaps += other.overlaps
        self.outcomes.update(other.outcomes)
        self.allowed = max(self.allowed, other.allowed)

    def __str__(self) -> str:
        rounds = f"{_counted(self.rounds, 'round')}, {self.overlaps} of them with an overlap"
        return f"{rounds}, {len(self.outcomes)} of {_counted(self.allowed, 'outcome')}"


class Race(Meeting):
    """The plans of a race in one guest."""

    def __init__(
        self,
        guest: Session,
        budget: RaceBudget,
        *,
        starts: Callable[[], None] = lambda: None,
        finished: Callable[[RaceRecord], None] = lambda _: None,
    ) -> None:
        """`starts` is called before each batch, `finished` at the end, however that comes about."""
        super().__init__(spare_slot(0))
        self._guest = guest
        self._budget = budget
        self._starts, self._finished = starts, finished
        self._plans: list[tuple[Task, Plan]] = []
        self._children: list[tuple[Plan, int]] = []
        self._preempted: list[Task] = []

    def plan(self, task: Task) -> Plan:
        """What a task does in each round."""
        plan = Plan(task.slot)
        self._plans.append((task, plan))
        return plan

    def child(self, times: int = 1) -> Plan:
        """What a child or thread does, once or several times, that another plan starts with `Plan.child`."""
        plan = Plan(spare_slot(1 + len(self._children)))
        self._children.append((plan, times))
        return plan

    def preempt(self, task: Task, *plans: Plan) -> None:
        """Stop a task again and again for some milliseconds, wherever it is, so that others overtake it in its act.

        Another task with a real-time priority sleeps and computes in turns on the same processor, where the children
        of this one are, too (see `move_away`).  In a guest with one processor there is none, for it would stop all.

        `plans` are those that are preempted.  Their moments from the next `go` on are short: each takes many times as
        long.
        """
        for plan in plans:
            self.limit(plan, LONGEST)
        if self._budget.processors > 1:
            self._preempted.append(task)

    def move_away(self, plan: Plan) -> None:
        """Let the child or thread with this plan use all processors, unlike its creator, who is preempted."""
        plan.call("sched_setaffinity", 0, 8, b"\xff" * 8)

    def switch(
        self,
        changing: Plan,
        looking: Plan,
        on: Callable[[], StepValue],
        off: Callable[[], StepValue],
        look: Callable[[], StepValue],
        kind: Watched = Watched.ERROR,
    ) -> None:
        """Let one plan change something and change it back, and another one look during each change and after it.

        The functions add a step each.  The results are those of the first change, the look during it and the look
        after it, and then those of the second change; `kind` says what is watched of a look.
        """
        for name, change in (("on", on), ("off", off)):
            self.go(changing, looking)
            self.watch(f"turn {name}", change())
            self.watch("look meanwhile", look(), kind)
            self.meet(changing, looking)
            self.watch("look afterwards", look(), kind)
        self.tally(changing, looking)

    def check(self, *allowed: AllowedOutcome, rounds: int = 0, most: int = 0) -> RaceRecord:
        """Run the plans, and check that each round has one of these outcomes.  Returns how often each came.

        rounds: how many there can be at most, in one batch.  most: begin no batch after so many rounds, of which each
        fills the guest's log, for instance.
        """
        for child, times in self._children:
            child.send(self._guest, times)
        require(all(len(row) == len(self.names) for row in allowed), "a row has not a result for each name")
        outcomes = {outcome for row in allowed for outcome in _outcomes(row)}
        record = RaceRecord(allowed=len(outcomes))
        end = time.monotonic() + self._budget.seconds
        seeds = random.Random(self._budget.seed)  # noqa: S311 - no secret
        most_of_a_batch = min(self._budget.rounds, ROUNDS_WITH_PREEMPTION if self._preempted else ROUNDS_OF_A_BATCH)
        preempting = [self._start_to_preempt(task) for task in self._preempted]
        try:
            while True:
                self._starts()
                seed = seeds.getrandbits(64)
                tally = self._run(seed, min(rounds or most_of_a_batch, most_of_a_batch))
                record.add(RaceRecord.of(tally))
                self._compare(tally, outcomes, seed)
                if rounds or (most and record.rounds >= most) or time.monotonic() >= end:
                    break
        finally:
            self._finished(record)
        for task in preempting:
            self._guest.init.kill(task, Signal.KILL).result()
        return record

    def _start_to_preempt(self, task: Task) -> Task:
        preempting = self._guest.init.spawn(f"preempts {task.name}")
        share_a_processor(task, preempting)
        plan = Plan(preempting.slot)
        plan.sleep(preempting.abi, FREE_FOR_NS)
        plan.call("getrandom", preempting.store(bytes(RANDOM_BYTES)), RANDOM_BYTES, GRND_INSECURE)
        start_realtime(preempting, plan, PREEMPTIONS)
        return preempting

    def _run(self, seed: int, rounds: int) -> Tally:
        self.begin(self._guest, seed, self._budget.longest)
        running = [start(task, plan, rounds) for task, plan in self._plans]
        for (task, plan), one in zip(self._plans, running, strict=True):
            counts = one.counts(BATCH_DEADLINE_S)
            assert task.death is None, f"{task.death!r} ended {task} before its rounds were over"
            complete = all(sum(step.values()) == rounds for step in counts)
            require(complete, f"{task} did not complete {rounds} rounds of {len(plan)} steps")
        tally = self.results(self._guest)
        require(tally.rounds == rounds, f"{tally.rounds} of {rounds} rounds were counted")
        require(not tally.lost, f"{tally.lost} rounds had too many different outcomes to count them")
        lines = (f"          {self._shown(outcome)}: {count}" for outcome, (count, _) in _most_first(tally))
        self._guest.transcript += [f"          seed {seed:#x}: {tally.overlaps} rounds with an overlap", *lines]
        return tally

    def _compare(self, tally: Tally, allowed: Set[RoundOutcome], seed: int) -> None:
        wrong = [
            f"{_counted(count, 'round')} of {tally.rounds}, first number {first}: {self._shown(outcome)}"
            for outcome, (count, first) in _most_first(tally)
            if outcome not in allowed
        ]
        lines = ["rounds came out as the specification does not allow:", *wrong, f"seed {seed:#x}"]
        assert not wrong, "\n".join(lines)

    def _shown(self, outcome: RoundOutcome) -> str:
        return ", ".join(f"{name}: {result}" for name, result in zip(self.names, outcome, strict=True))


def _outcomes(row: AllowedOutcome) -> Iterable[RoundOutcome]:
    return itertools.product(*(result if isinstance(result, Set) else (result,) for result in row))


def _most_first(tally: Tally) -> list[tuple[RoundOutcome, tuple[int, int]]]:
    return sorted(tally.outcomes.items(), key=lambda item: -item[1][0])


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
