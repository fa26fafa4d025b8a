# SPDX-License-Identifier: GPL-2.0-or-later
"""What pytest and its workers say about the end of a run, apart from the verdicts of tests."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from reports.model.result import BROKE, Verdict


class RunEnd:
    """Why a run has ended, or is about to end, before its time."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        """Why workers have ended before any test."""
        self.asked_for = 0
        """The exit status that somebody has asked for; 0 leaves it to the results."""
        self.internal_error = False
        """Whether pytest, or a plugin, has failed."""
        self.interrupted = False
        """Whether a signal has ended the run, or pytest.exit() without a status."""
        self._stopped = False

    def take_worker_end(self, status: int, message: str) -> None:
        """Take why a worker has ended before any test.  Every worker says the same."""
        if message not in self.messages:
            self.messages.append(message)
        self.asked_for = status

    def take_interrupt(self, raised: BaseException) -> None:
        """Take what has stopped the run before its end."""
        if isinstance(raised, pytest.exit.Exception):
            self.asked_for = raised.returncode or 0
            self.interrupted = raised.returncode is None
        else:
            # pytest and xdist also end a run by an exception of this kind after -x, --maxfail, or a failed
            # collection. Then the results decide the exit status.
            self.interrupted = type(raised) is KeyboardInterrupt or "keyboard-interrupt" in str(raised)
            self._stopped = True

    def came_early(self, counts: Mapping[Verdict, int], *, incomplete: bool) -> bool:
        """Whether the run ended before its time, and not because of a failure (-x, --maxfail, failed collection).

        `incomplete`: whether tests have no result.
        """
        failed = any(counts.get(verdict) for verdict in (*BROKE, "error"))
        return self.interrupted or (self._stopped and not failed and incomplete)
