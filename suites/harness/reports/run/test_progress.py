# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run says while it runs.  The first failure of a whole run is in test_every_outcome.py."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from reports.model.result import KernelRecord, Preparation, Verdict
from reports.run.phases import Phase
from reports.run.preparation_times import watch_builds
from reports.run.progress import RunProgress, duration


class Terminal:
    """As much of pytest's as RunProgress uses."""

    currentfspath = None

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        assert text == "\n"

    def write_line(self, line: str, **_: bool) -> None:
        self.lines.append(line)


class Run:
    """A run of so many tests on `k/full`, and of others on kernels that are being built."""

    def __init__(self, *, verbose: int = 0, tests: int = 10, built: Mapping[str, int] | None = None) -> None:
        """`built` has the number of tests by kernel."""
        self.terminal = Terminal()
        self.now = 100.0
        manager = SimpleNamespace(get_plugin=lambda _: self.terminal)
        option = SimpleNamespace(verbose=verbose)
        config: Any = SimpleNamespace(pluginmanager=manager, option=option, stash=pytest.Stash())
        self.builds: dict[str, float | None] = {}
        """Seconds to go, by kernel."""
        watch_builds(config, lambda: self.builds)
        self._left = [f"test_it[k/full-{number}]" for number in range(tests)]
        self._progress = RunProgress(config, clock=lambda: self.now)
        others = [f"test_it[{one}-{number}]" for one, tests in (built or {}).items() for number in range(tests)]
        self._progress.begin([*self._left, *others])

    def test(
        self,
        seconds: float,
        verdict: Verdict = "pass",
        *,
        kernel: str | None = "k/full",
        worker: str | None = None,
        waited: float = 0.0,
        alongside: bool = False,
        boot: tuple[int, int] | None = None,
    ) -> None:
        """A test has taken so many seconds, after waiting for a boot of its kernel; `alongside` the one before."""
        self.now += 0.0 if alongside else waited + seconds
        about = KernelRecord.of({"id": kernel}) if kernel else None
        name = self._left.pop(0)
        for when in ("setup", "call", "teardown"):
            report: Any = SimpleNamespace(nodeid=name, when=when, failed=False, skipped=False)
            if worker is not None:
                report.worker_id = worker
            phase = Phase(
                verdict=verdict if when == "call" else "pass",
                reason="why",
                kernel=about,
                waited_s=waited if when == "setup" else 0.0,
                preparation={"k/full": Preparation(boot_s=waited)} if when == "setup" else {},
                boot=boot,
            )
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


def test_what_the_first_test_waited_for_says_nothing_about_the_others() -> None:
    run = Run(tests=18)
    run.test(1.0, waited=204.0)
    assert run.terminal.lines == ["1 of 18 tests, about 17 s left; now k/full"]


def test_workers_share_what_is_left() -> None:
    """Both have waited for the same boot; 110 seconds of tests were 5 tests, so one of two ends every 11 seconds."""
    run = Run(tests=12)
    run.test(10, worker="gw0", waited=90)
    run.test(10, worker="gw1", waited=90, alongside=True)
    run.test(30, worker="gw0")
    run.test(30, worker="gw1", alongside=True)
    run.test(30, worker="gw0")
    assert run.terminal.lines[-1] == "5 of 12 tests, about 77 s left; now k/full (gw0, gw1)"


def test_boots_that_are_still_needed_count() -> None:
    """Two of five boots took 10 s together, because the cache had one of them."""
    run = Run(tests=12)
    run.test(25, boot=(0, 5), waited=10)
    run.test(25, boot=(3, 5))
    assert run.terminal.lines == ["2 of 12 tests, about 4 min left; now k/full"]
    for _ in range(9):
        run.test(10, boot=(3, 5))
    assert run.terminal.lines[-1] == "8 of 12 tests, about 70 s left; now k/full", "4 tests of 14 s, 3 boots of 5 s"


def test_tests_run_while_another_kernel_is_built() -> None:
    run = Run(tests=13, built={"b/full": 5, "b-2/full": 0})
    run.builds = {"b/full": 600.0, "b-2/full": 900.0}
    for _ in range(3):
        run.test(20)
    assert run.terminal.lines == ["3 of 18 tests, about 12 min left; now k/full"], "600 s, and 5 tests of 20 s"
    run.builds["b/full"] = 10.0
    for _ in range(3):
        run.test(20)
    assert run.terminal.lines[1:] == ["6 of 18 tests, about 4 min left; now k/full"], "12 tests of 20 s"


def test_a_build_of_unknown_length_is_named() -> None:
    run = Run(tests=13, built={"b/full": 5})
    run.builds = {"b/full": None, "unused/full": None}
    for _ in range(3):
        run.test(20)
    assert run.terminal.lines == ["3 of 18 tests, about 5 min left and the build of b/full; now k/full"]


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
        *("first broken promise: test_it[k/full-1]", "  why"),
        *("first error: test_it[k/full-3]", "  why"),
    ]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3500, "58 min"), (4800, "1 h 20 min")]
)
def test_a_duration_as_a_person_says_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words
