# SPDX-License-Identifier: GPL-2.0-or-later
"""Walks through a guest without a kernel, whose rules are right, or wrong on purpose."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

import pytest

from guests.errors import GuestBroke, QemuError
from guests.outcome import EPERM, GONE, OK, Outcome, exited, killed, returned
from guests.uapi import Signal
from suites.harness.walks.fake_guest import FakeGuest, FakeYamaWalk
from suites.harness.walks.wrong_rules import RULES
from suites.mutation.mutant_table import load_mutants
from suites.walks import plugin
from suites.walks.walk import FIXED_WALKS, WalkDifference, source_of
from suites.walks.walk_context import WalkContext
from suites.walks.walk_run import Budget, Walked, run_walks
from suites.yama.support.model import TaskModel
from suites.yama.support.yama_walk import PROMISES

ENOUGH = 300
"""Walks in which a wrong rule has to be noticed."""


def walk(take: Callable[[], FakeGuest], walks: int = ENOUGH, seed: int = 1, **budget: object) -> Walked:
    return run_walks(FakeYamaWalk, WalkContext(take), Budget(walks=walks, **budget), seed)  # type: ignore[arg-type]


def test_right_rules_make_no_difference() -> None:
    walked = walk(FakeGuest, walks=10)
    assert walked.walks >= 10
    assert walked.steps > 10 * 10
    assert re.fullmatch(r"\d+ walks with \d+ steps in .* s \(.* walks per second\), seed 1", str(walked))


@pytest.mark.parametrize(
    "name", ["scope-0-is-scope-1", "scope-1-without-ancestry", "takes-back-nothing", "exception-for-anyone"]
)
def test_wrong_rules_are_noticed(name: str) -> None:
    with pytest.raises(WalkDifference) as raised:
        walk(lambda: FakeGuest(*RULES[name]), shrink=False)
    assert raised.value.breaks[0] in PROMISES  # type: ignore[attr-defined]


def test_wrong_rules_are_mutants() -> None:
    """Each wrong rule has the id of a mutant."""
    assert set(RULES) <= {mutant.id for mutant in load_mutants("yama")}


@pytest.fixture(scope="module")
def planted() -> WalkDifference:
    """The difference that walks through wrong rules show."""
    with pytest.raises(WalkDifference) as raised:
        walk(lambda: FakeGuest(*RULES["scope-1-without-exceptions"]))
    return raised.value


def test_planted_difference_is_shrunk_and_printed_as_a_scenario(planted: WalkDifference) -> None:
    """What is left of a walk is the shortest test that shows the difference, with the promise that it breaks."""
    scenario = planted.evidence["scenario"]
    (promise,) = planted.breaks  # type: ignore[attr-defined]
    assert str(planted).endswith("-> EPERM, expected OK")
    assert promise in ("yama.any", "yama.set-ptracer")
    assert f'requirement("{promise}")' in scenario
    assert scenario in planted.__notes__[0]
    steps = scenario.partition('"""Found by a walk."""\n')[2].splitlines()
    assert len(steps) <= 7
    assert re.fullmatch(r"    assert read_memory\(\w+, \w+\) == OK", steps[-1])
    assert any("set_ptracer" in step for step in steps)


def test_scenario_is_a_test_that_runs(planted: WalkDifference) -> None:
    """The printed test passes where the rules are right, and fails where they are wrong."""
    names: dict[str, Callable[[FakeGuest], None]] = {}
    exec(planted.evidence["scenario"], names)  # noqa: S102 - it was printed to be pasted
    names["test_walk"](FakeGuest())
    with pytest.raises(AssertionError):
        names["test_walk"](FakeGuest(*RULES["scope-1-without-exceptions"]))


def test_fixed_walks_are_the_same_each_time() -> None:
    transcripts: list[list[str]] = []
    for _ in range(2):
        seen: list[str] = []

        class Recorded(FakeGuest):
            def declare(self, task: TaskModel, named: TaskModel | str | None, what: str) -> Outcome:
                seen.append(what)  # noqa: B023 - the list of this round
                return super().declare(task, named, what)

        walked = run_walks(FakeYamaWalk, WalkContext(Recorded), Budget(), seed=1)
        assert walked.walks >= FIXED_WALKS
        transcripts.append(seen)
    assert transcripts[0]
    assert transcripts[0] == transcripts[1]


def test_harness_error_stops_at_once() -> None:
    """It is raised as it is, and no walk follows it: nothing is shrunk."""
    taken: list[int] = []

    def take() -> FakeGuest:
        taken.append(1)
        if len(taken) == 3:
            raise QemuError("QEMU ended")
        return FakeGuest()

    with pytest.raises(QemuError, match="QEMU ended"):
        walk(take)
    assert len(taken) == 3


def test_guest_that_breaks_shows_its_scenario() -> None:
    class Crashing(FakeGuest):
        def declare(self, *_: object) -> Outcome:
            raise GuestBroke("the kernel went down")

    with pytest.raises(GuestBroke, match="the kernel went down") as raised:
        walk(Crashing, shrink=False)
    assert "set_ptracer" in raised.value.evidence["scenario"]  # type: ignore[attr-defined]


def test_complaint_of_the_kernel_is_found_at_the_end_of_a_walk() -> None:
    context = WalkContext(FakeGuest, lambda _: "the kernel complained: BUG: sleeping function")
    with pytest.raises(GuestBroke, match="BUG: sleeping function"):
        run_walks(FakeYamaWalk, context, Budget(walks=5, shrink=False), 1)


def test_no_walk_begins_when_the_time_is_over() -> None:
    now = iter(range(1000))
    walked = run_walks(FakeYamaWalk, WalkContext(FakeGuest), Budget(seconds=5), 1, clock=lambda: float(next(now)))
    assert walked.walks == 4


@pytest.mark.parametrize(
    ("expected", "source"),
    [
        (OK, "OK"),
        (EPERM, "EPERM"),
        (returned(7), "returned(7)"),
        (exited(3), "exited(3)"),
        (killed(Signal.SYS), "killed(Signal.SYS)"),
        (GONE, "GONE"),
    ],
)
def test_expectations_are_written_as_in_a_test(expected: object, source: str) -> None:
    assert source_of(expected) == source  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("budget", "most", "fixed"),
    [
        (Budget(), FIXED_WALKS, True),
        (Budget(walks=7), 7, False),
        (Budget(seconds=5), 1_000_000_000, False),
        (Budget(walks=7, seconds=5), 7, False),
        (Budget(seed=0), FIXED_WALKS, False),
    ],
)
def test_budget(budget: Budget, most: int, fixed: bool) -> None:
    """Only what nobody asked for is the same in each run."""
    assert (budget.most(FIXED_WALKS), budget.is_fixed) == (most, fixed)


@pytest.mark.parametrize("text", ["0", "-1", "many", ""])
def test_numbers_of_walks_are_above_0(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number above 0"):
        plugin.positive(text)
