# SPDX-License-Identifier: GPL-2.0-or-later
"""LoadPin's walks through a guest without a kernel, whose rules are right, or wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from suites.harness.walks.fake_loadpin import FakeLoadPinGuest, fake_walk
from suites.harness.walks.wrong_loadpin_rules import RULES
from suites.loadpin.support.walk_boots import BOOTS, CLOSED, SWITCHED_ON
from suites.mutation.mutant_table import load_mutants
from suites.walks.walk import WalkDifference
from suites.walks.walk_context import WalkContext
from suites.walks.walk_run import Budget, Walked, run_walks

ENOUGH = 300
"""Walks in which a wrong rule has to be noticed."""
BY_NAME = {boot.name: boot for boot in BOOTS}


def walk(boot: str, rules: str = "", *, walks: int = ENOUGH, closed: bool = False, shrink: bool = False) -> Walked:
    def take() -> FakeLoadPinGuest:
        model = (RULES[rules][0],) if rules else ()
        return FakeLoadPinGuest(BY_NAME[boot], *model, closed=closed)

    machine = fake_walk(BY_NAME[boot], closed=closed)
    return run_walks(machine, WalkContext(take), Budget(walks=walks, shrink=shrink), seed=1)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("boot", BY_NAME)
def test_right_rules_make_no_difference(boot: str, closed: bool) -> None:
    walked = walk(boot, walks=15, closed=closed)
    assert walked.walks >= 15
    assert walked.steps > 15 * 10


@pytest.mark.parametrize("name", RULES)
def test_wrong_rules_are_noticed(name: str) -> None:
    _, boot = RULES[name]
    with pytest.raises(WalkDifference) as raised:
        walk(boot, name)
    (promise,) = raised.value.breaks  # type: ignore[attr-defined]
    assert promise in (*BY_NAME[boot].promises, *SWITCHED_ON)


def test_a_closed_sysctl_is_noticed() -> None:
    """A kernel whose sysctl can be switched on breaks what newer kernels promise, and the reverse."""
    for closed, promises in ((True, CLOSED), (False, SWITCHED_ON)):
        with pytest.raises(WalkDifference) as raised:
            run_walks(
                fake_walk(BY_NAME["not-enforcing"], closed=closed),
                WalkContext(lambda: FakeLoadPinGuest(BY_NAME["not-enforcing"], closed=not closed)),  # noqa: B023
                Budget(walks=ENOUGH, shrink=False),
                seed=1,
            )
        assert raised.value.breaks[0] in promises  # type: ignore[attr-defined]


def test_wrong_rules_are_mutants() -> None:
    """Each wrong rule has the id of a mutant."""
    assert set(RULES) <= {mutant.id for mutant in load_mutants("loadpin")}


@pytest.fixture(scope="module")
def planted() -> WalkDifference:
    """The difference that walks through wrong rules show."""
    with pytest.raises(WalkDifference) as raised:
        walk("enforcing", "umount-forgives", shrink=True)
    return raised.value


def test_planted_difference_is_shrunk_and_printed_as_a_scenario(planted: WalkDifference) -> None:
    """What is left of a walk is the shortest test that shows the difference, with its boot and imports."""
    scenario = planted.evidence["scenario"]
    assert planted.breaks == ("loadpin.umount",)  # type: ignore[attr-defined]
    assert '@pytest.mark.boot("loadpin.enforce=1", disks=DISKS)' in scenario
    assert '@pytest.mark.requirement("loadpin.umount")' in scenario
    steps = [step.strip() for step in scenario.partition('"""Found by a walk."""\n')[2].splitlines()]
    assert steps[:2] == ["log = LogReader(guest)", "root = guest.root()"]
    assert "assert lines_of_the_end(guest, log) == [UNMOUNTED]" in steps
    assert len(steps) <= 12, steps


def test_scenario_is_a_test_that_runs(planted: WalkDifference) -> None:
    """The printed test passes where the rules are right, and fails where they are wrong."""
    names: dict[str, Callable[[FakeLoadPinGuest], None]] = {}
    exec(planted.evidence["scenario"], names)  # noqa: S102 - it was printed to be pasted
    names["test_walk"](FakeLoadPinGuest(BY_NAME["enforcing"]))
    with pytest.raises(AssertionError):
        names["test_walk"](FakeLoadPinGuest(BY_NAME["enforcing"], RULES["umount-forgives"][0]))
