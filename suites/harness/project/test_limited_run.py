# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that may hang: those that do are killed, and those that run are ended with the program."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from suites.harness.kconfigs import fake_kernels as fakes
from suites.mutation import limited_run, mutant_run
from suites.mutation.executing_tests import UNKNOWN
from suites.mutation.mutant_run import _Built

pytestmark = pytest.mark.usefixtures("_runs_of_its_own")

PROGRAM = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, {handler})
pathlib.Path(sys.argv[1]).touch()
time.sleep(1000)
"""
OBEYS, IGNORES = PROGRAM.format(handler="signal.default_int_handler"), PROGRAM.format(handler="signal.SIG_IGN")


@pytest.fixture
def _runs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited_run, "_runs", limited_run._LimitedRuns())


def test_one_that_hangs_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IGNORES, str(tmp_path / "begun")]
    assert limited_run.run_within(command, os.environ, 0.2) == (None, "")


@pytest.mark.parametrize("program", [OBEYS, IGNORES], ids=["obeys", "ignores"])
def test_an_interrupted_program_does_not_wait_for_its_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """A thread waits for them, for up to half an hour, and no other tests begin."""
    monkeypatch.setattr(limited_run, "GRACE_S", 0.5)
    ended: list[Any] = []

    class Steps:
        """The first mutant is tested; Ctrl-C comes while the second is built."""

        tester: Any = None

        def build(self, mutant: object) -> _Built:
            if mutant == "second":
                fakes.until((tmp_path / "begun").exists)
                raise KeyboardInterrupt
            return _Built(tmp_path, UNKNOWN)

        def test(self, *_: object) -> None:
            command = [sys.executable, "-c", program, str(tmp_path / "begun")]
            ended.append(limited_run.run_within(command, os.environ, 1000)[0])
            limited_run.run_within(["touch", str(tmp_path / "another")], os.environ, 1000)

    steps: Any = Steps()
    steps.tester = steps
    mutants: Any = ["first", "second"]
    with pytest.raises(KeyboardInterrupt):
        list(mutant_run._run(steps, mutants, None))
    assert len(ended) == 1
    assert ended[0] != 0
    assert not (tmp_path / "another").exists()
