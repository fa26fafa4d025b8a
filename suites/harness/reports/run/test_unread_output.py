# SPDX-License-Identifier: GPL-2.0-or-later
"""A run whose output nobody reads any more, as in `pytest | head`, ends in order, and its report says so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from reports.judgement.exit_status import INTERRUPTED
from suites.harness.reports.run import inner_runs

TESTS = """
def test_before(): pass
def test_that_waits():
    with open(os.environ["GATE"], "rb") as gate:
        gate.read(1)
@pytest.mark.parametrize("number", range(20))
def test_after(number): pass
"""


@pytest.mark.usefixtures("_inner_project")
def test_a_run_whose_output_is_not_read_to_the_end_is_interrupted(
    pytester: pytest.Pytester, workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = pytester.path / "gate"
    os.mkfifo(gate)
    monkeypatch.setenv("GATE", str(gate))
    inner_runs.suite(pytester, TESTS)
    opener = os.open(gate, os.O_RDWR)
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", "-v", *workers], cwd=pytester.path, stdout=subprocess.PIPE
        ) as run:
            assert run.stdout is not None
            while b"PASSED" not in (line := run.stdout.readline()):
                assert line, "the run has ended"
            run.stdout.close()
            os.write(opener, b"x")
            assert run.wait() == INTERRUPTED
    finally:
        os.close(opener)
    found = inner_runs.document()["run"]
    assert (found["state"], found["exit_status"]) == ("interrupted", INTERRUPTED)
