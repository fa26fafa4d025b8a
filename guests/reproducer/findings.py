# SPDX-License-Identifier: GPL-2.0-or-later
"""What an analysis finds out about a test: its orders with names, and what it checks."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from guests.outcome import Expected
from guests.reproducer.orders import Name, NamedContent, Order
from guests.reproducer.replay_channel import Replayed


class Weight(enum.Enum):
    """What follows if something is not as the test needs it; the exit status of the reproducer."""

    EXPECT = 1
    """A promise is broken."""
    NEED = 2
    """The test cannot go on."""


@dataclass(frozen=True)
class Check:
    """The outcome that a call, or the end of a task, must have."""

    weight: Weight
    expected: Expected
    violated: bool = False
    """Whether the kernel gave something else."""
    name: Name | None = None
    """The value, if it is known only when the reproducer runs."""


@dataclass(frozen=True)
class ByteCheck:
    """The bytes that an order must leave in its buffer of this number, from an offset on.

    With `violated`, the kernel gave something else.  If it is not known what is right, `wrong` is true, and `content`
    is what the kernel must not give.
    """

    weight: Weight
    buffer: int
    offset: int
    content: bytes
    violated: bool = False
    wrong: bool = False
    name: Name | None = None
    """The 32-bit number, if it is known only when the reproducer runs."""


@dataclass(frozen=True)
class LineCheck:
    """A line that the kernel's log must contain or, if `present` is false, must not contain."""

    weight: Weight
    line: NamedContent
    present: bool
    violated: bool = False


@dataclass
class Analysis:
    """The orders of a test, by their position in the record, with names and checks."""

    baseline: Replayed
    orders: dict[int, Order] = field(default_factory=dict)
    checks: dict[int, Check] = field(default_factory=dict)
    """By the number of the request."""
    byte_checks: dict[int, list[ByteCheck]] = field(default_factory=dict)
    """By the number of the request."""
    line_checks: dict[int, list[LineCheck]] = field(default_factory=dict)
    """By the number of the request that read the log."""
    counts: dict[int, Check] = field(default_factory=dict)
    """The number of caught signals, by the number of the request that asked for them."""
    deaths: dict[int, Check] = field(default_factory=dict)
    """By the slot of the task."""
    questions: dict[int, Weight] = field(default_factory=dict)
    """What follows if a question whether a call has finished has another answer, by its position in the record."""
    words: dict[int, NamedContent] = field(default_factory=dict)
    """The text that a wait for the log is about, by its position in the record."""
    variables: set[str] = field(default_factory=set)
    """Names of results that later orders contain."""

    @property
    def violation_known(self) -> bool:
        """Whether a check shows what the kernel did wrong."""
        return (
            any(check.violated for checks in (self.checks, self.deaths, self.counts) for check in checks.values())
            or any(one.violated for checks in self.byte_checks.values() for one in checks)
            or any(one.violated for lines in self.line_checks.values() for one in lines)
        )


def joined(checks: Sequence[ByteCheck]) -> list[ByteCheck]:
    """The same checks, with neighbouring bytes in one."""
    found: list[ByteCheck] = []
    for one in checks:
        last = found[-1] if found else None
        if last is None or last.name or one.name or last.violated or one.violated or not _touch(last, one):
            found.append(one)
        else:
            found[-1] = replace(last, content=last.content + one.content)
    return found


def _touch(last: ByteCheck, one: ByteCheck) -> bool:
    return (last.weight, last.buffer, last.offset + len(last.content)) == (one.weight, one.buffer, one.offset)
