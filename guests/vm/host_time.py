# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host takes from a guest's time: pauses, and processors that others use.

A guest that is stopped, or that waits for its turn, cannot answer, and its kernel may well say that something is
stuck.  Neither is that kernel's fault.  Three witnesses tell:

    the kernel of the host   run_delay in /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst):
                             how long a thread of QEMU was ready to run, and waited
    waitid(2)                that QEMU was stopped or continued by a signal, for we are its parent
    the heartbeat            that this process itself, and the guest with it, did not run for a while
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from time import monotonic

STARVED_S = 10.0
"""Seconds without a processor that explain what a kernel says about time: half of its shortest limit, the soft
lockup's 20 s (kernel/watchdog.c, get_softlockup_thresh())."""
_BEAT_S = 0.5
_GAP_S = 3.0
"""A heartbeat that comes so late was held up by more than a busy machine."""


class Heartbeat:
    """A thread that notices when this process has not run.  It starts with the first question and ends with us."""

    def __init__(self) -> None:
        self._gaps: list[tuple[float, float]] = []
        self._last = monotonic()
        self._started = False
        self._lock = threading.Lock()

    def start(self) -> None:
        with self._lock:
            if self._started:
                return
            self._started = True
        self._last = monotonic()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def lost_s(self, since: float) -> float:
        """Seconds in which nothing ran here, after `since` (of time.monotonic()); short gaps do not count."""
        self._note(monotonic())
        return sum(end - max(start, since) for start, end in self._gaps if end > since)

    def _beat(self) -> None:
        never = threading.Event()
        while True:
            never.wait(_BEAT_S)
            self._note(monotonic())

    def _note(self, now: float) -> None:
        with self._lock:
            if now - self._last > _GAP_S:
                self._gaps.append((self._last, now))
            self._last = now


HEARTBEAT = Heartbeat()
"""That of this process."""


class HostTime:
    """What one QEMU, a child of this process, has had to do without since it was started."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._started = monotonic()
        self._was_stopped = False
        HEARTBEAT.start()

    def starved_s(self) -> float:
        """Seconds for which the thread of QEMU that waited longest was ready to run, and did not."""
        delays = [0]
        for file in Path(f"/proc/{self._pid}/task").glob("*/schedstat"):
            # A thread may end meanwhile, and a host's kernel may lack CONFIG_SCHED_INFO.
            with contextlib.suppress(OSError, IndexError, ValueError):
                delays.append(int(file.read_text().split()[1]))
        return max(delays) / 1e9

    def lost_s(self) -> float:
        """Seconds that the host has taken from the guest."""
        return self.starved_s() + HEARTBEAT.lost_s(self._started)

    def pause(self) -> str:
        """In words, that the guest was paused; empty if it was not."""
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, self._pid, os.WSTOPPED | os.WCONTINUED | os.WNOHANG) is not None:
                self._was_stopped = True
        if self._was_stopped:
            return "QEMU was stopped by a signal from outside"
        if gap := HEARTBEAT.lost_s(self._started):
            return f"nothing here ran for {gap:.0f} s, as on a machine that was suspended"
        return ""

    def excuse(self) -> str:
        """In words, that the guest was paused or starved for so long that its own sense of time is worth nothing."""
        if pause := self.pause():
            return pause
        if (starved := self.starved_s()) > STARVED_S:
            return f"QEMU waited {starved:.0f} s for a processor that others used"
        return ""
