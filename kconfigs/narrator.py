# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run says of the kernels that are built beside it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import KconformError
from kconfigs import background

NARRATE_S = 20.0


class Narrator(threading.Thread):
    """Tells now and then how far the builds are: a line at each change of phase, and every NARRATE_S seconds."""

    def __init__(self, status_folder: Path, say: Callable[[str], None]) -> None:
        super().__init__(name="kconform-narrator", daemon=True)
        self._folder = status_folder
        self._say = say
        self._done = threading.Event()
        self._told: dict[Path, str] = {}

    def run(self) -> None:
        rounds = 0
        while not self._done.wait(1.0):
            rounds += 1
            for status in sorted(self._folder.glob("*.json")):
                with contextlib.suppress(KconformError):
                    state, _ = background.read(status)
                    due = state.phase == "compiling" and rounds % int(NARRATE_S) == 0
                    if self._told.get(status) != state.phase or due:
                        self._told[status] = state.phase
                        self._say(f"kconform: {state}")

    def stop(self) -> None:
        self._done.set()
        if self.is_alive():
            self.join()


def to_terminal(reporter: pytest.TerminalReporter) -> Callable[[str], None]:
    """Prints a line of its own, also while pytest keeps what a test prints: that is when one waits for a build.

    To be called when pytest keeps nothing, as when a session starts.
    """
    try:
        terminal = os.dup(sys.stdout.fileno())
    except OSError:  # no file behind it, as in a run within a run
        terminal = None

    def say(text: str) -> None:
        if terminal is None:
            reporter.ensure_newline()
            reporter.write_line(text)
            return
        # What reporter.ensure_newline() does, which would write into what is kept.
        end = "\n" if reporter.currentfspath else ""
        reporter.currentfspath = None
        os.write(terminal, f"{end}{text}\n".encode(errors="replace"))

    return say
