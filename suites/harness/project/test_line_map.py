# SPDX-License-Identifier: GPL-2.0-or-later
"""The map of lines: what it says, where it is kept, and which one is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache
from suites.coverage.execution_counts import FunctionExtent
from suites.coverage.line_map import find_map, joined, load_map, make_map, save_map
from suites.harness.project.line_map_sample import DENIED, FILE, GRANTED, LINES, OTHER, line_map


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


class TestMap:
    def test_it_says_which_tests_execute_a_line(self) -> None:
        assert {test.name for test in LINES.tests_of(FILE, [7])} == {DENIED}
        assert {test.name: count for test, count in LINES.tests_of(FILE, [7, 8, 9, 5]).items()} == {
            DENIED: 2,
            GRANTED: 2,
            OTHER: 2,
        }

    def test_it_is_read_as_it_was_written(self, cache: Cache) -> None:
        save_map(LINES, cache)
        assert load_map((6, 12, 7), cache) == LINES
        assert find_map("6.12.7", cache) == LINES
        assert find_map("6.12.8", cache) is None

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [((6, 12, 9), "6.12.9"), ((6, 13), "6.12.9"), ((6, 12, 8), "6.1.7"), ((5, 10), "6.1.7"), ((), "6.12.9")],
    )
    def test_the_nearest_version_is_taken(self, cache: Cache, wanted: tuple[int, ...], found: str) -> None:
        for version in ("6.1.7", "6.12.9"):
            save_map(line_map({DENIED: (0.5, [7])}, version), cache)
        assert load_map(wanted, cache).version == found

    def test_without_one_the_message_says_how_to_make_it(self, cache: Cache) -> None:
        with pytest.raises(UsageError, match="no run has recorded yet") as caught:
            load_map((6, 12), cache)
        assert "kconform coverage" in caught.value.hint

    def test_a_damaged_one_counts_as_none(self, cache: Cache) -> None:
        save_map(LINES, cache).write_bytes(b"?")
        assert find_map("6.12.7", cache) is None

    def test_a_run_of_some_tests_replaces_those(self) -> None:
        new = line_map({DENIED: (0.7, [3, 6, 8, 9])})
        both = joined(new, LINES)
        assert [test.name for test in both.tests] == sorted([DENIED, GRANTED, OTHER])
        assert both.tests_of(FILE, [7]) == {}
        assert {test.name for test in both.tests_of(FILE, [13])} == {OTHER}

    def test_one_of_other_sources_is_replaced_as_a_whole(self) -> None:
        functions = {FILE: {"scope": FunctionExtent(3, 9)}}
        old = make_map("a", "6.12.7", {FILE: "other\n"}, functions, {FILE: [3]}, {OTHER: (1.0, {FILE: [3]})}, {})
        assert joined(LINES, old) == LINES

    def test_tests_without_counters_are_kept_apart(self) -> None:
        old = line_map({DENIED: (0.5, [7])}, unmeasured={OTHER: 0.1, GRANTED: 0.2})
        new = line_map({OTHER: (0.1, [13])}, unmeasured={DENIED: 0.5})
        both = joined(new, old)
        assert [test.name for test in both.tests] == [OTHER]
        assert {test.name for test in both.unmeasured} == {DENIED, GRANTED}
