# SPDX-License-Identifier: GPL-2.0-or-later
"""Deadlines in a guest's own time."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

_PATIENCE_S = 1.0
"""For what is over by then, the host is not asked what it has taken."""
_LONGEST_EXTENSION_S = 600.0


class Deadline:
    """A span of a guest's time: what the host takes from the guest meanwhile does not count."""

    def __init__(self, seconds: float, lost_s: Callable[[], float] = lambda: 0.0) -> None:
        """`lost_s` returns the seconds that the host has taken from the guest so far."""
        self._lost_s = lost_s
        self._end = monotonic() + seconds
        self._witnessed_from = monotonic() + _PATIENCE_S
        self._lost: float | None = None
        self._extension_left = _LONGEST_EXTENSION_S

    def left(self) -> float:
        """Seconds that may now be waited before asking again; 0.0 or less when the span is over."""
        now = monotonic()
        if self._lost is None:
            if now < self._witnessed_from < self._end:
                return self._witnessed_from - now
            self._lost = self._lost_s()
        if now >= self._end:
            more = min(self._lost_s() - self._lost, self._extension_left)
            self._lost += more
            self._extension_left -= more
            self._end += more
        return self._end - now
