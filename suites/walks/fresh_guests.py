# SPDX-License-Identifier: GPL-2.0-or-later
"""Many guests in one test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from guests.guest import Guest


@dataclass(frozen=True)
class GuestSupply:
    """What a test needs that takes many guests."""

    take: Callable[[], Guest]
    """Starts a guest, which the caller must close."""
    complaint: Callable[[Guest], str]
    """What the kernel of a guest has complained about, except for what is waived; empty if nothing."""


@contextlib.contextmanager
def one_after_another(take: Callable[[], Guest]) -> Iterator[Callable[[], Guest]]:
    """A function that returns a fresh guest, and closes the one before it.

    The last one remains until the end of the block: it is the one that a report shows.  The first is taken at once,
    so what is wrong with the boot is not found by a walk.
    """
    current = take()
    waiting = [current]

    def following() -> Guest:
        nonlocal current
        if waiting:
            return waiting.pop()
        current.close()
        current = take()
        return current

    try:
        yield following
    finally:
        current.close()
