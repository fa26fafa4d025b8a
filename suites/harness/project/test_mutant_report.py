# SPDX-License-Identifier: GPL-2.0-or-later
"""Results of mutants: nothing that needs a look is lost, and an exit status tells of the worst."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import UsageError
from suites.mutation.mutant import Edit, Fix, Mutant
from suites.mutation.mutant_report import as_markdown, exit_status, read_json, summary, write_json
from suites.mutation.mutant_tester import MutantResult
from suites.mutation.reproducer_trials import REPRODUCES, REPRODUCES_LATER

MUTANT = Mutant("an-id", "What it breaks.", (Edit("a.c", "a", "b"),))
BUG = replace(MUTANT, fix=Fix("area: Fix a|b", "0123456789abcdef", "5.2"))


def test_the_summary_names_survivors_and_what_could_not_be_judged() -> None:
    statuses = ["error", "no match", "SURVIVED", "detected", "no effect", "detected"]
    results = [MutantResult(MUTANT, status) for status in statuses]
    assert summary(results) == (
        "mutants: 2 detected, 1 SURVIVED, 1 no match, 1 no effect, 1 error\n"
        "  error: an-id\n  no match: an-id\n  SURVIVED: an-id\n  no effect: an-id"
    )


def test_the_summary_counts_reproducers(tmp_path: Path) -> None:
    """They are kept for --resume."""
    said = [REPRODUCES, "none: it has 32-bit tasks", REPRODUCES_LATER, ""]
    mutants = [replace(MUTANT, id=f"id-{number}") for number in range(4)]
    results = [MutantResult(each, "detected", reproducer=one) for each, one in zip(mutants, said, strict=True)]
    assert summary(results).splitlines()[1:] == [
        "reproducers: 2 of 3 show the fault, and hold without it; 1 of them are not of the first test that failed",
        "  id-1: none: it has 32-bit tasks",
    ]
    write_json(tmp_path / "results.json", results)
    assert list(read_json(tmp_path / "results.json", mutants).values()) == results


def test_a_reproducer_must_not_accuse_a_good_kernel() -> None:
    assert exit_status([MutantResult(MUTANT, "detected", reproducer="none: it has 32-bit tasks")]) == 0
    assert exit_status(iter([MutantResult(MUTANT, "detected", reproducer="accuses the unchanged kernel")])) == 1


@pytest.mark.parametrize(
    ("statuses", "status", "of_drawn"),
    [
        (["detected", "argued", "not here"], 0, 0),
        (["error", "SURVIVED"], 1, 1),
        (["detected", "error"], 3, 3),
        (["detected", "no match"], 3, 3),
        (["detected", "no effect"], 3, 0),
        (["detected", "does not compile"], 0, 0),
    ],
    ids=lambda value: "-".join(value).replace(" ", "-") if isinstance(value, list) else None,
)
def test_exit_status(statuses: list[str], status: int, of_drawn: int) -> None:
    results = [MutantResult(MUTANT, each) for each in statuses]
    assert (exit_status(results), exit_status(results, drawn=True)) == (status, of_drawn)


def test_results_are_read_again(tmp_path: Path) -> None:
    """Not those that have to be had again, nor those of an entry that has changed."""
    path = tmp_path / "out" / "results.json"
    mutants = [replace(BUG, id=name) for name in ("detected", "survived", "failed", "changed", "gone")]
    statuses = ["detected", "SURVIVED", "error", "detected", "detected"]
    results = [MutantResult(each, status, "by", 1.5) for each, status in zip(mutants, statuses, strict=True)]
    write_json(path, results)
    mutants[3] = replace(mutants[3], edits=(Edit("a.c", "a", "c"),))
    assert list(read_json(path, mutants[:4]).values()) == results[:2]


@pytest.mark.parametrize("content", ["", '{"id": 1}', '[{"id": 1}]', "[1]"])
def test_what_has_no_results(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="has no results of mutants"):
        read_json(path, [BUG])


def test_json_has_the_whole_entry(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", [MutantResult(BUG, "detected", "test_a", 2.25)])
    (row,) = json.loads((tmp_path / "results.json").read_text())
    assert row["fix"] == {
        "title": "area: Fix a|b",
        "commit": "0123456789abcdef",
        "release": "5.2",
        "confirmed": True,
    }
    assert row["edits"][0]["find"] == "a"
    assert (row["status"], row["by"], row["seconds"]) == ("detected", "test_a", 2.2)


def test_the_table_of_the_history() -> None:
    results = [
        MutantResult(BUG, "detected", "test_a[x|y] (yama.log)"),
        MutantResult(replace(BUG, fix=Fix("area: Fix b", "", "6.1", confirmed=False)), "SURVIVED"),
        MutantResult(BUG, "not here", "needs several CPUs"),
        MutantResult(BUG, "argued", "It has no effect."),
    ]
    title = "area: Fix a\\|b (`0123456789ab`)"
    assert as_markdown(results) == [
        "| id | fix | release | what users saw | noticed by |",
        "|---|---|---|---|---|",
        f"| `an-id` | {title} | 5.2 | What it breaks. | `test_a[x\\|y] (yama.log)` |",
        "| `an-id` | area: Fix b, unconfirmed | 6.1 | What it breaks. | **nothing** |",
        f"| `an-id` | {title} | 5.2 | What it breaks. | not here: needs several CPUs |",
        f"| `an-id` | {title} | 5.2 | What it breaks. | cannot be seen: It has no effect. |",
    ]


def test_the_table_of_others() -> None:
    assert as_markdown([MutantResult(MUTANT, "detected", "test_a")]) == [
        "| id | what is wrong | noticed by |",
        "|---|---|---|",
        "| `an-id` | What it breaks. | `test_a` |",
    ]
