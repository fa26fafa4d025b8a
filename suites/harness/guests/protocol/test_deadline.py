# SPDX-License-Identifier: GPL-2.0-or-later
"""A deadline counts only the time in which the guest could run."""

from __future__ import annotations

import pytest

from guests.protocol import deadline as module
from guests.protocol.deadline import Deadline

Clock = list[float]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A list whose only element is the time, which a test sets."""
    clock = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    return clock


class TestDeadline:
    def test_a_deadline_passes_after_its_seconds(self, now: Clock) -> None:
        deadline = Deadline(20)
        assert deadline.left() == pytest.approx(1), "after a second, the lost time is read"
        now[0] += 1
        assert deadline.left() == pytest.approx(19)
        now[0] += 19
        assert deadline.left() <= 0

    def test_time_that_the_host_took_extends_the_deadline(self, now: Clock) -> None:
        lost = [5.0]
        deadline = Deadline(20, lambda: lost[0])
        now[0] += 1
        deadline.left()
        now[0] += 19
        lost[0] += 12
        assert deadline.left() == pytest.approx(12)
        now[0] += 12
        lost[0] += 3
        assert deadline.left() == pytest.approx(3)
        now[0] += 3
        assert deadline.left() <= 0

    def test_the_extension_is_limited(self, now: Clock) -> None:
        lost = [0.0]
        deadline = Deadline(20, lambda: lost[0])
        now[0] += 1
        deadline.left()
        now[0] += 10_000
        lost[0] += 10_000
        assert deadline.left() <= 0

    def test_the_lost_time_is_not_read_for_a_short_deadline(self, now: Clock) -> None:
        deadline = Deadline(0.01)
        assert deadline.left() == pytest.approx(0.01)
        now[0] += 0.01
        assert deadline.left() <= 0
