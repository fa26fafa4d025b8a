# SPDX-License-Identifier: GPL-2.0-or-later
"""How often lines and branches of a source file were executed, as values that can be added and compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LineCounts:
    """Of one line.  A branch is one of the ways that a condition or a switch can take."""

    function: str
    count: int
    branches: tuple[int, ...] = ()

    def plus(self, other: LineCounts) -> LineCounts:
        branches = tuple(mine + theirs for mine, theirs in zip(self.branches, other.branches, strict=True))
        return LineCounts(self.function, self.count + other.count, branches)


@dataclass(frozen=True)
class FunctionExtent:
    """Where a function is: its first and its last line."""

    first: int
    last: int


@dataclass(frozen=True)
class FileCounts:
    """Of the lines of a source file that have code."""

    lines: Mapping[int, LineCounts] = field(default_factory=dict)
    functions: Mapping[str, FunctionExtent] = field(default_factory=dict)

    def plus(self, other: FileCounts) -> FileCounts:
        """The sum of what two guests of one kernel have counted."""
        if not self.lines:
            return other
        return FileCounts(
            {number: line.plus(other.lines[number]) for number, line in self.lines.items()}, self.functions
        )

    def beyond(self, other: FileCounts) -> set[int]:
        """The lines that were executed more often than there."""
        return {number for number, line in self.lines.items() if line.count > other.lines[number].count}

    def executed(self) -> set[int]:
        return {number for number, line in self.lines.items() if line.count}

    def figures(self, function: str | None = None) -> CoverageFigures:
        """Of the whole file, or of one function."""
        return CoverageFigures.of(line for line in self.lines.values() if function in (None, line.function))


@dataclass(frozen=True)
class CoverageFigures:
    """How many lines and branches there are, and how many of them were executed."""

    lines: int = 0
    executed_lines: int = 0
    branches: int = 0
    executed_branches: int = 0

    @classmethod
    def of(cls, lines: Iterable[LineCounts]) -> CoverageFigures:
        known = list(lines)
        branches = [count for line in known for count in line.branches]
        return cls(len(known), sum(line.count > 0 for line in known), len(branches), sum(map(bool, branches)))

    def plus(self, other: CoverageFigures) -> CoverageFigures:
        return CoverageFigures(
            self.lines + other.lines,
            self.executed_lines + other.executed_lines,
            self.branches + other.branches,
            self.executed_branches + other.executed_branches,
        )
