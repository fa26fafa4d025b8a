# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures what kernels take before their tests can run, where it happens.

The process that does the work records a step, and no other process does.  Every process that waits records that it
waited, for its own work or for another's; waiting within waiting counts once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Step = Literal["fetch", "build", "probe", "boot"]
"""`probe` finds out whether KVM works; `boot` ends with a saved template."""

What = Literal["wait", "fetch", "build", "probe", "boot"]

Record: TypeAlias = Callable[[str, What, float], None]
"""Called with the id of a kernel, what happened, and the seconds that it took."""


def discard(kernel: str, what: What, seconds: float) -> None:
    """Record nothing."""


@dataclass
class Stopwatch:
    """Measures what a kernel takes, and records it."""

    record: Record = discard
    clock: Callable[[], float] = time.monotonic
    """Counts seconds."""
    _waiting: bool = field(default=False, init=False)

    @contextlib.contextmanager
    def timed(self, kernel: str, what: What) -> Iterator[None]:
        """Record how long the block takes, however it ends."""
        if what == "wait" and self._waiting:
            yield
            return
        waiting, self._waiting = self._waiting, self._waiting or what == "wait"
        start = self.clock()
        try:
            yield
        finally:
            self._waiting = waiting
            self.record(kernel, what, self.clock() - start)


UNRECORDED = Stopwatch()
