# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of a mutant end at the first broken promise, and at nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from reports.run.phases import Phase, put
from suites.mutation.stop_at_failure import StopAtFailure

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


def _report(nodeid: str, when: Literal["call", "teardown"], verdict: Literal["pass", "fail"]) -> pytest.TestReport:
    report = pytest.TestReport(nodeid, ("a.py", 1, "a"), {}, "passed", None, when)
    put(report, Phase(verdict=verdict))
    return report


def test_the_failed_test_is_torn_down_first() -> None:
    """Another worker would be told to end while this one makes the reproducer."""
    config = SimpleNamespace(pluginmanager=SimpleNamespace(getplugin=lambda _: None))
    session = SimpleNamespace(config=config, shouldstop=False)
    plugin = StopAtFailure(session)  # type: ignore[arg-type]
    plugin.pytest_runtest_logreport(_report("a", "call", "fail"))
    plugin.pytest_runtest_logreport(_report("b", "teardown", "pass"))
    assert not session.shouldstop
    plugin.pytest_runtest_logreport(_report("a", "teardown", "pass"))
    assert session.shouldstop == "a failed"
