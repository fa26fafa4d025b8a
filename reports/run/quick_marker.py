# SPDX-License-Identifier: GPL-2.0-or-later
"""The marker `quick`, which the tests get that `judgement.quick_choice` chooses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import pytest

from common.versions import parse_version
from reports.judgement.quick_choice import Conditions, Function, choose
from reports.model.requirements import Requirement
from reports.run.requirement_marker import function_of, registry, requirements_of

MARKER = "quick"


def mark(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Mark the few, if `-m` asks for the marker."""
    if MARKER not in config.option.markexpr:
        return
    chosen = choose(functions_of(items, registry(config)))
    for item in items:
        if function_of(item) in chosen:
            item.add_marker(MARKER)


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
    """What its markers say, and the versions for which everything that it shows is promised."""
    promises = [known[each] for each in requirements_of(item)]
    return Conditions(
        needs=frozenset(option for mark in item.iter_markers("needs") for option in mark.args),
        lacks=frozenset(option for mark in item.iter_markers("lacks") for option in mark.args),
        since=max((parse_version(each.since) for each in promises), default=()),
        until=min(((*parse_version(each.until), math.inf) for each in promises if each.until), default=(math.inf,)),
        boot=repr([(mark.args, mark.kwargs) for mark in item.iter_markers("boot")]),
    )
