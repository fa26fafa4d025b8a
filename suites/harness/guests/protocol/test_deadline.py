# SPDX-License-Identifier: GPL-2.0-or-later
"""A deadline counts the time that a guest could run, and no other."""

from __future__ import annotations

import pytest

from guests.protocol import deadline as module
from guests.protocol.deadline import Deadline

Clock = list[float]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time, which a test moves: its only element."""
    clock = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    return clock


class TestDeadline:
    def test_a_span_is_over_when_its_seconds_are(self, now: Clock) -> None:
        deadline = Deadline(20)
        assert deadline.left() == pytest.approx(1), "after a second the host is asked what it has taken so far"
        now[0] += 1
        assert deadline.left() == pytest.approx(19)
        now[0] += 19
        assert deadline.left() <= 0

    def test_what_the_host_took_is_given_back(self, now: Clock) -> None:
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

    def test_it_does_not_wait_for_ever(self, now: Clock) -> None:
        lost = [0.0]
        deadline = Deadline(20, lambda: lost[0])
        now[0] += 1
        deadline.left()
        now[0] += 10_000
        lost[0] += 10_000
        assert deadline.left() <= 0

    def test_a_short_one_is_short(self, now: Clock) -> None:
        deadline = Deadline(0.01)
        assert deadline.left() == pytest.approx(0.01)
        now[0] += 0.01
        assert deadline.left() <= 0
