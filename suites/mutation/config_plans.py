# SPDX-License-Identifier: GPL-2.0-or-later
"""The fewest configurations that mutants with options of their own need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kconfigs.architectures import Architecture
from suites.mutation.mutant import Mutant


def plan_configs(
    mutants: Iterable[Mutant], asked: Mapping[str, str], own: Architecture
) -> list[tuple[list[str], list[Mutant]]]:
    """The options of each kernel that has to be configured, and the mutants that are built from it.

    The first has no options: it is for the mutants without, and for those that are not built for this architecture.
    All others are in one, because a configuration costs a build of what depends on it, and the tests of a kernel
    without a fault; only a mutant that contradicts them, or what the flavor asks for, gets another.
    """
    plain: list[Mutant] = []
    plans: list[tuple[dict[str, str], list[Mutant]]] = []
    for mutant in mutants:
        if mutant.argued or mutant.missing or not mutant.config or mutant.foreign(own):
            plain.append(mutant)
            continue
        options = mutant.options
        fitting = (
            each
            for each in plans
            if all(each[0].get(name, asked.get(name, value)) == value for name, value in options.items())
        )
        if (chosen := next(fitting, None)) is None:
            plans.append(chosen := ({}, []))
        chosen[0].update(options)
        chosen[1].append(mutant)
    return [
        ([], plain),
        *(([f"{name}={value}" for name, value in sorted(plan.items())], members) for plan, members in plans),
    ]
