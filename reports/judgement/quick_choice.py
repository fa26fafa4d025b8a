# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tests `-m quick` runs: a few for every promise.

The choice is made anew in each run, so that no list of names can become outdated.  A test function is taken whole,
with the controls among its cases.  Wherever a test of a promise applies, one that was taken applies too.  What a
promise says in its second half may be left to a test that is not taken: docs/results.md says how many planted
faults the few notice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Conditions:
    """What must be true of a kernel for a test to apply to it."""

    needs: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    since: tuple[int, ...] = ()
    until: tuple[float, ...] = (math.inf,)
    """The last place is infinite, because 6.5 includes 6.5.13."""
    promises: frozenset[str] = frozenset()
    """What the kernel must promise."""
    backported_since: tuple[int, ...] | None = None
    """The version from which it may apply because of backports; None if there are none."""
    superseded: bool = False
    """Whether it may no longer apply before `until`, because of backports."""
    boot: str = ""
    """How the kernel is booted: what a parameter does is seen under no other boot."""

    def ask_no_more_than(self, other: Conditions) -> bool:
        """Whether these are met wherever the other ones are, by the same boot."""
        return (
            self.needs <= other.needs
            and self.lacks <= other.lacks
            and (self._promised_with(other) or self._promised_wherever(other))
            and self.boot == other.boot
        )

    def _promised_with(self, other: Conditions) -> bool:
        """Whether the other ones name everything that these must have promised."""
        return bool(self.promises) and self.promises <= other.promises

    def _promised_wherever(self, other: Conditions) -> bool:
        """Whether all versions that may meet the other ones surely meet these."""
        earliest = other.since if other.backported_since is None else other.backported_since
        return self.since <= earliest and self.until >= other.until and not self.superseded


Shown = tuple[str, Conditions]
"""A promise, and the conditions under which a test shows it."""


@dataclass(frozen=True)
class Function:
    """A test function with all its cases."""

    name: str
    cases: int
    shows: frozenset[Shown]

    def covers(self, shown: Shown) -> bool:
        """Whether it shows that promise wherever those conditions are met."""
        promise, where = shown
        return any(promise == one and conditions.ask_no_more_than(where) for one, conditions in self.shows)


def choose(functions: Sequence[Function]) -> set[str]:
    """The names of a few functions that cover each promise wherever all of them together do.

    Functions about the fewest promises come first, because they say most about each; then those with the fewest
    cases.
    """
    everything = {shown for function in functions for shown in function.shows}
    covered = {each.name: {shown for shown in everything if each.covers(shown)} for each in functions}
    taken: list[str] = []
    left = set(everything)
    for each in sorted(functions, key=lambda each: (len({promise for promise, _ in each.shows}), each.cases)):
        if covered[each.name] & left:
            taken.append(each.name)
            left -= covered[each.name]
    for name in reversed(taken):
        others = set().union(*(covered[other] for other in taken if other != name))
        if covered[name] <= others:
            taken.remove(name)
    return set(taken)
