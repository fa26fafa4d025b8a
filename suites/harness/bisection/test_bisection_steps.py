# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps that git starts: where they begin, and how they are ended."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from suites.bisection import bisection_steps


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[bisection_steps._StartedSteps]:
    with bisection_steps._StartedSteps(tmp_path / "steps") as steps:
        yield steps


def test_a_step_begins_where_the_user_is(tmp_path: Path, steps: bisection_steps._StartedSteps) -> None:
    """git runs it in the tree; relative paths among the arguments, and reports, are not to be there."""
    (tmp_path / "it's here").mkdir()
    command = steps.command(
        ["sh", "-c", 'pwd; echo "$@"', "kconform", "--waivers=my waivers"], tmp_path / "it's here"
    )
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(tmp_path / "it's here"), "--waivers=my waivers"]
    steps.wait()


def test_the_step_that_runs_is_terminated(tmp_path: Path, steps: bisection_steps._StartedSteps) -> None:
    first = subprocess.run(steps.command(["true"], tmp_path), check=True)
    steps.terminate()  # none runs
    assert first.returncode == 0
    with subprocess.Popen(steps.command(["sh", "-c", "echo begun; exec sleep 1000"], tmp_path), stdout=-1) as second:
        assert second.stdout is not None
        assert second.stdout.readline() == b"begun\n"
        steps.wait()
        assert second.wait() == -signal.SIGTERM


def test_without_a_step_there_is_nothing_to_wait_for(steps: bisection_steps._StartedSteps) -> None:
    steps.wait()
    steps.terminate()
