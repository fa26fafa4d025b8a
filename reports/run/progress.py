# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run says while it runs: the first broken promise, the first error, and once a minute how far it is.

pytest shows a letter for each test, and its reason only at the end of the run.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import pytest

from reports.model.display import one_line
from reports.model.names_of_tests import kernel_in
from reports.model.result import Verdict
from reports.run.phases import Phase, ends_test, worker_of
from reports.run.preparation_times import builds_of

FIRST: dict[Verdict, str] = {"fail": "broken promise", "flaky": "flaky promise", "error": "error"}
EVERY_S = 60.0


@dataclass
class Worker:
    """A process that runs tests."""

    at: float
    """When its last report came."""
    waited_s: float = 0.0
    """Seconds that its tests waited for their kernels."""
    kernel: str = ""
    """The kernel that it was last at."""


class RunProgress:
    """Counts the tests of a run, in the process that the user started."""

    def __init__(self, config: pytest.Config, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._config = config
        self._clock = clock
        self._told: set[Verdict] = set()
        self._began = self._spoke = clock()
        self._collected = self._finished = 0
        self._left: set[str] = set()
        self._boots: set[int] = set()
        """The boots that have been needed so far."""
        self._all_boots = 0
        self._boot_s = 0.0
        self._workers: dict[str, Worker] = {}
        """By name; without workers there is one, without a name."""

    def begin(self, collected: Collection[str]) -> None:
        """These tests are about to run."""
        self._collected = len(collected)
        self._left = set(collected)
        self._began = self._spoke = self._clock()

    def take(self, report: pytest.TestReport, phase: Phase) -> None:
        """After the terminal has shown the test's letter, or its line with -v."""
        if phase.verdict in FIRST and phase.verdict not in self._told:
            self._told.add(phase.verdict)
            self._say(f"first {FIRST[phase.verdict]}: {report.nodeid}", f"  {phase.reason}")
        worker = self._workers.setdefault(worker_of(report) or "", Worker(self._began))
        worker.at = self._clock()
        worker.waited_s += phase.waited_s
        self._boot_s += sum(each.boot_s for each in phase.preparation.values())
        if phase.boot is not None:
            number, self._all_boots = phase.boot
            self._boots.add(number)
        if ends_test(report):
            self._finished += 1
            self._left.discard(report.nodeid)
            worker.kernel = phase.kernel.id if phase.kernel else ""
            self._say_how_far()

    def _say_how_far(self) -> None:
        now = self._clock()
        left = self._collected - self._finished
        # Only a terminal defines the option.
        is_quiet = getattr(self._config.option, "verbose", -1) < 0
        if now - self._spoke < EVERY_S or left <= 0 or is_quiet:
            return
        self._spoke = now
        builds = builds_of(self._config)
        pending = Counter(kernel_in(name, builds, ()) for name in self._left)
        unknown = [kernel for kernel, seconds in builds.items() if seconds is None and pending[kernel]]
        seconds = seconds_left(self._pace(), pending, builds) + self._boots_left_s()
        text = f"{self._finished} of {self._collected} tests, about {duration(seconds)} left"
        text += f" and the build of {', '.join(unknown)}" if unknown else ""
        kernels: dict[str, list[str]] = {}
        for name, worker in sorted(self._workers.items()):
            if worker.kernel:
                kernels.setdefault(worker.kernel, []).append(name)
        places = [f"{kernel} ({', '.join(names)})" if any(names) else kernel for kernel, names in kernels.items()]
        self._say(f"{text}; now {', '.join(places)}" if places else text)

    def _pace(self) -> float:
        """Seconds between two finished tests while no worker waits for a kernel."""
        busy = sum(max(0.0, worker.at - self._began - worker.waited_s) for worker in self._workers.values())
        return busy / len(self._workers) / self._finished

    def _boots_left_s(self) -> float:
        """Seconds for the boots that are still needed.  If the cache had the others, it probably has these too."""
        # Tests that need the same boot follow each other, so all workers wait for it.
        return (self._all_boots - len(self._boots)) * self._boot_s / max(1, len(self._boots))

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


def seconds_left(pace: float, pending: Mapping[str | None, int], builds: Mapping[str, float | None]) -> float:
    """Seconds until all tests have run, without builds whose remaining time is unknown.

    `pending` is the number of remaining tests by the kernel that is still being built for them.
    """
    seconds = pace * sum(number for kernel, number in pending.items() if kernel not in builds)
    # Other tests run while a kernel is built.
    for kernel, built_in in sorted(builds.items(), key=lambda build: build[1] or 0.0):
        if pending.get(kernel):
            seconds = max(seconds, built_in or 0.0) + pace * pending[kernel]
    return seconds


def duration(seconds: float) -> str:
    """Seconds for a reader: `40 s`, `3 min`, `1 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
