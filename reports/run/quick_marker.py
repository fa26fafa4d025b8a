# SPDX-License-Identifier: GPL-2.0-or-later
"""The marker `quick`, which the tests get that `judgement.quick_choice` chooses."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import pytest

from common.versions import Version, parse_version
from reports.judgement.quick_choice import Conditions, Function, choose
from reports.model.requirements import Requirement
from reports.run.requirement_marker import function_of, may_be_backported, registry, requirements_of

MARKER = "quick"
DESCRIPTION = f"{MARKER}: given to a few tests for every promise; -m quick"


def mark(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Mark the few, if `-m` asks for the marker."""
    if MARKER not in config.option.markexpr:
        return
    chosen = choose(functions_of(items, registry(config), may_be_backported(config)))
    for item in items:
        if function_of(item) in chosen:
            item.add_marker(MARKER)


def functions_of(
    items: Iterable[pytest.Item], known: Mapping[str, Requirement], backported: Collection[str] = ()
) -> list[Function]:
    """The test functions that are about a promise, in the order of the items, which are their cases."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if requirements_of(item):
            cases.setdefault(function_of(item), []).append(item)
    return [
        Function(
            name,
            cases=len(of_it),
            shows=frozenset(
                (one, where)
                for item in of_it
                for where in [conditions(item, known, backported)]
                for one in requirements_of(item)
            ),
        )
        for name, of_it in cases.items()
    ]


def conditions(item: pytest.Item, known: Mapping[str, Requirement], backported: Collection[str] = ()) -> Conditions:
    """What its markers say, and the versions for which everything that it shows is promised.

    `backported` are the promises that older kernels may make.
    """
    promises = [known[each] for each in requirements_of(item)]

    def earliest(promise: Requirement) -> Version:
        return () if promise.id in backported else min([promise.versions.since, *promise.stable_versions])

    return Conditions(
        needs=frozenset(option for mark in item.iter_markers("needs") for option in mark.args),
        lacks=frozenset(option for mark in item.iter_markers("lacks") for option in mark.args),
        since=max((parse_version(each.since) for each in promises), default=()),
        until=min(((*parse_version(each.until), math.inf) for each in promises if each.until), default=(math.inf,)),
        promises=frozenset(each.id for each in promises),
        backported_since=max(map(earliest, promises), default=()),
        superseded=any(each.successor in backported for each in promises),
        boot=repr([(mark.args, mark.kwargs) for mark in item.iter_markers("boot")]),
    )
