# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs and commands that were started with ignored or blocked signals, or with a closed standard input."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from suites.harness.checkout import ROOT
from suites.harness.reports.run import inner_runs

LEFTOVERS = {
    "ignored-sigchld": ["env", "--ignore-signal=CHLD"],
    "blocked-signals": ["env", "--block-signal=ALRM,TERM,HUP,CHLD"],
    "closed-standard-input": ["sh", "-c", 'exec "$@" <&-', "sh"],
}
LOOK = """
import os, signal, subprocess
from common.process_defaults import USED
assert subprocess.run(["false"]).returncode == 1
assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & USED
assert subprocess.run(["sh", "-c", "test -e /proc/self/fd/0"]).returncode == 0
"""


@pytest.fixture(params=list(LEFTOVERS.values()), ids=list(LEFTOVERS))
def starter(request: pytest.FixtureRequest) -> Sequence[str]:
    """The command that starts another one with one of the leftovers."""
    return list(request.param)


def succeeds(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_leftovers_are_inherited(starter: Sequence[str]) -> None:
    """Otherwise the other tests would prove nothing."""
    with pytest.raises(AssertionError, match="AssertionError"):
        succeeds([*starter, sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{LOOK}"])


def test_a_run_does_not_keep_them(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, starter: Sequence[str]
) -> None:
    """-s, because pytest opens a closed standard input if it captures output."""
    inner_runs.prepare(pytester, monkeypatch)
    inner_runs.suite(pytester, f"def test_it():\n{LOOK.replace(chr(10), chr(10) + '    ')}")
    succeeds([*starter, sys.executable, "-m", "pytest", "-s", "-p", "guests.plugin"])


def test_a_command_does_not_keep_them(starter: Sequence[str]) -> None:
    """The last line runs in the process of the command, after it."""
    ran = f"import kconform\ntry:\n    kconform.main(['--help'])\nexcept SystemExit:\n    pass\n{LOOK}"
    succeeds([*starter, sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{ran}"])
