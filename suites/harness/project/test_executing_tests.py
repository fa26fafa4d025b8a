# SPDX-License-Identifier: GPL-2.0-or-later
"""What the map of lines tells about a mutant: where to look first, and whether that is all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kconfigs.build.kernel_tree import Tree, open_tree
from suites.coverage.line_map import LineMap
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.project.line_map_sample import DENIED, FILE, LINES, SOURCE, line_map
from suites.mutation import executing_tests
from suites.mutation.executing_tests import UNKNOWN, Execution, execution_of
from suites.mutation.mutant import Edit, EditMismatchError, Mutant

REFUSED = Edit(FILE, "return -1", "return 1")
"""Line 7, which one test executes."""


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    linux = fakes.tree(tmp_path / "linux")
    (linux / FILE).parent.mkdir(parents=True)
    (linux / FILE).write_text(SOURCE)
    (linux / "other.h").write_text("int other;\n")
    return open_tree(linux)


def execution(tree: Tree, *edits: Edit, lines: LineMap = LINES) -> Execution:
    return execution_of(Mutant("an-id", "What it breaks.", edits), tree, lines)


def test_the_tests_of_an_edited_line(tree: Tree) -> None:
    assert execution(tree, REFUSED) == Execution((f"{FILE}:7",), frozenset({"yama"}), complete=True)


def test_lines_that_no_test_executes(tree: Tree) -> None:
    """They are executed at the boot, or not at all: any test may see it."""
    nobody = line_map({DENIED: (0.5, [3, 6, 8, 9])})
    assert not execution(tree, REFUSED, lines=nobody).complete


def test_a_file_without_a_record(tree: Tree) -> None:
    """What is known comes first, but is not all."""
    found = execution(tree, REFUSED, Edit("other.h", "int", "long"))
    assert found == Execution((f"{FILE}:7",), frozenset({"yama"}), complete=False)
    assert execution(tree, Edit("other.h", "int", "long")) == UNKNOWN


def test_tests_that_gave_no_counters_may_see_it(tree: Tree) -> None:
    unmeasured = line_map({DENIED: (0.5, [3, 6, 7, 9])}, unmeasured={"suites/boot/test_boot.py::test_a": 1.0})
    assert execution(tree, REFUSED, lines=unmeasured).areas == {"boot", "yama"}


def test_an_edit_of_very_many_lines(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    macro = Edit(FILE, "LIMIT 3", "LIMIT 4")
    assert len(execution(tree, macro).places) == 8
    monkeypatch.setattr(executing_tests, "MOST_PLACES", 7)
    assert execution(tree, macro) == UNKNOWN


def test_an_edit_that_does_not_match(tree: Tree) -> None:
    with pytest.raises(EditMismatchError):
        execution(tree, replace(REFUSED, find="return -2"))
