# SPDX-License-Identifier: GPL-2.0-or-later
"""How many mutants walks notice is measured by the walks alone, and by none that are kept from another mutant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from suites.harness.walks.fake_guest import FakeGuest, FakeYamaWalk
from suites.harness.walks.wrong_rules import RULES
from suites.mutation import mutant_tester
from suites.mutation.mutant import Edit, Mutant
from suites.mutation.mutant_tester import MutantTester, chooses_tests
from suites.mutation.mutants_options import parser, pytest_arguments
from suites.walks.walk import WalkDifference
from suites.walks.walk_context import WalkContext
from suites.walks.walk_run import Budget, run_walks

WALKS = ["-m", "walks", "--walks", "300", "--no-walk-shrink"]
MUTANT = Mutant("an-id", "What it breaks.", (Edit("a.c", "find", "replace"),), first="test_log.py")


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [(WALKS, True), (["-k", "talk"], True), (["-mwalks"], True), (["-n", "2"], False), (["--memory", "300"], False)],
)
def test_arguments_that_choose_tests(arguments: list[str], chosen: bool) -> None:
    assert chooses_tests(arguments) == chosen


def test_a_mutant_s_own_tests_do_not_measure_walks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the arguments choose is run."""
    commands: list[Sequence[str]] = []

    def run(command: Sequence[str], *_: object) -> tuple[int, str]:
        commands.append(command)
        report = Path(command[command.index("--report-dir") + 1])
        report.mkdir()
        (report / "results.json").write_text(json.dumps({"results": []}))
        return 0, "output"

    monkeypatch.setattr(mutant_tester, "run_within", run)
    # It removes what surrounds a mutant's image, and this mutant has none.
    monkeypatch.setattr(mutant_tester, "discard_image", lambda _: None)
    arguments, first = pytest_arguments(parser().parse_args(["yama", f"--pytest={' '.join(WALKS)}"]))
    tester = MutantTester(tmp_path, "yama", arguments, first=first)
    assert tester.test(MUTANT, tmp_path / "image").status == "SURVIVED"
    (command,) = commands
    assert [word for word in command if word.startswith("suites/")] == ["suites/yama"]
    assert list(command[-len(WALKS) :]) == WALKS


@pytest.mark.parametrize("shrink", [True, False])
def test_only_differences_that_are_shrunk_are_kept(tmp_path: Path, shrink: bool) -> None:
    with pytest.raises(WalkDifference):
        run_walks(
            FakeYamaWalk,
            WalkContext(lambda: FakeGuest(*RULES["scope-1-without-exceptions"])),
            Budget(walks=300, database=tmp_path / "kept", shrink=shrink),
            seed=1,
        )
    assert (tmp_path / "kept").exists() == shrink
