# SPDX-License-Identifier: GPL-2.0-or-later
"""The exit status of a run, from the counts of its verdicts and the way it ended."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from reports.judgement.exit_status import Ending, exit_status
from reports.model.result import Verdict


@pytest.mark.parametrize(
    ("counts", "statuses", "ending", "status"),
    [
        ({"pass": 1}, {}, Ending(), 0),
        ({"pass": 1, "skip": 3}, {}, Ending(), 0),
        ({"pass": 1, "fail": 1, "error": 1}, {4}, Ending(), 1),
        ({"pass": 1, "fail": 1}, {}, Ending(interrupted=True), 2),
        ({"pass": 1, "error": 1}, {3}, Ending(), 3),
        ({"pass": 1}, {}, Ending(write_failed=True), 3),
        ({"fail": 1}, {}, Ending(write_failed=True), 1),
        ({"fail": 1}, {}, Ending(internal_error=True), 3),
        ({"pass": 1, "error": 1}, {4}, Ending(), 4),
        ({"pass": 1}, {}, Ending(wrong_use=True), 4),
        ({}, {}, Ending(), 5),
        ({"skip": 7}, {}, Ending(), 5),
        ({"pass": 1}, {}, Ending(asked_for=3), 3),
        ({"pass": 1, "flaky": 1, "error": 1}, {4}, Ending(), 1),
        ({"pass": 1, "flaky": 1}, {}, Ending(flaky="undetermined"), 3),
        ({"flaky": 1}, {}, Ending(flaky="undetermined"), 3),
        ({"flaky": 1, "fail": 1}, {}, Ending(flaky="undetermined"), 1),
        ({"flaky": 1, "error": 1}, {4}, Ending(flaky="undetermined"), 4),
        ({"flaky": 1}, {}, Ending(interrupted=True), 2),
    ],
)
def test_the_exit_status_table(
    counts: Mapping[Verdict, int], statuses: set[int], ending: Ending, status: int
) -> None:
    assert exit_status(counts, frozenset(statuses), ending) == status
