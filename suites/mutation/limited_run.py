# SPDX-License-Identifier: GPL-2.0-or-later
"""A command of this project that may hang, because the kernel that it tests has a fault.

It has a session of its own, so that all of it can be killed.  A terminal's Ctrl-C therefore does not reach it, and a
thread that waits for it is not interrupted: `end_all` tells it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence

from common.project_files import ROOT

GRACE_S = 30.0
"""How long a command that is interrupted may take to end its guests."""


class _LimitedRuns:
    """The commands of all threads that run now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._over = False

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """KeyboardInterrupt if no more may begin."""
        with self._lock:
            if self._over:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
            self._running.add(process)
        return process

    def forget(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            self._running.discard(process)

    def end_all(self) -> None:
        with self._lock:
            self._over = True
            running = list(self._running)
        for process in running:
            _end(process)


_runs = _LimitedRuns()


def run_within(command: Sequence[str], environment: Mapping[str, str], deadline_s: float) -> tuple[int | None, str]:
    """The exit status of a command, or None if it did not end in time and was killed, and its output."""
    with _runs.start(command, environment) as process:
        try:
            said, _ = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            _kill(process, signal.SIGKILL)
            return None, ""
        except BaseException:
            _end(process)
            raise
        finally:
            _runs.forget(process)
    return process.returncode, said


def end_all() -> None:
    """End the commands of all threads, and let no other begin: this program is going to end.

    They are interrupted, and killed if that does not end them within GRACE_S.
    """
    _runs.end_all()


def _end(process: subprocess.Popen[str]) -> None:
    _kill(process, signal.SIGINT)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        _kill(process, signal.SIGKILL)


def _kill(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
