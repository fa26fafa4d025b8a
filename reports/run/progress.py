# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run says while it runs: the first broken promise, the first error, and once a minute how far it is.

pytest shows a letter for each test, and its reason only at the end of the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from reports.model.display import one_line
from reports.model.result import Verdict
from reports.run.phases import Phase, ends_test, worker_of

FIRST: dict[Verdict, str] = {"fail": "broken promise", "error": "error"}
EVERY_S = 60.0


class Progress:
    """Counts the tests of a run, in the process that the user started."""

    def __init__(self, config: pytest.Config, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._config = config
        self._clock = clock
        self._told: set[Verdict] = set()
        self._began = self._spoke = clock()
        self._collected = self._finished = 0
        self._at: dict[str, str] = {}
        """Worker -> the kernel that it was last at; without workers there is one, without a name."""

    def begin(self, collected: int) -> None:
        """So many tests are about to run."""
        self._collected = collected
        self._began = self._spoke = self._clock()

    def take(self, report: pytest.TestReport, phase: Phase) -> None:
        """After the terminal has shown the test's letter, or its line with -v."""
        if phase.verdict in FIRST and phase.verdict not in self._told:
            self._told.add(phase.verdict)
            self._say(f"first {FIRST[phase.verdict]}: {report.nodeid}", f"  {phase.reason}")
        if ends_test(report):
            self._finished += 1
            self._at[worker_of(report) or ""] = phase.kernel.id if phase.kernel else ""
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
        # With -q and with workers, pytest does not know that the letters in front of this are an unfinished line.
        if terminal.currentfspath:
            terminal.ensure_newline()
        else:
            terminal.write("\n")
        for line in lines:
            terminal.write_line(one_line(line), bold=True)


def duration(seconds: float) -> str:
    """Seconds for a reader: `40 s`, `3 min`, `1 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
