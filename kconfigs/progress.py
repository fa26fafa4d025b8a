# SPDX-License-Identifier: GPL-2.0-or-later
"""How far the making of a kernel is, and who is told."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TextIO

from kconfigs.errors import KconformError

Phase = Literal["waiting", "fetching", "configuring", "compiling", "done", "failed"]
"""`waiting` is for another kernel build on this machine, or for a builder that has not begun."""


@dataclass(frozen=True)
class State:
    """One moment of one kernel."""

    phase: Phase
    what: str = ""
    """The kernel's id, or what is being fetched."""
    objects: int = 0
    """Object files compiled so far."""
    total: int = 0
    """How many there will be, from an earlier build of the same kind; 0 if nobody knows."""
    started: float = field(default_factory=time.time)
    """When this phase began, seconds since the epoch."""

    def left_s(self, now: float | None = None) -> float | None:
        """Seconds to go, extrapolated from the pace so far; None as long as that would be a guess."""
        elapsed = (time.time() if now is None else now) - self.started
        if self.phase != "compiling" or self.objects < 20 or self.objects >= self.total or elapsed <= 0:
            return None
        return elapsed / self.objects * (self.total - self.objects)

    def __str__(self) -> str:
        if self.phase != "compiling":
            return f"{self.what}: {self.phase}"
        text = f"{self.what}: {self.objects} of about {max(self.total, self.objects)} objects"
        left = self.left_s()
        return text if left is None else f"{text}, about {_duration(left)} left"


class Progress(Protocol):
    def update(self, state: State) -> None:
        """Called at every change, which may be many times a second."""


class NoAnswer:
    def update(self, state: State) -> None:
        pass


class Lines:
    """A plain line at each change of phase, and every `interval` seconds in between."""

    def __init__(self, out: TextIO | None = None, interval: float = 20.0) -> None:
        self._out = out or sys.stderr
        self._interval = interval
        self._last: tuple[str, str] | None = None
        self._at = 0.0

    def update(self, state: State) -> None:
        now = time.monotonic()
        key = (state.phase, state.what)
        if key == self._last and now - self._at < self._interval:
            return
        self._last, self._at = key, now
        print(f"kconform: {state}", file=self._out, flush=True)


class Terminal:
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

    def __enter__(self) -> Terminal:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, state: State) -> None:
        total = max(state.total, state.objects) if state.phase == "compiling" and state.total else None
        self._bar.update(self._task, description=str(state), total=total, completed=state.objects)


class StatusFile:
    """The state as a JSON object in a file that is always whole.  For another process to follow.

    Keys: state, what, objects, total, started, pid and birth of the builder, error (null, or message, hint
    and exit_status).
    """

    def __init__(self, path: Path, pid: int | None = None, interval: float = 0.5) -> None:
        self._path = path
        self._pid = pid or os.getpid()
        self._birth = birth(self._pid)
        self._interval = interval
        self._state = State("waiting")
        self._at = 0.0

    def update(self, state: State) -> None:
        now = time.monotonic()
        if (state.phase, state.what) == (
            self._state.phase,
            self._state.what,
        ) and now - self._at < self._interval:
            return
        self._state, self._at = state, now
        self._write(state, None)

    def begin(self, what: str = "") -> None:
        """Say that a builder is there, unless it has said more already."""
        with contextlib.suppress(FileExistsError):
            self._write(State("waiting", what), None, os.link)

    def done(self) -> None:
        self._write(State("done", self._state.what, self._state.objects, self._state.objects), None)

    def failed(self, error: KconformError) -> None:
        self._write(
            State("failed", self._state.what, self._state.objects, self._state.total),
            {"message": error.message, "hint": error.hint, "exit_status": error.exit_status},
        )

    def _write(
        self,
        state: State,
        error: dict[str, object] | None,
        put: Callable[[Path, Path], None] = os.replace,
    ) -> None:
        record = {
            "state": state.phase,
            "what": state.what,
            "objects": state.objects,
            "total": state.total,
            "started": state.started,
            "pid": self._pid,
            "birth": self._birth,
            "error": error,
        }
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
        try:
            put(temporary, self._path)
        finally:
            temporary.unlink(missing_ok=True)


class Both:
    """Tells several."""

    def __init__(self, *listeners: Progress) -> None:
        self._listeners = listeners

    def update(self, state: State) -> None:
        for listener in self._listeners:
            listener.update(state)


@contextlib.contextmanager
def for_stderr() -> Iterator[Progress]:
    """A live line on a terminal, plain lines elsewhere."""
    if sys.stderr.isatty():
        with Terminal() as terminal:
            yield terminal
    else:
        yield Lines()


def birth(pid: int) -> int:
    """When a process began, in clock ticks since boot; with the pid it names a process for good.  0: none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    # A zombie has ended, though nobody has taken note.
    return 0 if fields[0] in {"Z", "X"} else int(fields[19])


def is_running(pid: int, born: int) -> bool:
    return born != 0 and birth(pid) == born


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
