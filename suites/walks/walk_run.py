# SPDX-License-Identifier: GPL-2.0-or-later
"""A run of walks: how many, from which seed, for how long, and their results."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.stateful import run_state_machine_as_test

from suites.walks.walk import FIXED_WALKS, Walk
from suites.walks.walk_context import WalkContext

FIXED_SEED = 1
STEPS = 25
"""Maximum number of steps of a walk."""


@dataclass(frozen=True)
class Budget:
    """What the user asks for.  With neither a number nor a time, the walks are few, and always the same."""

    walks: int | None = None
    seconds: float | None = None
    """After this time no walk begins, except to shrink a difference."""
    seed: int | None = None
    database: Path | None = None
    """Where differences are kept, which later runs try first; None for nowhere."""
    shrink: bool = True
    """Whether a difference is shrunk; one that is not is not kept either."""

    @property
    def is_fixed(self) -> bool:
        return self.walks is None and self.seconds is None and self.seed is None

    def most(self, fixed: int) -> int:
        """The number of walks, at most.  `fixed`: their number if nobody has asked for one."""
        if self.walks is not None:
            return self.walks
        return fixed if self.seconds is None else 1_000_000_000


@dataclass
class Walked:
    """What a run of walks has done."""

    seed: int
    walks: int = 0
    steps: int = 0
    duration_s: float = 0.0

    def __str__(self) -> str:
        rate = self.walks / self.duration_s if self.duration_s else 0.0
        return (
            f"{self.walks} walks with {self.steps} steps in {self.duration_s:.1f} s"
            f" ({rate:.1f} walks per second), seed {self.seed}"
        )


class WalkTaker(Protocol):
    """What the fixture `walks` is."""

    def __call__(self, machine: type[Walk], part: int = 1) -> None: ...


def run_walks(
    machine: type[Walk],
    context: WalkContext,
    budget: Budget,
    seed: int,
    part: int = 1,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Walked:
    """Walk until the budget is spent.  Raises what the shortest walk raises that shows a difference.

    With the same seed, each `part` takes walks of its own.
    """
    walked = Walked(seed)
    began = clock()
    starts = context.starts

    def begin() -> None:
        if budget.seconds is not None and clock() - began >= budget.seconds and not context.found:
            context.stop()
        walked.walks += 1
        starts()

    context.starts = begin
    seeds = random.Random(f"{seed} {part}")  # noqa: S311 - no secret
    try:
        # Each walk is a run of its own: within one, Hypothesis repeats much of the walk before.
        for number in range(budget.most(FIXED_WALKS)):
            # A class of its own, because the seed and the context are attributes.
            walk = type(machine.__name__, (machine,), {"context": context})
            seeded = hypothesis.seed(seeds.getrandbits(64))(walk)
            run_state_machine_as_test(seeded, settings=_settings(budget, first=number == 0))
    except BaseException:
        if context.stopped is None:
            raise
        if context.stopped.cause is not None:
            raise context.stopped.cause from None
    finally:
        walked.steps = context.steps
        walked.duration_s = clock() - began
    return walked


def _settings(budget: Budget, *, first: bool) -> hypothesis.settings:
    """The settings for one walk.  The first one tries what the database has."""
    database: ExampleDatabase | None = None
    if budget.database is not None and budget.shrink and not budget.is_fixed:
        database = DirectoryBasedExampleDatabase(budget.database)
    reuse = database is not None and first
    return hypothesis.settings(
        max_examples=1,
        stateful_step_count=STEPS,
        phases=[Phase.generate] + [Phase.reuse] * reuse + [Phase.shrink] * budget.shrink,
        database=database,
        derandomize=False,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
