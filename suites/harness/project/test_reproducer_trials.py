# SPDX-License-Identifier: GPL-2.0-or-later
"""A reproducer that shows a mutant's fault is tried on the kernel without the fault."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from guests.reproducer.guest_trial import PROMISE_BROKEN, PROMISE_KEPT, ReproducerRun
from suites.mutation import reproducer_trials
from suites.mutation.reproducer_trials import ACCUSES, REPRODUCES, REPRODUCES_LATER, try_reproducer, try_reproducers

UNCHANGED = Path("unchanged/bzImage")


class FakeCommands:
    """`kconform reproduce`: prints a line, and ends with the status that the image has."""

    def __init__(self) -> None:
        self.status = 0
        self.given: list[tuple[str, ...]] = []
        self.sleeps = False

    def __call__(self, *arguments: str) -> list[str]:
        self.given.append(arguments)
        wait = "import signal; signal.pause(); " if self.sleeps else ""
        return [sys.executable, "-c", f"{wait}print('line 7: it says why'); raise SystemExit({self.status})"]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> FakeCommands:
    commands = FakeCommands()
    monkeypatch.setattr(reproducer_trials, "kconform_command", commands)
    return commands


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The report of a mutant, without the files of a test."""
    return tmp_path


def tried(report: Path, on_mutant: int | None = PROMISE_BROKEN) -> str:
    """What is found out of a reproducer that ended on the mutant with that status."""
    (report / "run.txt").write_text(str(ReproducerRun(on_mutant, "line 5: so\n")))
    evidence = {"reproducer.c": "reproducer.c", "reproducer's run": "run.txt"}
    return try_reproducer(report, {"evidence": evidence}, UNCHANGED, os.environ)


@pytest.mark.parametrize(
    ("on_mutant", "without", "found"),
    [
        (PROMISE_BROKEN, 0, REPRODUCES),
        (PROMISE_BROKEN, 1, ACCUSES),
        (PROMISE_KEPT, 1, ACCUSES),
        (PROMISE_KEPT, 0, "on the mutant: line 5: so; exit status 0: the kernel keeps its promise"),
        (None, 0, "on the mutant: line 5: so; no exit status: it did not end as it should"),
        (PROMISE_BROKEN, 3, "status 3 on the unchanged kernel: line 7: it says why"),
    ],
)
def test_what_the_two_runs_say(
    commands: FakeCommands, report: Path, on_mutant: int | None, without: int, found: str
) -> None:
    commands.status = without
    assert tried(report, on_mutant) == found
    assert commands.given == [("reproduce", f"{report}/reproducer.c", f"--kernel={UNCHANGED}")]


def test_a_run_that_does_not_end(commands: FakeCommands, report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproducer_trials, "DEADLINE_S", 0.2)
    commands.sleeps = True
    assert tried(report) == "status None on the unchanged kernel: it did not end within 0 s"


def test_a_test_without_a_reproducer(commands: FakeCommands, report: Path) -> None:
    (report / "why.txt").write_text("it has 32-bit tasks\n")
    for evidence, said in (
        ({"no reproducer": "why.txt"}, "none: it has 32-bit tasks"),
        ({"transcript": "t.txt"}, "none: the test had no guest"),
    ):
        assert try_reproducer(report, {"evidence": evidence}, UNCHANGED, os.environ) == said
    assert commands.given == []


@pytest.mark.parametrize(
    ("single", "together"),
    [
        ([REPRODUCES, ACCUSES], REPRODUCES),
        (["none: a loop", REPRODUCES, "none: b"], REPRODUCES_LATER),
        (["on the mutant: a", ACCUSES, REPRODUCES], ACCUSES),
        (["none: a loop", "on the mutant: b"], "none: a loop"),
    ],
)
def test_many_tests_failed(monkeypatch: pytest.MonkeyPatch, single: list[str], together: str) -> None:
    """One reproducer is enough, but none may accuse a good kernel."""
    left = iter(single)
    monkeypatch.setattr(reproducer_trials, "try_reproducer", lambda *_: next(left))
    failed: list[dict[str, str]] = [{}] * len(single)
    assert try_reproducers(Path("report"), failed, UNCHANGED, os.environ) == together
