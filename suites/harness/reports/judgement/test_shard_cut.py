# SPDX-License-Identifier: GPL-2.0-or-later
"""How tests are cut into shards."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.judgement.shard_cut import BOOT_S, UNKNOWN_S, Recorded, Shard, Timings, cut, render
from suites.harness.checkout import ROOT
from suites.harness.reports.documents import FULL, kernel, read, result

Tests = Sequence[tuple[str, Hashable]]


def named(seconds: Sequence[float]) -> tuple[Tests, Timings]:
    """Tests that need no boot and take so long."""
    names = [f"suites/yama/test_it.py::test_{number}" for number in range(len(seconds))]
    return [(name, None) for name in names], Timings(dict(zip(names, seconds, strict=True)))


def sizes(tests: Tests, of: int, timings: Timings) -> list[int]:
    return [len(part) for part in cut(tests, of, timings)]


@pytest.mark.parametrize(
    ("seconds", "of", "found"),
    [
        ([1, 1, 1, 1, 1, 1], 3, [2, 2, 2]),
        ([1, 1, 1, 1, 1, 1], 1, [6]),
        ([10, 1, 1, 1], 2, [1, 3]),
        ([1, 1, 1, 10], 2, [3, 1]),
        ([100, 1, 1], 3, [1, 1, 1]),
        ([1, 1], 4, [1, 1, 0, 0]),
        ([0, 0, 0, 0], 2, [2, 2]),
        ([], 2, [0, 0]),
    ],
)
def test_the_parts_take_about_the_same_time(seconds: list[float], of: int, found: list[int]) -> None:
    assert sizes(*named(seconds)[:1], of, named(seconds)[1]) == found


@given(st.lists(st.floats(0, 100), max_size=60), st.integers(1, 9))
def test_every_test_is_in_one_part_and_no_part_is_much_longer(seconds: list[float], of: int) -> None:
    tests, timings = named(seconds)
    parts = cut(tests, of, timings)
    assert len(parts) == of
    assert [place for part in parts for place in part] == list(range(len(tests)))
    assert all(parts) or len(tests) < of
    costs = [max(1, round(each * 1000)) for each in seconds]
    longest = max(sum(costs[place] for place in part) for part in parts)
    assert longest <= sum(costs) / of + max(costs, default=0)


def test_a_boot_belongs_to_the_first_test_that_needs_it() -> None:
    """Six tests of a second each, of which the fourth needs another boot, which takes two."""
    tests, timings = named([1] * 6)
    booting = [(name, "quiet" if number < 3 else "debug") for number, (name, _) in enumerate(tests)]
    timings = Timings(timings.tests, boot_s=2.0)
    assert sizes(booting, 2, timings) == [3, 3]
    assert sizes([(name, "quiet") for name, _ in tests], 2, timings) == [2, 4]


def test_a_test_takes_as_long_as_it_did_else_as_its_function_else_as_the_others() -> None:
    found = Timings.of(
        [
            read(
                result("yama/a", duration_s=4.0),
                result("yama/b[x]", duration_s=1.0),
                result("yama/b[y]", duration_s=3.0),
                result("yama/b[z]", "skip", duration_s=0.0),
                kernels=[kernel(FULL, preparation={"boots": 4, "boot_s": 10.0})],
            )
        ]
    )
    name = "suites/yama/test_it.py::test_{}[{}]"
    assert found.seconds(name.format("a", FULL)) == 4.0
    assert found.seconds(name.format("b", f"{FULL}-z")) == 0.0
    assert found.seconds(name.format("b", "other/full-z")) == 2.0
    assert found.seconds(name.format("c", FULL)) == 3.0
    assert found.boot_s == 2.5
    assert (Timings().seconds("x"), Timings.of([read()]).boot_s) == (UNKNOWN_S, BOOT_S)


def test_the_duration_of_a_repeated_test_is_that_of_one_attempt() -> None:
    attempt = {"outcome": "pass", "reason": "", "started": "2026-11-22T01:17:49.660Z", "duration_s": 1.0}
    repetition = {"option": "repeat", "broken": 0, "of": 3, "attempts": [attempt] * 3}
    found = Timings.of([read(result("yama/a", duration_s=3.0, repetition=repetition))])
    assert found.functions == {"suites/yama/test_it.py::test_a": 1.0}


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/0", "1/3/5", "-1/3", "a/b", "1/99999", "\u0661/3"])
def test_what_is_no_shard_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is not a shard"):
        Shard.parse(text)
    assert str(Shard.parse("2/5")) == "2/5"


def test_the_recorded_durations_are_of_tests_that_exist() -> None:
    """They are made by `kconform timings`; make them anew when many tests have been renamed."""
    text = (ROOT / "suites" / "timings.json").read_text(encoding="utf-8")
    recorded = Recorded(**json.loads(text))
    assert render(Timings(functions=recorded.functions, boot_s=recorded.boot_s)) == text
    gone = []
    for name in recorded.functions:
        file, _, rest = name.partition("::")
        path = ROOT / file
        if not path.exists() or f"def {rest.rpartition('::')[2]}(" not in path.read_text(encoding="utf-8"):
            gone.append(name)
    assert len(gone) < len(recorded.functions) / 10, gone
