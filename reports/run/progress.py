# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run says while it runs: the first broken promise, the first error of ours, and once a minute how far it is.

pytest shows a letter for each test, and keeps the reason for its end, which may be minutes away.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from reports.run.assembler import note_of, worker_of

FIRST = {"fail": "broken promise", "error": "error of ours"}
EVERY_S = 60.0


class Live:
    """The hooks of the process that the user started."""

    def __init__(self, config: pytest.Config, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._config = config
        self._clock = clock
        self._told: set[str] = set()
        self._began = self._spoke = clock()
        self._collected = self._finished = 0
        self._at: dict[str, str] = {}
        """Worker -> the kernel that it was at last; without workers there is one, without a name."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._collected = session.testscollected
        self._began = self._spoke = self._clock()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """With workers, who alone collect, and all the same."""
        self._collected = len(ids)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Last, so that the test's letter, or its line under -v, is there already."""
        note = note_of(report)
        if note.outcome in FIRST and note.outcome not in self._told:
            self._told.add(note.outcome)
            self._say(f"first {FIRST[note.outcome]}: {report.nodeid}", f"  {note.reason}")
        if report.when == "teardown":
            self._finished += 1
            self._at[worker_of(report) or ""] = str((note.kernel or {}).get("id") or "")
            self._say_how_far()

    def _say_how_far(self) -> None:
        now = self._clock()
        left = self._collected - self._finished
        if now - self._spoke < EVERY_S or left <= 0 or self._config.option.verbose < 0:
            return
        self._spoke = now
        seconds = (now - self._began) / self._finished * left
        text = f"{self._finished} of {self._collected} tests, about {duration(seconds)} left"
        kernels: dict[str, list[str]] = {}
        for worker, kernel in sorted(self._at.items()):
            if kernel:
                kernels.setdefault(kernel, []).append(worker)
        places = [f"{kernel} ({', '.join(names)})" if any(names) else kernel for kernel, names in kernels.items()]
        self._say(f"{text}; now {', '.join(places)}" if places else text)

    def _say(self, *lines: str) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None:
            return
        # Letters in a row, as -q and workers write them, are a line that pytest does not know of.
        if terminal.currentfspath:
            terminal.ensure_newline()
        else:
            terminal.write("\n")
        for line in lines:
            terminal.write_line(line, bold=True)


def duration(seconds: float) -> str:
    """Seconds as a person says them: `40 s`, `3 min`, `1 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
