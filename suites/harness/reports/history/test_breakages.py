# SPDX-License-Identifier: GPL-2.0-or-later
"""When a promise began to break, when it was fixed, and what is flaky."""

from __future__ import annotations

from typing import Any

import pytest

from suites.harness.reports.history.small_fleet import SUITE, Fleet

SCOPE = "yama/scope"


def runs(fleet: Fleet, *outcomes: str) -> None:
    """A run of a new build for each outcome of one test."""
    for number, outcome in enumerate(outcomes):
        fleet.run(f"6.12.{number}", {SCOPE: outcome})


def test_a_promise_breaks_in_one_build_and_is_fixed_in_another(fleet: Fleet) -> None:
    runs(fleet, "pass", "pass", "fail", "fail", "pass", "pass")
    (each,) = fleet.series().breakages
    assert (each.promise, each.kind, each.held, each.first, each.last, each.fixed) == (
        "yama.scope", "broken", 1, 2, 3, 4
    )  # fmt: skip
    assert (each.columns, each.same_tests, each.test) == (2, True, "suites/yama/test_it.py::test_scope")
    assert each.reason == "why fail"


def test_what_was_never_seen_to_hold_and_still_breaks(fleet: Fleet) -> None:
    runs(fleet, "fail", "error", "fail")
    (each,) = fleet.series().breakages
    assert (each.held, each.first, each.last, each.columns, each.fixed) == (None, 0, 2, 2, None)


@pytest.mark.parametrize("silent", ["error", "skip"])
def test_what_could_not_be_determined_neither_breaks_nor_mends(fleet: Fleet, silent: str) -> None:
    runs(fleet, "pass", silent, "fail", silent)
    (each,) = fleet.series().breakages
    assert (each.held, each.first, each.fixed) == (0, 2, None)


def test_a_promise_that_always_held_has_no_breakage(fleet: Fleet) -> None:
    runs(fleet, "pass", "unexpected-pass", "skip", "error", "pass")
    assert fleet.series().breakages == []


@pytest.mark.parametrize(
    ("outcomes", "kind"),
    [
        (("waived", "waived"), "waived"),
        (("waived", "fail"), "broken"),
        (("flaky", "waived"), "flaky"),
        (("flaky", "fail"), "broken"),
    ],
)
def test_the_kind_of_a_breakage_is_its_most_serious(fleet: Fleet, outcomes: tuple[str, ...], kind: str) -> None:
    runs(fleet, "pass", *outcomes)
    assert [each.kind for each in fleet.series().breakages] == [kind]


class TestPartsOfTheTests:
    def test_a_run_without_the_test_that_broke_it_mends_nothing(self, fleet: Fleet) -> None:
        fleet.run("6.12.0", {SCOPE: "fail"})
        path = fleet.run("6.12.1", {SCOPE: "pass"}, selection="-m quick")
        (each,) = fleet.series().breakages
        assert each.fixed == 1, "the test that broke it ran"
        file = path / "results.json"
        file.write_text(file.read_text().replace("::test_scope[", "::test_of_another_name["))
        (each,) = fleet.series().breakages
        assert each.fixed is None

    def test_a_whole_run_without_that_test_ends_it_and_says_so(self, fleet: Fleet) -> None:
        fleet.run("6.12.0", {SCOPE: "fail"})
        file = fleet.run("6.12.1", {SCOPE: "pass"}) / "results.json"
        file.write_text(file.read_text().replace("::test_scope[", "::test_of_another_name["))
        (each,) = fleet.series().breakages
        assert (each.fixed, each.same_tests) == (1, False)

    @pytest.mark.parametrize(
        "run",
        [
            {"state": "interrupted"},
            {"state": "running", "exit_status": None},
            {"selection": "-k scope"},
            {"collected": 2},
            {"shard": {"number": 1, "of": 2, "tests": 9, "plan": "x"}},
        ],
        ids=repr,
    )
    def test_such_a_run_is_not_whole(self, fleet: Fleet, run: dict[str, Any]) -> None:
        fleet.run("6.12.0", {SCOPE: "pass"})
        fleet.run("6.12.1", {SCOPE: "pass"}, **run)
        assert [each.whole for each in fleet.history().runs] == [True, False]


class TestFlakiness:
    def test_two_runs_of_one_build_that_differ_are_both_shown_and_flaky(self, fleet: Fleet) -> None:
        for outcome in ("pass", "fail"):
            fleet.run("6.12.0", {SCOPE: outcome, "yama/steady": "fail"})
        series = fleet.series()
        assert len(series.builds) == 1
        assert [row.statuses for row in series.promises] == [["held", "broken"], ["broken", "broken"]]
        (flaky,) = series.flaky
        assert (flaky.test, flaky.promises) == ("suites/yama/test_it.py::test_scope", ["yama.scope"])
        assert (flaky.builds, flaky.of, flaky.columns) == ([0], 1, [1])
        assert {each.promise: each.kind for each in series.breakages} == {
            "yama.scope": "flaky", "yama.steady": "broken"
        }  # fmt: skip

    def test_a_test_that_calls_itself_flaky_needs_no_second_run(self, fleet: Fleet) -> None:
        runs(fleet, "pass", "flaky", "pass")
        (flaky,) = fleet.series().flaky
        assert (flaky.builds, flaky.of, flaky.columns) == ([1], 3, [1])

    def test_other_builds_may_differ(self, fleet: Fleet) -> None:
        runs(fleet, "pass", "fail", "pass", "fail")
        assert fleet.series().flaky == []

    @pytest.mark.parametrize(
        ("suites", "flaky"),
        [((SUITE, "1" * 40), 0), ((f"{SUITE}-dirty",) * 2, 0), ((SUITE, SUITE), 1)],
        ids=["another", "changed", "the same"],
    )
    def test_another_suite_may_judge_otherwise(self, fleet: Fleet, suites: tuple[str, str], flaky: int) -> None:
        for suite, outcome in zip(suites, ("fail", "pass"), strict=True):
            fleet.run("6.12.0", {SCOPE: outcome}, suite=suite)
        assert len(fleet.series().flaky) == flaky

    @pytest.mark.parametrize("silent", ["error", "skip"])
    def test_what_says_nothing_differs_from_nothing(self, fleet: Fleet, silent: str) -> None:
        for outcome in ("fail", silent):
            fleet.run("6.12.0", {SCOPE: outcome})
        assert fleet.series().flaky == []
