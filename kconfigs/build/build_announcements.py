# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines on the terminal about kernels that are built beside a test run."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from common.commandline import PREFIX
from common.errors import KconformError
from kconfigs.build.build_progress import ProgressLines
from kconfigs.build.status_file import read_status

_POLL_S = 1.0


class BuildAnnouncer(threading.Thread):
    """Follows all status files in a folder, and shows a line now and then (see ProgressLines)."""

    def __init__(self, folder: Path, show: Callable[[str], None]) -> None:
        super().__init__(name="kconform-builds", daemon=True)
        self._folder = folder
        self._show = show
        self._done = threading.Event()
        self._shown: dict[Path, ProgressLines] = {}

    def run(self) -> None:
        while not self._done.wait(_POLL_S):
            for path in sorted(self._folder.glob("*.json")):
                with contextlib.suppress(KconformError):
                    self._shown.setdefault(path, ProgressLines(self._show)).update(read_status(path).state)

    def stop(self) -> None:
        self._done.set()
        if self.is_alive():
            self.join()


def to_terminal(reporter: pytest.TerminalReporter) -> Callable[[str], None]:
    """A function that prints a line of its own, even while pytest captures what a test prints.

    That is when somebody waits for a build.  Call this while pytest captures nothing, as when a session starts.
    """
    try:
        terminal = os.dup(sys.stdout.fileno())
    except OSError:  # no file descriptor, as in a run within a run
        terminal = None

    def show(text: str) -> None:
        line = PREFIX + text
        if terminal is None:
            reporter.ensure_newline()
            reporter.write_line(line)
            return
        # As reporter.ensure_newline() does, which would write into what pytest captures.
        end = "\n" if reporter.currentfspath else ""
        reporter.currentfspath = None
        os.write(terminal, f"{end}{line}\n".encode(errors="replace"))

    return show
