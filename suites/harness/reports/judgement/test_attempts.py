# SPDX-License-Identifier: GPL-2.0-or-later
"""The verdict of several attempts at one test."""

from __future__ import annotations

from typing import Literal

import pytest

from reports.judgement.attempts import combine
from reports.model.result import Attempt, Verdict
from suites.harness.reports.documents import TIME

LETTERS: dict[str, Verdict] = {
    "P": "pass", "F": "fail", "E": "error", "S": "skip", "W": "waived", "U": "unexpected-pass",
}  # fmt: skip


def attempts(letters: str, breaks: dict[int, tuple[str, ...]] | None = None) -> list[Attempt]:
    return [
        Attempt(
            verdict=LETTERS[letter],
            reason="" if letter == "P" else f"why {number}",
            started=TIME,
            duration_s=0.1,
            breaks=(breaks or {}).get(number, ()),
        )
        for number, letter in enumerate(letters, 1)
    ]


@pytest.mark.parametrize(
    ("option", "letters", "verdict", "reason"),
    [
        ("repeat", "PPP", "pass", ""),
        ("repeat", "FFF", "fail", "broken in 3 of 3 attempts: why 1"),
        ("repeat", "PPF", "flaky", "broken in 1 of 3 attempts: why 3"),
        ("repeat", "FPF", "flaky", "broken in 2 of 3 attempts: why 1"),
        ("repeat", "EPF", "flaky", "broken in 1 of 2 attempts, 1 undetermined: why 3"),
        ("repeat", "FEF", "fail", "broken in 2 of 2 attempts, 1 undetermined: why 1"),
        ("repeat", "PEP", "error", "undetermined in 1 of 3 attempts: why 2"),
        ("repeat", "EEE", "error", "why 1"),
        ("repeat", "PSP", "skip", "why 2"),
        ("repeat", "FSF", "flaky", "broken in 2 of 3 attempts: why 1"),
        ("repeat", "UWU", "waived", "why 2"),
        ("repeat", "WFW", "flaky", "broken in 1 of 3 attempts: why 2"),
        ("confirm", "FFFF", "fail", "broken again in 3 of 3 attempts: why 1"),
        ("confirm", "FPPF", "flaky", "broken again in 1 of 3 attempts: why 1"),
        ("confirm", "FPPP", "flaky", "broken again in 0 of 3 attempts: why 1"),
        ("confirm", "FEFF", "fail", "broken again in 2 of 2 attempts, 1 undetermined: why 1"),
        ("confirm", "FEEE", "fail", "broken again in 0 of 0 attempts, 3 undetermined: why 1"),
    ],
)
def test_the_verdict_on_a_test_is_that_of_its_attempts(
    option: Literal["repeat", "confirm"], letters: str, verdict: Verdict, reason: str
) -> None:
    found = combine(option, attempts(letters))
    assert (found.verdict, found.reason) == (verdict, reason)
    assert [each.verdict for each in found.repetition.attempts] == [LETTERS[letter] for letter in letters]
    assert found.decisive == (int(reason[-1]) - 1 if reason else 0)


@pytest.mark.parametrize(("letters", "contrary"), [("FFF", None), ("FEP", 2), ("PF", 0), ("PP", None), ("FE", None)])
def test_an_attempt_that_held_is_named_beside_one_that_failed(letters: str, contrary: int | None) -> None:
    assert combine("repeat", attempts(letters)).contrary == contrary


@pytest.mark.parametrize(
    ("first", "second", "verdict", "breaks"),
    [
        (("a",), ("a",), "fail", ("a",)),
        (("a",), ("a", "b"), "fail", ("a", "b")),
        (("a",), ("b",), "flaky", ("a", "b")),
        # Without a name, all promises of the test are broken.
        ((), ("b",), "fail", ()),
        ((), (), "fail", ()),
    ],
)
def test_a_promise_must_be_broken_in_all_attempts(
    first: tuple[str, ...], second: tuple[str, ...], verdict: Verdict, breaks: tuple[str, ...]
) -> None:
    found = combine("repeat", attempts("FF", {1: first, 2: second}))
    assert (found.verdict, found.breaks) == (verdict, breaks)
    assert ("no promise in all of them" in found.reason) == (verdict == "flaky")
