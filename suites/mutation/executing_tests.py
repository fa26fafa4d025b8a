# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tests execute what a mutant changes, by the map of lines that `kconform coverage` records."""

from __future__ import annotations

from dataclasses import dataclass

from kconfigs.build.kernel_tree import Tree
from suites.coverage.line_map import LineMap, area
from suites.coverage.source_changes import changed_lines
from suites.coverage.touched_tests import Touched
from suites.mutation.mutant import Mutant

MOST_PLACES = 100
"""A mutant that touches more lines, such as by a macro, says little about which tests are the first to fail."""


@dataclass(frozen=True)
class Execution:
    """The lines that a mutant changes, and the areas with tests that execute them."""

    places: tuple[str, ...] = ()
    """As for `--touched`: FILE:LINE.  Empty if nothing is recorded for them."""
    areas: frozenset[str] = frozenset()
    complete: bool = False
    """Whether the map has all that the mutant changes: no other test can see anything of it."""


UNKNOWN = Execution()
"""Nothing is recorded."""


def execution_of(mutant: Mutant, tree: Tree, lines: LineMap) -> Execution:
    """What the map knows of a mutant's edits, before they are made.  EditMismatchError if they do not match."""
    edited = mutant.edited(tree)
    touched = Touched({file: _lines(lines, file, content) for file, content in edited.items() if file in lines.files})
    places = tuple(f"{file}:{line}" for file, numbers in sorted(touched.lines.items()) for line in sorted(numbers))
    if not places or len(places) > MOST_PLACES:
        return UNKNOWN
    tests = [test.name for test in (*touched.tests(lines), *lines.unmeasured)]
    complete = edited.keys() <= lines.files.keys() and bool(touched.tests(lines))
    return Execution(places, frozenset(map(area, tests)), complete)


def _lines(lines: LineMap, file: str, edited: str) -> frozenset[int]:
    known = lines.files[file]
    return frozenset(changed_lines(known, known.source.splitlines(), edited.splitlines()))
