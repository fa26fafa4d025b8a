# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of mutants: every one can be applied, and says what it breaks.  No kernel is built here."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.harness.mutants.__main__ import summary
from suites.harness.mutants.lab import Result
from suites.harness.mutants.table import BadTable, Mutant, areas, load

SUITES = Path(__file__).parents[1]

SOURCE = "int scope = 1;\nint other = 1;\n"


def mutant(find: str, replace: str = "") -> Mutant:
    return Mutant("an-id", "What it breaks.", "a.c", find, replace)


@pytest.mark.parametrize("area", areas())
def test_table(area: str) -> None:
    """At least 25 of each area, each with a sentence, an edit that changes something, and tests that exist."""
    mutants = load(area)
    assert len(mutants) >= 25
    for each in mutants:
        assert each.text.endswith(".")
        assert each.find != each.replace
        assert not each.first or (SUITES / area / each.first).is_file()
        assert each.first or each.equivalent


def test_edit() -> None:
    """It changes the one place that it names."""
    assert mutant("scope = 1", "scope = 0").apply(SOURCE) == "int scope = 0;\nint other = 1;\n"


@pytest.mark.parametrize("find", ["missing", "= 1"], ids=["no-place", "two-places"])
def test_edit_without_its_place(find: str) -> None:
    """An edit that fits nowhere, or twice, is an error, and no mutant that happens to survive."""
    with pytest.raises(BadTable, match="an-id"):
        mutant(find).apply(SOURCE)


def test_unknown_area() -> None:
    """The error names the areas that there are."""
    with pytest.raises(BadTable, match="yama"):
        load("nonsense")


def test_summary_names_survivors() -> None:
    """What was not noticed is what one has to know."""
    results = [Result(mutant("a"), "noticed", "test_a"), Result(mutant("b"), "SURVIVED")]
    assert summary(results) == "mutants: 1 noticed, 1 SURVIVED\n  SURVIVED: an-id"
