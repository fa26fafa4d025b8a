# SPDX-License-Identifier: GPL-2.0-or-later
"""The progress of a kernel build, and the ways to show it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from common.commandline import say
from common.stopwatch import Step
from common.text import printable

Phase = Literal["waiting", "fetching", "configuring", "compiling", "done", "failed"]
"""`waiting` is for another kernel build on this machine, or for a builder that has not begun."""

STEPS: Mapping[Phase, Step] = {"fetching": "fetch", "configuring": "build", "compiling": "build"}
"""The step that each phase is part of.  In the other phases, nothing is done."""

INTERVAL_S = 20.0
"""Seconds between two lines about the same phase of a build."""


@dataclass(frozen=True)
class BuildState:
    """The state of one kernel build at one moment."""

    phase: Phase
    what: str = ""
    """The kernel's id, or what is being fetched."""
    objects: int = 0
    """Object files compiled so far."""
    total: int = 0
    """The expected number of object files, from an earlier build of the same kind; 0 if unknown."""
    started: float = field(default_factory=time.time)
    """When this phase began, in seconds since the epoch."""

    def left_s(self, now: float | None = None) -> float | None:
        """Seconds to go, extrapolated from the pace so far; None as long as that would be a guess."""
        elapsed = (time.time() if now is None else now) - self.started
        if self.phase != "compiling" or self.objects < 20 or self.objects >= self.total or elapsed <= 0:
            return None
        return elapsed / self.objects * (self.total - self.objects)

    def __str__(self) -> str:
        what = printable(self.what)
        if self.phase != "compiling":
            return f"{what}: {self.phase}"
        text = f"{what}: {self.objects} of about {max(self.total, self.objects)} objects"
        left = self.left_s()
        return text if left is None else f"{text}, about {_duration(left)} left"


class BuildProgress(Protocol):
    def update(self, state: BuildState) -> None:
        """Called at every change, which may be many times a second."""


class NoProgress:
    """Shows nothing."""

    def update(self, state: BuildState) -> None:
        pass


class PhaseTimes:
    """Measures how long each step takes in the process that does the work; one that waits for it sees no phase."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self.seconds: dict[Step, float] = {}
        """Of each step so far."""
        self._clock = clock
        self._step: Step | None = None
        self._since = 0.0

    def update(self, state: BuildState) -> None:
        self._begin(STEPS.get(state.phase))

    def stop(self) -> None:
        """Nothing follows."""
        self._begin(None)

    def _begin(self, step: Step | None) -> None:
        now = self._clock()
        if self._step is not None:
            self.seconds[self._step] = self.seconds.get(self._step, 0.0) + now - self._since
        self._step, self._since = step, now


class ProgressLines:
    """A line at each change of phase, and every `interval` seconds in between."""

    def __init__(self, show: Callable[[str], None] = say, interval: float = INTERVAL_S) -> None:
        self._show = show
        self._interval = interval
        self._last: tuple[str, str] | None = None
        self._at = 0.0

    def update(self, state: BuildState) -> None:
        now = time.monotonic()
        key = (state.phase, state.what)
        if key == self._last and (state.phase != "compiling" or now - self._at < self._interval):
            return
        self._last, self._at = key, now
        self._show(str(state))


class ProgressBar:
    """One line at the bottom of a terminal that is kept up to date.  A context manager."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, state: BuildState) -> None:
        total = max(state.total, state.objects) if state.phase == "compiling" and state.total else None
        self._bar.update(self._task, description=str(state), total=total, completed=state.objects)


@contextlib.contextmanager
def for_stderr() -> Iterator[BuildProgress]:
    """A bar if standard error is a terminal, lines otherwise."""
    if sys.stderr.isatty():
        with ProgressBar() as bar:
            yield bar
    else:
        yield ProgressLines()


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
