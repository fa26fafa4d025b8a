# SPDX-License-Identifier: GPL-2.0-or-later
"""The exit status of a run: what a gate reads.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

HELD, BROKEN, INTERRUPTED, OURS, WRONG_USE, NOTHING = range(6)

MEANING = {
    HELD: "all promises held",
    BROKEN: "a promise was broken",
    INTERRUPTED: "interrupted",
    OURS: "errors of ours, no broken promise seen",
    WRONG_USE: "wrong use",
    NOTHING: "nothing ran",
}


@dataclass(frozen=True)
class Ending:
    """How a run came to its end, besides what its tests said."""

    interrupted: bool = False
    """Ctrl-C, or pytest.exit() without a code.  Not -x or --maxfail: these end a run as its user asked."""
    internal_error: bool = False
    wrong_use: bool = False
    write_failed: bool = False
    strictness: bool = False
    """The user wants no waiver that is not needed (--strict-waivers)."""
    idle_waivers: bool = False
    """A promise that is waived was kept."""
    asked_for: int = 0
    """The return code that someone gave to pytest.exit(), or 0: a clean end is judged by its results."""


def exit_status(counts: Mapping[str, int], error_statuses: frozenset[int], ending: Ending) -> int:
    """The exit status of a run whose outcomes are `counts`.

    `error_statuses` holds what the errors among them ask for (3 or 4).  A broken promise outweighs errors of
    ours, because it was seen; nothing that ran is never 0.
    """
    if ending.internal_error:
        return OURS
    if ending.wrong_use:
        return WRONG_USE
    if ending.asked_for:
        return ending.asked_for
    if ending.interrupted:
        return INTERRUPTED
    if counts.get("fail") or (ending.strictness and (counts.get("unexpected-pass") or ending.idle_waivers)):
        return BROKEN
    if counts.get("error"):
        return WRONG_USE if WRONG_USE in error_statuses else OURS
    if ending.write_failed:
        return OURS
    if any(counts.get(outcome) for outcome in ("pass", "waived", "unexpected-pass")):
        return HELD
    return NOTHING
