# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run says while it runs.  The first failure of a whole run is in test_run.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from reports.model.result import KernelRecord, Verdict
from reports.run.phases import Phase
from reports.run.progress import Progress, duration


class Terminal:
    """As much of pytest's as Progress uses."""

    currentfspath = None

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        assert text == "\n"

    def write_line(self, line: str, **_: bool) -> None:
        self.lines.append(line)


class Run:
    """A run of so many tests, each of which takes so many seconds."""

    def __init__(self, *, verbose: int = 0, tests: int = 10) -> None:
        self.terminal = Terminal()
        self.now = 100.0
        manager = SimpleNamespace(get_plugin=lambda _: self.terminal)
        config: Any = SimpleNamespace(pluginmanager=manager, option=SimpleNamespace(verbose=verbose))
        self._progress = Progress(config, clock=lambda: self.now)
        self._progress.begin(tests)

    def test(
        self, seconds: float, verdict: Verdict = "pass", *, kernel: str | None = "k/full", worker: str | None = None
    ) -> None:
        self.now += seconds
        about = KernelRecord.of({"id": kernel}) if kernel else None
        for when in ("call", "teardown"):
            report: Any = SimpleNamespace(nodeid="test_it", when=when, failed=False, skipped=False)
            if worker is not None:
                report.worker_id = worker
            phase = Phase(verdict=verdict if when == "call" else "pass", reason="why", kernel=about)
            self._progress.take(report, phase)


def test_once_a_minute_it_says_how_far_it_is() -> None:
    run = Run()
    for _ in range(10):
        run.test(25)
    assert run.terminal.lines == [
        "3 of 10 tests, about 3 min left; now k/full",
        "6 of 10 tests, about 2 min left; now k/full",
        "9 of 10 tests, about 25 s left; now k/full",
    ]


def test_it_tells_which_worker_is_at_which_kernel() -> None:
    run = Run(tests=6)
    for worker, kernel in (("gw1", "a/full"), ("gw0", "a/full"), ("gw2", None), ("gw0", "b/full"), ("gw2", "b/full")):
        run.test(30, kernel=kernel, worker=worker)
    assert [line.partition("; ")[2] for line in run.terminal.lines] == [
        "now a/full (gw0, gw1)",
        "now b/full (gw0), a/full (gw1)",
    ]


def test_a_short_run_and_a_quiet_one_say_nothing() -> None:
    short, quiet = Run(), Run(verbose=-1)
    for _ in range(10):
        short.test(5)
        quiet.test(50)
    assert short.terminal.lines == quiet.terminal.lines == []


def test_the_first_failure_of_each_sort_is_told_also_with_q() -> None:
    run = Run(verbose=-1)
    verdicts: tuple[Verdict, ...] = ("pass", "fail", "fail", "error", "waived", "error")
    for verdict in verdicts:
        run.test(1, verdict)
    assert run.terminal.lines == [
        *("first broken promise: test_it", "  why"),
        *("first error: test_it", "  why"),
    ]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3500, "58 min"), (4800, "1 h 20 min")]
)
def test_a_duration_as_a_person_says_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words
