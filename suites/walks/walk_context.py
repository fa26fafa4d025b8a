# SPDX-License-Identifier: GPL-2.0-or-later
"""What the walks of a test have in common: where their guests come from, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from guests.errors import KconformError


class WalkStopped(BaseException):
    """Leave the walks at once: because of a harness error, which must not be shrunk, or because the time is over.

    It is derived from BaseException so that Hypothesis lets it pass.
    """

    def __init__(self, cause: BaseException | None = None) -> None:
        super().__init__()
        self.cause = cause


@dataclass
class WalkContext:
    """What the walks of a test have in common."""

    take: Callable[[], Any]
    """Returns a fresh guest, and closes the one before it."""
    complaint: Callable[[Any], str] = lambda _: ""
    """What the kernel of a guest has complained about; empty if nothing."""
    starts: Callable[[], None] = lambda: None
    """Called before each walk."""
    steps: int = 0
    """Steps so far, in all walks."""
    found: bool = False
    """Whether a difference was found, which is then shrunk."""
    stopped: WalkStopped | None = None

    def stop(self, cause: KconformError | None = None) -> NoReturn:
        """Leave the walks.  It is remembered, because Hypothesis may take it for a walk that cannot be repeated."""
        self.stopped = WalkStopped(cause)
        raise self.stopped from cause
