# SPDX-License-Identifier: GPL-2.0-or-later
"""`--cases N`: at most N cases of each test function for each kernel, and other ones for the next kernel."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from reports.run.requirement_marker import function_of


def deselect_others(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases beyond that number, among those that all other options have chosen."""
    number: int | None = config.option.cases
    if number is None:
        return
    kept = set(chosen([(function_of(item), _kernel(item)) for item in items], number))
    config.hook.pytest_deselected(items=[item for place, item in enumerate(items) if place not in kept])
    items[:] = [item for place, item in enumerate(items) if place in kept]


def chosen(cases: Sequence[tuple[str, str]], number: int) -> list[int]:
    """The places of the chosen cases.  A case is a function and a kernel.

    The first kernel gets the first ones of each function, the second those that follow, and after the last the first
    again: many kernels together get all cases.
    """
    kernels = list(dict.fromkeys(kernel for _, kernel in cases))
    groups: dict[tuple[str, str], list[int]] = {}
    for place, case in enumerate(cases):
        groups.setdefault(case, []).append(place)
    found: list[int] = []
    for (_, kernel), places in groups.items():
        begin = kernels.index(kernel) * number
        found += {places[(begin + step) % len(places)] for step in range(number)}
    return sorted(found)


def _kernel(item: pytest.Item) -> str:
    """The id of the kernel that a test is for; empty if it needs none."""
    callspec = getattr(item, "callspec", None)
    return repr(callspec.params["kernel"]) if callspec and "kernel" in callspec.params else ""
