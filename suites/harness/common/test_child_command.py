# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands of ours that are interrupted: the program that they started ends in its own time, and before they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from suites.harness.checkout import ROOT

PARENT = """
import sys
from common.child_command import wait_for, wait_for_tests
from common.commandline import run
sys.exit(run(lambda: {function}([sys.executable, "-c", sys.argv[1]])))
"""
CHILD = """
import signal, sys, time

def end(*_):
    time.sleep(1)  # longer than subprocess.run() would wait
    print("the report is written")
    sys.exit(2)

signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("kill", "number"),
    [pytest.param(os.killpg, signal.SIGINT, id="ctrl-c"), pytest.param(os.kill, signal.SIGTERM, id="sigterm")],
)
@pytest.mark.parametrize(
    ("function", "said"), [("wait_for", ""), ("wait_for_tests", "kconform: interrupted\n")], ids=["command", "tests"]
)
def test_a_run_has_time_to_write_its_report(
    kill: Callable[[int, int], None], number: signal.Signals, function: str, said: str
) -> None:
    """A terminal interrupts all of its processes; `kill` only the one that it names."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(function=function), CHILD],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        kill(running.pid, number)
        assert running.communicate() == ("the report is written\n", said)
    assert running.returncode == 2


def test_the_exit_status() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PARENT.format(function="wait_for_tests"), "raise SystemExit(3)"], cwd=ROOT, check=False
    )
    assert ended.returncode == 3
