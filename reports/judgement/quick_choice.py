# SPDX-License-Identifier: GPL-2.0-or-later
"""`-m quick`: a few tests for every promise, for whoever waits for the answer.

The marker is given at collection, so that no list of names can rot: a test function is taken whole, with the controls
among its cases, and wherever a test of a promise applies, one that was taken applies too.  What a promise says in its
second half may be left to a test that is not taken: docs/gate-a-ci.md tells how many planted faults the few notice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pytest

from reports.judgement.coverage import function_of, registry, requirements_of
from reports.model.requirements import Requirement, numbers

MARKER = "quick"


@dataclass(frozen=True)
class Conditions:
    """Of a kernel, for a test to apply to it."""

    needs: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    since: tuple[int, ...] = ()
    until: tuple[float, ...] = (math.inf,)
    """With an infinite last place, for 6.5 includes 6.5.13."""
    boot: str = ""
    """How the kernel is booted: what a parameter does shows under no other."""

    def ask_no_more_than(self, other: Conditions) -> bool:
        """Whether these are met wherever the other ones are, by the same boot."""
        return (
            self.needs <= other.needs
            and self.lacks <= other.lacks
            and self.since <= other.since
            and self.until >= other.until
            and self.boot == other.boot
        )


Shown = tuple[str, Conditions]
"""A promise, and where it is shown."""


@dataclass(frozen=True)
class Function:
    """A test function with all its cases."""

    name: str
    cases: int
    shows: frozenset[Shown]

    def covers(self, shown: Shown) -> bool:
        promise, where = shown
        return any(promise == one and conditions.ask_no_more_than(where) for one, conditions in self.shows)


def choose(functions: Sequence[Function]) -> set[str]:
    """Names of a few that are about each promise wherever all of them are.

    Those that are about the fewest promises come first, for they say most of each; then those with the fewest cases.
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


def functions_of(items: Iterable[pytest.Item], known: Mapping[str, Requirement]) -> list[Function]:
    """The test functions that are about a promise, in the order of the items, which are their cases."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if requirements_of(item):
            cases.setdefault(function_of(item), []).append(item)
    return [
        Function(
            name,
            cases=len(of_it),
            shows=frozenset((one, conditions(item, known)) for item in of_it for one in requirements_of(item)),
        )
        for name, of_it in cases.items()
    ]


def conditions(item: pytest.Item, known: Mapping[str, Requirement]) -> Conditions:
    """What its markers say, and the versions for which all that it shows is promised."""
    promises = [known[each] for each in requirements_of(item)]
    return Conditions(
        needs=frozenset(option for mark in item.iter_markers("needs") for option in mark.args),
        lacks=frozenset(option for mark in item.iter_markers("lacks") for option in mark.args),
        since=max((numbers(each.since) for each in promises), default=()),
        until=min(((*numbers(each.until), math.inf) for each in promises if each.until), default=(math.inf,)),
        boot=repr([(mark.args, mark.kwargs) for mark in item.iter_markers("boot")]),
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}: given to a few tests for every promise; -m {MARKER}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before pytest looks at what `-m` asks for."""
    if MARKER not in config.option.markexpr:
        return
    known = registry(config)
    chosen = choose(functions_of(items, known))
    for item in items:
        if function_of(item) in chosen:
            item.add_marker(MARKER)
