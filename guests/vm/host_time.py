# SPDX-License-Identifier: GPL-2.0-or-later
"""Time that the host takes from a guest: pauses, and waiting for processors, disks or memory of the host.

A guest that is stopped, or that waits for a processor, cannot answer, and its kernel may report that something is
stuck.  Neither is the fault of that kernel.  There are four sources:

    schedstat       in /proc/PID/task/TID (Documentation/scheduler/sched-stats.rst), run_delay: how long a thread of
                    QEMU was runnable, but did not run
    stat            in the same place: whether a thread is in state D, because it waits for a file, on a network for
                    instance, or for memory that is in swap or limited
    waitid(2)       whether QEMU, our child, was stopped or continued by a signal
    the heartbeat   whether this process, and therefore the guest, did not run for a while
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

LIMIT_S = 20.0
"""A limit that is at least this long means nothing after half of this time without a processor.  It is the shortest
limit of a kernel with usual settings, that of a soft lockup."""
_BEAT_S = 0.5
_GAP_S = 3.0
"""A heartbeat that is this late is not just due to a busy host."""


class Heartbeat:
    """A daemon thread that detects periods in which this process did not run, and looks at each QEMU."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._gaps: list[tuple[float, float]] = []
        self._last = clock()
        self._started = False
        self._lock = threading.Lock()
        self._watched: weakref.WeakSet[HostTime] = weakref.WeakSet()

    def watch(self, qemu: HostTime) -> None:
        """Look at it with each beat, as long as somebody has it."""
        with self._lock:
            self._watched.add(qemu)
        self.start()

    def start(self) -> None:
        with self._lock:
            if self._started:
                return
            self._started = True
        self._last = self._clock()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def lost_s(self, since: float) -> float:
        """Seconds since `since` (of the clock) in which this process did not run; short gaps do not count."""
        self._note(self._clock())
        return sum(end - max(start, since) for start, end in self._gaps if end > since)

    def _beat(self) -> None:
        never = threading.Event()
        while True:
            never.wait(_BEAT_S)
            now = self._clock()
            self._note(now)
            with self._lock:
                watched = list(self._watched)
            for qemu in watched:
                qemu.look(now)

    def _note(self, now: float) -> None:
        with self._lock:
            if now - self._last > _GAP_S:
                self._gaps.append((self._last, now))
            self._last = now


HEARTBEAT = Heartbeat()
"""The heartbeat of this process."""


class HostTime:
    """The time that the host has taken from a QEMU, a child of this process, since it was started."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._started = monotonic()
        self._was_stopped = False
        self._blocked_s = 0.0
        self._blocked: set[str] = set()
        self._looked = self._started
        HEARTBEAT.watch(self)

    def look(self, now: float) -> None:
        """Count the time since the last look, if a thread was blocked then and still is."""
        blocked = set(self._threads_blocked())
        # What is longer than that, the heartbeat counts.
        if blocked & self._blocked and now - self._looked <= _GAP_S:
            self._blocked_s += now - self._looked
        self._blocked, self._looked = blocked, now

    def _threads_blocked(self) -> Iterator[str]:
        for tid, stat in self._of_each_thread("stat"):
            # The name, in parentheses, may have any characters.
            if stat.rpartition(b")")[2].split()[0] == b"D":
                yield tid

    def starved_s(self) -> float:
        """Seconds that a thread of QEMU was runnable, but did not run: the maximum over its threads."""
        delays = [0]
        for _tid, schedstat in self._of_each_thread("schedstat"):
            delays.append(int(schedstat.split()[1]))
        return max(delays) / 1e9

    def _of_each_thread(self, name: str) -> Iterator[tuple[str, bytes]]:
        """The number of each thread of QEMU, and what its file of this name contains.

        QEMU or a thread may end in the meantime, and the host's kernel may lack CONFIG_SCHED_INFO: whatever cannot be
        read is left out.
        """
        threads: list[Path] = []
        with contextlib.suppress(OSError):
            threads = list(Path(f"/proc/{self._pid}/task").iterdir())
        for thread in threads:
            content = b""
            with contextlib.suppress(OSError):
                content = (thread / name).read_bytes()
            if content:
                yield thread.name, content

    def lost_s(self) -> float:
        """Seconds that the host has taken from the guest."""
        return self.starved_s() + self._blocked_s + HEARTBEAT.lost_s(self._started)

    def pause(self) -> str:
        """A description of the pause if the guest was paused; otherwise empty."""
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, self._pid, os.WSTOPPED | os.WCONTINUED | os.WNOHANG) is not None:
                self._was_stopped = True
        if self._was_stopped:
            return "QEMU was stopped by a signal"
        if gap := HEARTBEAT.lost_s(self._started):
            return f"this process did not run for {gap:.0f} s, as if the machine had been suspended"
        return ""

    def excuse(self, limit_s: float = LIMIT_S) -> str:
        """A description of the pause or delay if the guest was held up so long that a limit of so many seconds means
        nothing."""
        if pause := self.pause():
            return pause
        if (starved := self.starved_s()) > min(limit_s, LIMIT_S) / 2:
            return f"QEMU waited {starved:.0f} s for a processor"
        if self._blocked_s > min(limit_s, LIMIT_S) / 2:
            return f"QEMU waited {self._blocked_s:.0f} s for a file or for memory of the host (state D)"
        return ""
