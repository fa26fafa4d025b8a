# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of a mutant end at the first broken promise, and at nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from guests.reproducer.guest_trial import PROMISE_BROKEN, PROMISE_KEPT, ReproducerRun
from reports.run.phases import Phase, put
from suites.mutation.stop_at_failure import MOST_TESTS, StopAtFailure

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("failing", ["compared", "booted"])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_errors_do_not_end_the_tests_of_a_mutant(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str, failing: str
) -> None:
    """The run ends at the first broken promise: neither before it, nor long after.

    A kernel that crashes while it boots breaks one before the test itself.
    """
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(
        f"""
        import pytest
        from guests.errors import BootCrashed

        @pytest.fixture
        def broken():
            raise OSError

        @pytest.fixture
        def compared(): return 0

        @pytest.fixture
        def booted():
            raise BootCrashed("the kernel does not boot", evidence={{}})

        def test_prepared(broken): pass
        def test_failing({failing}): assert {failing}
        @pytest.mark.parametrize("number", range(200))
        def test_after(number): pass
        """
    )
    done = pytester.runpytest_subprocess(
        *("-p", "reports.run.plugin", "-p", "suites.mutation.stop_at_failure", "-n", workers, "--report-dir=report"),
    )
    results = json.loads((pytester.path / "report" / "results.json").read_text())["results"]
    outcomes = [result["outcome"] for result in results]
    assert done.ret != 0
    assert outcomes.count("fail") == outcomes.count("error") == 1
    assert len(outcomes) < 150


class FakeRun:
    """A run of tests, as the plugin sees it."""

    def __init__(self, reproducers: str) -> None:
        config = SimpleNamespace(
            pluginmanager=SimpleNamespace(getplugin=lambda _: None), getoption=lambda *_: reproducers
        )
        self.session = SimpleNamespace(config=config, shouldstop=False)
        self.plugin = StopAtFailure(self.session)  # type: ignore[arg-type]

    def report(
        self,
        nodeid: str,
        when: Literal["call", "teardown"],
        verdict: Literal["pass", "fail"] = "pass",
        reproducer_status: int | None = None,
    ) -> None:
        report = pytest.TestReport(nodeid, ("a.py", 1, "a"), {}, "passed", None, when)
        printed = str(ReproducerRun(reproducer_status, "line 7\n"))
        evidence = () if reproducer_status is None else (("reproducer's run", printed),)
        put(report, Phase(verdict=verdict, evidence=evidence))
        self.plugin.pytest_runtest_logreport(report)

    @property
    def ended(self) -> bool:
        return bool(self.session.shouldstop)


def test_the_failed_test_is_torn_down_first() -> None:
    run = FakeRun("none")
    run.report("a", "call", "fail")
    assert not run.ended
    run.report("a", "teardown")
    assert run.ended


def test_another_worker_does_not_end_while_a_reproducer_is_made() -> None:
    run = FakeRun("failed")
    run.report("a", "call", "fail")
    run.report("b", "teardown")
    assert not run.ended
    run.report("a", "teardown", reproducer_status=PROMISE_BROKEN)
    assert run.ended


def test_a_reproducer_that_does_not_show_the_fault() -> None:
    run = FakeRun("failed")
    for test, status in (("a", PROMISE_KEPT), ("b", None), ("c", PROMISE_BROKEN)):
        run.report(test, "call", "fail")
        assert not run.ended
        run.report(test, "teardown", reproducer_status=status)
    assert run.ended


def test_no_reproducer_shows_the_fault() -> None:
    run = FakeRun("failed")
    run.report("a", "call", "fail")
    for _ in range(MOST_TESTS):
        run.report("b", "teardown")
        assert not run.ended
    run.report("b", "teardown")
    assert run.ended
