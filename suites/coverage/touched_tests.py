# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tests to run for a few lines of the kernel, and in which order, by the map of lines.

First comes one case of each test function, because cases of one function execute much the same; of these, the one
that executes the most of the touched lines, and among such, the fastest.  Functions that execute the fewest other
lines come first: what they test is closest to the change.  Then come second cases, and so on.  Tests of which the map
knows nothing come last, such as those that were written after it: they may be about this very change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from common.errors import UsageError
from common.text import printable
from reports.judgement.shard_cut import function_of
from suites.coverage.line_map import LineMap, MappedTest, area

SECONDS = 20.0
"""How long the chosen tests may take, by default: after the build of a one-line change, a verdict within 45 s."""
BOOT_S = 4.0
"""What the first test of each boot takes beside its own time: the kernel is new, so there is no template of it."""
UNRECORDED_S = 1.0
"""What a test is taken to need of which nothing is recorded."""


@dataclass(frozen=True)
class Touched:
    """Lines of the map, by file, and changed files that are not in it."""

    lines: Mapping[str, frozenset[int]] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def plus(self, other: Touched) -> Touched:
        files = {*self.lines, *other.lines}
        none: frozenset[int] = frozenset()
        return Touched(
            {file: self.lines.get(file, none) | other.lines.get(file, none) for file in files},
            (*self.unknown, *other.unknown),
        )

    def tests(self, lines: LineMap) -> dict[MappedTest, int]:
        """The tests that execute any of these lines, and how many of them each executes."""
        found: dict[MappedTest, int] = defaultdict(int)
        for file, of_it in self.lines.items():
            for test, count in lines.tests_of(file, of_it).items():
                found[test] += count
        return dict(found)

    def widened(self, lines: LineMap) -> Touched:
        """The same, or if no test executes any of it, the functions around it, or the files.

        What is executed at the boot is executed by no test beyond its boot.
        """
        wider = (self, self._by_function(lines), self._by_file(lines))
        return next((one for one in wider if one.tests(lines)), self)

    def _by_function(self, lines: LineMap) -> Touched:
        found = {}
        for file, of_it in self.lines.items():
            extents = lines.file(file).functions.values()
            around = [range(first, last + 1) for first, last in extents if any(first <= at <= last for at in of_it)]
            found[file] = of_it.union(*around) & lines.file(file).lines.keys()
        return replace(self, lines=found)

    def _by_file(self, lines: LineMap) -> Touched:
        return replace(self, lines={file: frozenset(lines.file(file).lines) for file in self.lines})

    def sentences(self, lines: LineMap) -> Iterator[str]:
        """For the head of a run."""
        for file, of_it in sorted(self.lines.items()):
            yield f"{file}: {_ranges(sorted(of_it))} (as in {lines.version})"
        executing = len(self.tests(lines))
        unknown = f"; {len(lines.unmeasured)} gave no counters" if lines.unmeasured else ""
        yield f"{executing} of {len(lines.tests)} recorded tests execute that{unknown}"
        if self.unknown:
            yield f"warning: no test is recorded for {', '.join(map(printable, self.unknown))}"


def named(lines: LineMap, places: Sequence[str]) -> Touched:
    """What FILE:FUNCTION and FILE:LINE name.  UsageError if there is no such place, or if it has no code."""
    touched = Touched()
    for place in places:
        file, _, at = place.rpartition(":")
        known = lines.file(file).lines
        wanted = [int(at)] if at.isdigit() else lines.function(file, at)
        found = frozenset(number for number in wanted if number in known)
        if not found:
            raise UsageError(
                f"line {at} of {file} has no code in {lines.version}", hint="name a line that has, or a function"
            )
        touched = touched.plus(Touched({file: found}))
    return touched


def choose(lines: LineMap, touched: Touched, boots: Mapping[str, str], budget_s: float = 0.0) -> list[str]:
    """The names of the tests to run, in their order.

    `boots` has the tests that there are, each with how it boots.  A test that would exceed the budget is left out
    (0: none is), except for the first.
    """
    chosen: list[str] = []
    booted: set[str] = set()
    spent_s = 0.0
    for test in (*_ranked(lines, touched), *lines.unmeasured, *_unrecorded(lines, boots)):
        if test.name not in boots:
            continue
        boot = boots[test.name]
        costs_s = test.seconds + (0.0 if boot in booted else BOOT_S)
        if budget_s and chosen and spent_s + costs_s > budget_s:
            continue
        chosen.append(test.name)
        booted.add(boot)
        spent_s += costs_s
    return chosen


def _unrecorded(lines: LineMap, names: Iterable[str]) -> Iterator[MappedTest]:
    """The tests whose functions the map does not know, of the areas that it knows."""
    recorded = [test.name for test in (*lines.tests, *lines.unmeasured)]
    functions, areas = {function_of(name) for name in recorded}, {area(name) for name in recorded}
    for name in names:
        if function_of(name) not in functions and area(name) in areas:
            yield MappedTest(name, UNRECORDED_S)


def _ranked(lines: LineMap, touched: Touched) -> list[MappedTest]:
    executed = touched.tests(lines)
    size = lines.sizes()
    cases: dict[str, list[MappedTest]] = defaultdict(list)
    for test in sorted(executed, key=lambda test: (-executed[test], test.seconds, test.name)):
        cases[function_of(test.name)].append(test)
    ranks = {
        test: (number, size[test] / executed[test], test.name)
        for of_function in cases.values()
        for number, test in enumerate(of_function)
    }
    return sorted(ranks, key=lambda test: ranks[test])


def _ranges(numbers: Sequence[int]) -> str:
    """1-3, 7"""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    word = "line" if len(numbers) == 1 else "lines"
    return f"{word} " + ", ".join(f"{one[0]}-{one[-1]}" if len(one) > 1 else f"{one[0]}" for one in parts)
