# SPDX-License-Identifier: GPL-2.0-or-later
"""A reproducer is tried on a mutant and on the kernel without its fault."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from suites.mutation import reproducer_trials
from suites.mutation.reproducer_trials import ACCUSES, REPRODUCES, REPRODUCES_LATER, try_reproducer, try_reproducers

MUTANT, UNCHANGED = Path("mutant/bzImage"), Path("unchanged/bzImage")


class FakeCommands:
    """`kconform reproduce`: prints a line, and ends with the status that the image has."""

    def __init__(self) -> None:
        self.statuses = {MUTANT: 1, UNCHANGED: 0}
        self.given: list[tuple[str, ...]] = []
        self.sleeps = False

    def __call__(self, *arguments: str) -> list[str]:
        self.given.append(arguments)
        status = next(self.statuses[image] for image in self.statuses if f"--kernel={image}" in arguments)
        wait = "import signal; signal.pause(); " if self.sleeps else ""
        return [sys.executable, "-c", f"{wait}print('line 7: it says why'); raise SystemExit({status})"]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> FakeCommands:
    commands = FakeCommands()
    monkeypatch.setattr(reproducer_trials, "kconform_command", commands)
    return commands


def tried(evidence: dict[str, str], report: Path = Path("report")) -> str:
    return try_reproducer(report, {"evidence": evidence}, MUTANT, UNCHANGED, os.environ)


@pytest.mark.parametrize(
    ("on_mutant", "without", "found"),
    [
        (1, 0, REPRODUCES),
        (1, 1, ACCUSES),
        (0, 1, ACCUSES),
        (0, 0, "status 0 on the mutant: line 7: it says why"),
        (3, 0, "status 3 on the mutant: line 7: it says why"),
        (1, 3, "status 3 on the unchanged kernel: line 7: it says why"),
    ],
)
def test_what_the_two_runs_say(commands: FakeCommands, on_mutant: int, without: int, found: str) -> None:
    commands.statuses = {MUTANT: on_mutant, UNCHANGED: without}
    assert tried({"reproducer.c": "evidence/a/reproducer.c"}) == found
    assert {arguments[:2] for arguments in commands.given} == {("reproduce", "report/evidence/a/reproducer.c")}


def test_a_run_that_does_not_end(commands: FakeCommands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproducer_trials, "DEADLINE_S", 0.2)
    commands.sleeps = True
    assert tried({"reproducer.c": "r.c"}) == "status None on the unchanged kernel: it did not end within 0 s"


def test_a_test_without_a_reproducer(commands: FakeCommands, tmp_path: Path) -> None:
    (tmp_path / "why.txt").write_text("it has 32-bit tasks\n")
    assert tried({"no reproducer": "why.txt"}, tmp_path) == "none: it has 32-bit tasks"
    assert tried({"transcript": "t.txt"}) == "none: the test had no guest"
    assert commands.given == []


@pytest.mark.parametrize(
    ("single", "together"),
    [
        ([REPRODUCES, ACCUSES], REPRODUCES),
        (["none: a loop", REPRODUCES, "none: b"], REPRODUCES_LATER),
        (["status 0 on the mutant: a", ACCUSES, REPRODUCES], ACCUSES),
        (["none: a loop", "status 2 on the mutant: b"], "none: a loop"),
    ],
)
def test_many_tests_failed(monkeypatch: pytest.MonkeyPatch, single: list[str], together: str) -> None:
    """One reproducer is enough, but none may accuse a good kernel."""
    left = iter(single)
    monkeypatch.setattr(reproducer_trials, "try_reproducer", lambda *_: next(left))
    failed: list[dict[str, str]] = [{}] * len(single)
    assert try_reproducers(Path("report"), failed, MUTANT, UNCHANGED, os.environ) == together
