# SPDX-License-Identifier: GPL-2.0-or-later
"""The time limit of a test, which ends one that would never end.

Each wait for a guest has a deadline of its own (protocol/deadline.py), so only a loop, or a program of the host, can
take so long.  A test that is out of time has found out nothing: it is a harness error.  Its guest is given up, and
the next test gets another one.

All scaling is here: the limit is for KVM and an idle machine.  Without KVM, and in tests without a guest, it is twice
as long; on a busy machine it grows with the load.  Periods in which this process was stopped do not count, nor does
the wait for a kernel or for a boot, which have deadlines of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from time import monotonic
from types import FrameType

from guests.vm.host_time import HEARTBEAT

DEFAULT_S = 300.0
"""Ten times what the longest test of the suites takes on an idle machine with KVM."""
EMULATED = 2.0
"""How many times longer a test may take under TCG."""
MOST_LOAD = 20.0
"""The load per processor beyond which the limit does not grow."""
CLEAN_UP_S = 60.0
"""Seconds, before scaling, for the rest of a test that is out of time."""


class OutOfTime(BaseException):
    """A test has not ended in time: a harness error.

    It is derived from BaseException because code that copes with any Exception would let the test continue.
    """

    verdict = "error"
    exit_status = 3
    hint = "see where it was in the evidence; --test-timeout sets the limit"

    def __init__(self, message: str, *, stack: str) -> None:
        super().__init__(message)
        self.message = message
        self.evidence = {"where the test was": stack}


def seconds(text: str) -> float:
    """The value of --test-timeout."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds (0: no limit)")
    return value


def load() -> float:
    """Runnable tasks per processor that this process may use, averaged over a minute; at least 1."""
    return min(MOST_LOAD, max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0))))


class TimeLimit:
    """The limit of the tests of this process, which run one after another in its main thread."""

    def __init__(self, limit_s: float) -> None:
        """`limit_s`: seconds, before scaling; 0 for no limit."""
        self._limit_s = limit_s
        self.kvm = False
        """Whether the guest of the current test runs under KVM."""
        self._spent_s = 0.0
        self._since: float | None = None
        """When the current period began that counts."""
        self._allowed_s = 0.0

    def begin(self) -> None:
        """A test begins."""
        HEARTBEAT.start()
        self.kvm = False
        self._spent_s = 0.0
        self._allowed_s = self._limit_s

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """OutOfTime is raised in this block if the test is out of time."""
        if not self._limit_s or threading.current_thread() is not threading.main_thread():
            yield
            return
        former = signal.signal(signal.SIGALRM, self._ring)
        try:
            try:
                self._start()
                yield
            finally:
                self._stop()
        except OutOfTime:
            self._stop()  # the time may have run out just before the first attempt
            raise
        finally:
            signal.signal(signal.SIGALRM, former)

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """The time in this block, which must be within `applied`, does not count."""
        if self._since is None:
            yield
            return
        self._stop()
        try:
            yield
        finally:
            self._start()

    def renew(self) -> None:
        """A part of the test begins that may take as long as a test."""
        if self._since is not None:
            self._stop()
            self._spent_s = 0.0
            self._start()

    def _scaled(self, limit_s: float) -> float:
        return limit_s * load() * (1.0 if self.kvm else EMULATED)

    def _start(self) -> None:
        self._since = monotonic()
        self._set_alarm(self._scaled(self._allowed_s) - self._spent_s)

    def _stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._since is not None:
            self._spent_s += self._ran_s(self._since)
            self._since = None

    def _set_alarm(self, left_s: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, max(0.001, left_s))

    def _ran_s(self, since: float) -> float:
        return monotonic() - since - HEARTBEAT.lost_s(since)

    def _ring(self, _number: int, frame: FrameType | None) -> None:
        if self._since is None:
            return
        spent_s = self._spent_s + self._ran_s(self._since)
        left_s = self._scaled(self._allowed_s) - spent_s
        if left_s > 0:
            # The machine has become busier meanwhile, or did not run.
            self._set_alarm(left_s)
            return
        # What is left of the test, such as its teardown, may hang too.
        self._allowed_s = spent_s / self._scaled(1.0) + CLEAN_UP_S
        self._set_alarm(self._scaled(CLEAN_UP_S))
        stack = "".join(traceback.format_stack(frame))
        raise OutOfTime(f"the test did not end within {spent_s:.0f} s", stack=stack)
