# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of a git bisection: git starts them, and we end them if we are told to end.

The shell of each step opens a named pipe and writes its process's number to it.  As long as the pipe has a writer,
that number is the step's.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common import git

_SCRIPT = 'exec 3>"$0" && echo $$ >&3 && cd "$1" && shift && exec "$@"'


def run_bisection(tree: Path, step: Sequence[str], folder: Path) -> int:
    """The exit status of `git bisect run` in the tree, where the user sees it.  Each step begins in the folder.

    Ctrl-C interrupts git and the step as well, and SIGTERM is passed on to both.  git then ends at once, and the
    step when it has ended its guests and written its report; KeyboardInterrupt after that.
    """
    with (
        tempfile.TemporaryDirectory(prefix="kconform-bisect-") as scratch,
        _StartedSteps(Path(scratch, "steps")) as steps,
    ):
        command = ["git", "-C", str(tree), "bisect", "run", *steps.command(step, folder)]
        with subprocess.Popen(command, env=git.environment()) as running:

            def end(*_: object) -> None:
                running.terminate()
                steps.terminate()

            former, interrupted = signal.signal(signal.SIGTERM, end), False
            try:
                while True:
                    try:
                        status = running.wait()
                        steps.wait()
                        break
                    except KeyboardInterrupt:
                        interrupted = True
            finally:
                signal.signal(signal.SIGTERM, former)
    if interrupted or steps.terminated:
        raise KeyboardInterrupt
    return status


class _StartedSteps:
    """The steps whose pipe is at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        os.mkfifo(path)
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._newest = self._told = 0
        self.terminated = False

    def __enter__(self) -> _StartedSteps:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._pipe)

    def command(self, step: Sequence[str], folder: Path) -> list[str]:
        return ["sh", "-c", _SCRIPT, str(self._path), str(folder), *step]

    def terminate(self) -> None:
        """Send SIGTERM, once, to the step that runs, and to any that `wait` meets."""
        self.terminated = True
        if self._one_runs() and self._newest != self._told:
            self._told = self._newest
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._newest, signal.SIGTERM)

    def wait(self) -> None:
        """Wait until no step runs."""
        while self._one_runs():
            if self.terminated:
                self.terminate()
            select.select([self._pipe], [], [])

    def _one_runs(self) -> bool:
        while True:
            try:
                numbers = os.read(self._pipe, 4096)
            except BlockingIOError:
                return self._newest != 0
            if not numbers:
                return False
            self._newest = int(numbers.split()[-1])
