# SPDX-License-Identifier: GPL-2.0-or-later
"""A measurement as Markdown tables, and as a list of what is not executed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from suites.coverage.execution_counts import CoverageFigures, FileCounts
from suites.coverage.measurement import Measurement

Arguments = Mapping[str, Mapping[int, str]]
"""By file and line, why no test can execute it."""


@dataclass(frozen=True)
class Gap:
    """A line with code that is never executed, or some of whose branches are never taken."""

    line: int
    function: str
    branches: tuple[int, ...] = ()
    """The numbers of those that are never taken, from 1 on; empty if the line itself is not executed."""
    of: int = 0
    """How many branches the line has."""

    def __str__(self) -> str:
        if not self.branches:
            return "never executed"
        word = "branch" if len(self.branches) == 1 else "branches"
        return f"{word} {', '.join(map(str, self.branches))} of {self.of} never taken"


def gaps(counts: FileCounts) -> Iterator[Gap]:
    """All gaps of a file, by line."""
    for number, line in sorted(counts.lines.items()):
        if not line.count:
            yield Gap(number, line.function)
        elif not all(line.branches):
            never = tuple(place for place, count in enumerate(line.branches, 1) if not count)
            yield Gap(number, line.function, never, len(line.branches))


def listed_gaps(found: Measurement, argued: Arguments) -> Iterator[str]:
    """What is neither executed nor argued, with the text of the line."""
    for file, counts in found.total.items():
        source = found.sources[file].splitlines()
        for gap in gaps(counts):
            if gap.line not in argued[file]:
                yield f"{file}:{gap.line}: {gap.function}: {gap}: {source[gap.line - 1].strip()}"


def overtaken(found: Measurement, argued: Arguments) -> Iterator[str]:
    """The arguments that a test refutes."""
    for file, counts in found.total.items():
        open_lines = {gap.line for gap in gaps(counts)}
        reasons: dict[str, set[int]] = {why: set() for why in argued[file].values()}
        for line, why in argued[file].items():
            reasons[why].add(line)
        for why, lines in reasons.items():
            if not lines & open_lines and lines & counts.lines.keys():
                yield f"{file}:{min(lines)}: executed after all, although: {why}"


def tables(found: Measurement, argued: Arguments) -> Iterator[str]:
    """Lines of Markdown: a table of files, and one of the functions of each file."""
    yield from _of_files(found, argued)
    for file in found.total:
        yield ""
        yield from _of_functions(found, file, argued[file])


def _of_files(found: Measurement, argued: Arguments) -> Iterator[str]:
    areas = sorted(found.areas)
    yield _row("file", "lines", "branches", *areas, "argued", "open")
    yield _row("---", *["---:"] * (len(areas) + 4))
    total, of_areas, argued_count, open_count = CoverageFigures(), dict.fromkeys(areas, CoverageFigures()), 0, 0
    for file, counts in found.total.items():
        figures = counts.figures()
        own = {area: found.areas[area][file].figures() for area in areas}
        known = [gap.line in argued[file] for gap in gaps(counts)]
        yield _row(
            f"`{file}`", *_both(figures), *(_lines(own[area]) for area in areas), sum(known), known.count(False)
        )
        total = total.plus(figures)
        of_areas = {area: of_areas[area].plus(own[area]) for area in areas}
        argued_count, open_count = argued_count + sum(known), open_count + known.count(False)
    yield _row("all", *_both(total), *(_lines(of_areas[area]) for area in areas), argued_count, open_count)


def _of_functions(found: Measurement, file: str, argued: Mapping[int, str]) -> Iterator[str]:
    areas = sorted(found.areas)
    yield _row(f"`{file}`", "lines", "branches", *areas, "open")
    yield _row("---", *["---:"] * (len(areas) + 2), "---")
    counts = found.total[file]
    open_gaps = [gap for gap in gaps(counts) if gap.line not in argued]
    for function in sorted(counts.functions, key=lambda name: counts.functions[name].first):
        figures = counts.figures(function)
        if figures.lines:
            own = (found.areas[area][file].figures(function) for area in areas)
            ours = ", ".join(_short(gap) for gap in open_gaps if gap.function == function)
            yield _row(f"`{function}`", *_both(figures), *(each.executed_lines for each in own), ours)


def _short(gap: Gap) -> str:
    return f"{gap.line}" + (f" ({len(gap.branches)} of {gap.of} branches)" if gap.branches else "")


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _both(figures: CoverageFigures) -> tuple[str, str]:
    return _lines(figures), _share(figures.executed_branches, figures.branches)


def _lines(figures: CoverageFigures) -> str:
    return _share(figures.executed_lines, figures.lines)


def _share(part: int, whole: int) -> str:
    """`612 of 746 (82 %)`, rounded down: 100 % is all of it."""
    return f"{part} of {whole} ({100 * part // whole} %)" if whole else "-"
