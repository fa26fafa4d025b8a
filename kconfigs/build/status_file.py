# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a kernel build in a file, for other processes to follow."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import atomic
from common.errors import KconformError, UsageError
from common.stopwatch import Step
from common.text import printable
from kconfigs.build.build_progress import BuildState, PhaseTimes


class StatusFile:
    """Writes the state as a JSON object, atomically.

    Keys: state, what, objects, total, started; seconds, by step; pid and birth of the builder; error (null, or
    message, hint and exit_status).
    """

    def __init__(self, path: Path, pid: int | None = None, interval: float = 0.5) -> None:
        self._path = path
        self._pid = pid or os.getpid()
        self._birth = birth(self._pid)
        self._interval = interval
        self._state = BuildState("waiting")
        self._times = PhaseTimes()
        self._at = 0.0

    def update(self, state: BuildState) -> None:
        self._times.update(state)
        now = time.monotonic()
        same = (state.phase, state.what) == (self._state.phase, self._state.what)
        if same and now - self._at < self._interval:
            return
        self._state, self._at = state, now
        atomic.write(self._path, self._record(state, None))

    def begin(self, what: str = "") -> None:
        """Record that a builder exists, unless that builder has written something itself."""
        with contextlib.suppress(FileExistsError):
            atomic.create(self._path, self._record(BuildState("waiting", what), None))

    def done(self) -> None:
        self._times.stop()
        count = self._state.objects
        atomic.write(self._path, self._record(BuildState("done", self._state.what, count, count), None))

    def failed(self, error: KconformError) -> None:
        self._times.stop()
        state = BuildState("failed", self._state.what, self._state.objects, self._state.total)
        written = {"message": error.message, "hint": error.hint, "exit_status": error.exit_status}
        atomic.write(self._path, self._record(state, written))

    def _record(self, state: BuildState, error: dict[str, object] | None) -> str:
        record = {
            "state": state.phase,
            "what": state.what,
            "objects": state.objects,
            "total": state.total,
            "started": state.started,
            "seconds": self._times.seconds,
            "pid": self._pid,
            "birth": self._birth,
            "error": error,
        }
        return json.dumps(record) + "\n"


@dataclass(frozen=True)
class BuildStatus:
    """What a status file says."""

    state: BuildState
    pid: int
    birth: int
    seconds: Mapping[Step, float]
    """What each step of the work has taken so far."""
    error: KconformError | None
    """What ended the build, if it failed."""

    @property
    def builder_is_running(self) -> bool:
        return is_running(self.pid, self.birth)


def read_status(path: Path) -> BuildStatus:
    """KconformError if there is no such file, or if it is damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        state = BuildState(record["state"], record["what"], record["objects"], record["total"], record["started"])
        error = _error(record) if state.phase == "failed" else None
        return BuildStatus(state, record["pid"], record["birth"], record["seconds"], error)
    except (OSError, ValueError, KeyError) as error:
        raise KconformError(f"{printable(path)} is not the status of a kernel build ({error})") from error


def _error(record: dict[str, Any]) -> KconformError:
    error = record["error"] or {}
    kind = UsageError if error.get("exit_status") == UsageError.exit_status else KconformError
    return kind(error.get("message", "the kernel build failed"), hint=error.get("hint", ""))


def birth(pid: int) -> int:
    """When a process began, in clock ticks since boot; together with the pid it is unique.  0 if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    # A zombie has ended, although nobody has waited for it yet.
    return 0 if fields[0] in {"Z", "X"} else int(fields[19])


def is_running(pid: int, born: int) -> bool:
    return born != 0 and birth(pid) == born
