# SPDX-License-Identifier: GPL-2.0-or-later
"""The verdict on a test that was run more than once, combined from those of its attempts: broken, flaky, or held.

A promise is broken if every attempt that determined anything broke it, and flaky if only some did.  Attempts that
ended in an error determined nothing.  Without a failure, the most severe verdict counts.

With --repeat all attempts count.  With --confirm, a failure is the reason for the others, so it does not count
itself: `3 of 3` are then three attempts that nobody chose by their outcome.  If the others pass, it still makes the
test flaky.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from reports.judgement.verdict import all_broken
from reports.model.result import SEVERITY, Attempt, Repetition, Verdict


@dataclass(frozen=True)
class CombinedVerdict:
    """The verdict on a test that was run more than once."""

    verdict: Verdict
    reason: str
    breaks: tuple[str, ...]
    decisive: int
    """The number of the first attempt with the failure, or else with the verdict; from 0."""
    contrary: int | None
    """The number of the first attempt that held what the decisive one broke; None if there is none."""
    repetition: Repetition


def combine(option: Literal["repeat", "confirm"], attempts: Sequence[Attempt]) -> CombinedVerdict:
    """The verdict on a test from all attempts at it, in their order.  With `confirm`, the first one has failed."""
    counted = [each for each in attempts[1 if option == "confirm" else 0 :] if each.verdict != "error"]
    broken = sum(each.verdict == "fail" for each in counted)
    repetition = Repetition(option=option, broken=broken, of=len(counted), attempts=tuple(attempts))
    verdicts = [each.verdict for each in attempts]
    worst = max(verdicts, key=SEVERITY.__getitem__)
    decisive = verdicts.index(worst)
    first = attempts[decisive]
    if worst != "fail":
        unsure = verdicts.count("error")
        some = f"undetermined in {unsure} of {len(attempts)} attempts: " if 0 < unsure < len(attempts) else ""
        return CombinedVerdict(worst, f"{some}{first.reason}", first.breaks, decisive, None, repetition)
    contrary = next((number for number, verdict in enumerate(verdicts) if verdict not in ("fail", "error")), None)
    breaks = [each.breaks for each in attempts if each.verdict == "fail"]
    always = contrary is None and _one_broken_always(breaks)
    lost = len(attempts) - (option == "confirm") - len(counted)
    said = repetition.words + (f", {lost} undetermined" if lost else "")
    if contrary is None and not always:
        said += ", but no promise in all of them"
    verdict: Verdict = "fail" if always else "flaky"
    return CombinedVerdict(verdict, f"{said}: {first.reason}", all_broken(breaks), decisive, contrary, repetition)


def _one_broken_always(breaks: Iterable[tuple[str, ...]]) -> bool:
    """Whether there is a promise that all failures broke.  Empty stands for all promises of the test."""
    named = [set(each) for each in breaks if each]
    return not named or bool(set.intersection(*named))
