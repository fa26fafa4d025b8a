# SPDX-License-Identifier: GPL-2.0-or-later
"""Replays: a test runs again without a guest, and gets the answers that were recorded, or altered ones.

A test is a function of the answers that it gets.  So a replay with one answer altered shows what depends on that
answer: later orders, which then contain the altered value, or the verdict.  guests/reproducer/analysis.py asks these
questions; nothing in a test has to be written for it.
"""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable

from guests.errors import GuestBroke, KconformError
from guests.guest import Guest
from guests.outcome import Expected, Outcome, comparisons_watched
from guests.protocol.record import Record
from guests.protocol.wire import Frame, Op
from guests.reproducer.replay_channel import Changes, ComparedOutcome, Diverged, NoStream, ReplayChannel, Replayed
from guests.session import Session

Run = Callable[[Guest], None]
"""Runs the test with a guest, from its set-up to its end, and raises what the test raises."""


class ReplayedGuest(Guest):
    """A guest whose agent is a record; it has no QEMU."""

    def __init__(self, original: Guest, changes: Changes, course: Replayed) -> None:
        self.kernel = original.kernel
        self.template = original.template
        self.program = original.program
        Session.__init__(self, NoStream(), original.kernel.arch)
        self._course = course
        self._replay = ReplayChannel(original.record, self._on_event, changes, course)
        self._channel = self._replay
        self._made: dict[int, tuple[Outcome, int, int]] = {}
        self._started = time.monotonic()
        self.greet(init=changes.init or original.init.tid)

    @property
    def record(self) -> Record:
        return self._replay.record

    def note(self, outcome: Outcome) -> None:
        self._made[id(outcome)] = (outcome, self._replay.latest, -1)

    def _on_event(self, frame: Frame) -> None:
        super()._on_event(frame)
        task = self._tasks.get(frame.slot)
        if task is not None and task.death is not None:
            self._made[id(task.death)] = (task.death, 0, frame.slot)

    def compared(self, outcome: Outcome, expected: Expected, matched: bool) -> None:
        if found := self._made.get(id(outcome)):
            _, sequence, slot = found
            self._course.comparisons.append(ComparedOutcome(sequence, slot, outcome, expected, matched))

    def send(self, op: Op, slot: int, body: bytes, what: str) -> int:
        return Session.send(self, op, slot, body, what)

    # What a guest without QEMU lacks

    def resume(self) -> None:
        raise Diverged("a replayed guest does not start")

    def close(self) -> None:
        pass

    @property
    def pid(self) -> int:
        raise Diverged("a replayed guest has no process")

    def console(self) -> str:
        raise Diverged("a replayed guest has no console")

    def why_ended(self, what: str) -> Exception:
        return GuestBroke(f"the kernel went down during {what}")

    def lost_s(self) -> float:
        return 0.0

    def excuse(self, splat: str = "") -> str:  # noqa: ARG002
        return ""

    @property
    def pause(self) -> str:
        return ""


last_compared: list[object] = []
"""The right side of the comparison in the latest failed assertion (guests/plugin.py)."""


def replay(original: Guest, run: Run, changes: Changes | None = None) -> Replayed:
    """Run the test again with the guest's record, altered by `changes`."""
    course = Replayed()
    last_compared.clear()
    try:
        guest = ReplayedGuest(original, changes or Changes(), course)
        with comparisons_watched(guest.compared):
            run(guest)
    except Diverged as error:
        course.verdict, course.error = "diverged", error
    except (AssertionError, GuestBroke) as error:
        _end(course, "failed", error)
        course.compared = list(last_compared)
    except KconformError as error:
        _end(course, "unprepared", error)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # pytest's own failures are not derived from Exception
        _end(course, "failed" if type(error).__name__ == "Failed" else "unprepared", error)
    return course


def _end(course: Replayed, verdict: str, error: BaseException) -> None:
    places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    course.verdict, course.error, course.text = verdict, error, str(error)
    text = re.sub(r"[0-9]+", "#", course.text)
    course.identity = (type(error).__name__, text, *(place for place in places if "/suites/" in place))
