# SPDX-License-Identifier: GPL-2.0-or-later
"""The exit status of a run, which is what a gate reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reports.model.result import Verdict
from reports.model.run_record import FlakyPolicy

RAN: tuple[Verdict, ...] = ("pass", "waived", "unexpected-pass")

HELD, BROKEN, INTERRUPTED, UNDETERMINED, WRONG_USE, NOTHING_RAN = range(6)

MEANING = {
    HELD: "all promises held",
    BROKEN: "a promise was broken",
    INTERRUPTED: "interrupted",
    UNDETERMINED: "something could not be determined, and no promise was seen broken",
    WRONG_USE: "wrong use",
    NOTHING_RAN: "nothing ran",
}
FLAKY = "a promise was broken in some attempts, and not in others"
NOT_NEEDED = "a waiver is not needed (--strict-waivers)"


@dataclass(frozen=True)
class Ending:
    """How a run ended, apart from the verdicts of its tests."""

    interrupted: bool = False
    """By Ctrl-C, or by pytest.exit() without a code.  -x and --maxfail end a run as its user asked."""
    internal_error: bool = False
    wrong_use: bool = False
    write_failed: bool = False
    strict_waivers: bool = False
    """The user wants no waiver that is not needed (--strict-waivers)."""
    idle_waivers: bool = False
    """A waived promise was held."""
    asked_for: int = 0
    """The return code given to pytest.exit(); 0 leaves it to the results."""
    flaky: FlakyPolicy = "broken"
    """What a flaky test counts as."""


def exit_status(counts: Mapping[Verdict, int], error_statuses: frozenset[int], ending: Ending) -> int:
    """The exit status of a run with so many tests of each verdict.

    `error_statuses` has what the errors among them ask for (3 or 4).  A broken promise outweighs errors, because it
    was seen, and so does a flaky one, unless the user has chosen otherwise.  If nothing ran, or if a test is flaky,
    the status is never 0.
    """
    if ending.internal_error:
        return UNDETERMINED
    if ending.wrong_use:
        return WRONG_USE
    if ending.asked_for:
        return ending.asked_for
    if ending.interrupted:
        return INTERRUPTED
    if counts.get("fail") or (ending.strict_waivers and (counts.get("unexpected-pass") or ending.idle_waivers)):
        return BROKEN
    if counts.get("flaky") and ending.flaky == "broken":
        return BROKEN
    if counts.get("error"):
        return WRONG_USE if WRONG_USE in error_statuses else UNDETERMINED
    if ending.write_failed or counts.get("flaky"):
        return UNDETERMINED
    if any(counts.get(verdict) for verdict in RAN):
        return HELD
    return NOTHING_RAN


def meaning(status: int, counts: Mapping[Verdict, int]) -> str:
    """What the exit status of a run with so many tests of each verdict means."""
    if counts.get("flaky") and status in (BROKEN, UNDETERMINED) and not counts.get("fail"):
        return FLAKY
    if status == BROKEN and not counts.get("fail"):
        return NOT_NEEDED
    return MEANING.get(status, "ended by pytest.exit()")
