# SPDX-License-Identifier: GPL-2.0-or-later
"""Deadlines in a guest's own time."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

_FIRST_READING_S = 1.0
"""The time is not read for deadlines that are met within this period."""
_LONGEST_EXTENSION_S = 600.0


class Deadline:
    """A deadline in the guest's time: time that the host takes from the guest does not count."""

    def __init__(self, seconds: float, lost_s: Callable[[], float] = lambda: 0.0) -> None:
        """`lost_s` returns the seconds that the host has taken from the guest so far."""
        self._lost_s = lost_s
        self._end = monotonic() + seconds
        self._read_from = monotonic() + _FIRST_READING_S
        self._lost: float | None = None
        self._extension_left = _LONGEST_EXTENSION_S

    def left(self) -> float:
        """Seconds to wait before calling this again; 0.0 or less if the deadline has passed."""
        now = monotonic()
        if self._lost is None:
            if now < self._read_from < self._end:
                return self._read_from - now
            self._lost = self._lost_s()
        if now >= self._end:
            more = min(self._lost_s() - self._lost, self._extension_left)
            self._lost += more
            self._extension_left -= more
            self._end += more
        return self._end - now
