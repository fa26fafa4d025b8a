# SPDX-License-Identifier: GPL-2.0-or-later
"""The search in a list of versions, of which the first is good and the last is bad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["good", "bad", "unknown"]


@dataclass(frozen=True)
class Narrowed:
    """What is left of the list at the end."""

    good: int
    """The last one that is known to be good."""
    bad: int
    """The first one that is known to be bad; the first bad one, unless there is something in between."""

    @property
    def between(self) -> range:
        """Those in between, of which nothing could be found out."""
        return range(self.good + 1, self.bad)


def search(count: int, judge: Callable[[int], Verdict]) -> Narrowed:
    """Find the first bad one of `count`, of which 0 is good and the last is bad, without judging one twice."""
    good, bad = 0, count - 1
    unknown: set[int] = set()
    while left := [number for number in range(good + 1, bad) if number not in unknown]:
        # Of those that can still be judged, the one that is nearest to the middle of all.
        number = min(left, key=lambda each: abs(2 * each - good - bad))
        match judge(number):
            case "good":
                good = number
            case "bad":
                bad = number
            case _:
                unknown.add(number)
    return Narrowed(good, bad)
