# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests decide whether a mutant was detected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from common import project_files
from common.errors import KconformError
from kconfigs.architectures import architecture
from kconfigs.cache import Cache
from suites.coverage.line_map import load_map
from suites.harness.project.line_map_sample import LINES
from suites.mutation import mutant_tester
from suites.mutation.executing_tests import Execution
from suites.mutation.mutant import Edit, Mutant
from suites.mutation.mutant_tester import MutantTester

MUTANT = Mutant("an-id", "What it breaks.", (Edit("a.c", "scope = 1", "scope = 7"),))


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    return tmp_path / "objects"


def image_of(objects: Path, name: str = "an-id") -> Path:
    """An image where MutantBuilder keeps it."""
    image = objects / "kconform-mutants" / name / architecture().image
    image.parent.mkdir(parents=True)
    image.touch()
    return image


class FakeRuns:
    """Runs of pytest.  Each has one test, which passes, except where `outcomes` says something else.

    That has the exit status of pytest, and the outcome of the test, by the first path that pytest is given.
    """

    def __init__(self) -> None:
        self.paths: list[list[str]] = []
        """What each run was given."""
        self.commands: list[list[str]] = []
        self.cache = Path()
        self.outcomes: dict[str, tuple[int, str]] = {}

    def __call__(self, command: Sequence[str], environment: Mapping[str, str], _: float) -> tuple[int, str]:
        self.commands.append(list(command))
        self.cache = Path(environment["KCONFORM_CACHE"])
        self.paths.append([word for word in command if word.startswith("suites/")])
        status, outcome = self.outcomes.get(self.paths[-1][0], (0, "pass"))
        report = Path(command[command.index("--report-dir") + 1])
        report.mkdir()
        result = {"nodeid": "suites/a.py::test_a[k/full-x]", "outcome": outcome, "reason": "why", "breaks": ["a.b"]}
        (report / "results.json").write_text(json.dumps({"results": [result]}))
        return status, "output"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    runs = FakeRuns()
    monkeypatch.setattr(mutant_tester, "run_within", runs)
    monkeypatch.setattr(project_files, "areas", lambda: ["boot", "seccomp", "yama"])
    return runs


def test_own_tests_are_first(objects: Path, runs: FakeRuns) -> None:
    tester = MutantTester(objects, "yama", all_areas=True)
    tested = replace(MUTANT, first="test_log.py")
    result = tester.test(tested, image_of(objects))
    assert runs.paths == [["suites/yama/test_log.py"], ["suites/yama"], ["suites/boot", "suites/seccomp"]]
    assert (result.status, result.by) == ("SURVIVED", "")


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("touched_only", [True, False])
def test_those_that_execute_the_change_come_next(
    objects: Path, runs: FakeRuns, complete: bool, touched_only: bool
) -> None:
    """They are all if the map is complete, and if this was asked for.  The map is in the cache of the tests."""
    execution = Execution(("a.c:1", "a.c:2"), frozenset({"seccomp", "yama"}), complete)
    tester = MutantTester(objects, "yama", ["-n2"], touched_only=touched_only, lines=LINES)
    tester.test(MUTANT, image_of(objects), execution)
    assert runs.paths == [["suites/yama"]] * (1 if complete and touched_only else 2)
    assert runs.commands[0][-4:] == ["-n2", "--touched-seconds=0", "--touched=a.c:1", "--touched=a.c:2"]
    assert load_map(cache=Cache(runs.cache)) == LINES


def test_an_area_that_does_not_execute_the_change(objects: Path, runs: FakeRuns) -> None:
    """pytest, which would find no test there, is not started for it."""
    execution = Execution(("a.c:1",), frozenset({"seccomp"}))
    MutantTester(objects, "yama").test(MUTANT, image_of(objects), execution)
    assert "--touched=a.c:1" not in runs.commands[0]


def test_chosen_tests_are_the_only_ones(objects: Path, runs: FakeRuns) -> None:
    execution = Execution(("a.c:1",), frozenset({"yama"}))
    MutantTester(objects, "yama", ["-m", "walks"]).test(MUTANT, image_of(objects), execution)
    assert [command[-2:] for command in runs.commands] == [["-m", "walks"]]


def test_the_area_alone(objects: Path, runs: FakeRuns) -> None:
    MutantTester(objects, "yama").test(MUTANT, image_of(objects))
    assert runs.paths == [["suites/yama"]]


def test_an_area_without_tests(objects: Path, runs: FakeRuns) -> None:
    """The other areas are asked; without them, nothing was found out."""
    result = MutantTester(objects, "ptrace", all_areas=True).test(MUTANT, image_of(objects))
    assert (result.status, runs.paths) == ("SURVIVED", [["suites/boot", "suites/seccomp", "suites/yama"]])
    with pytest.raises(KconformError, match="ptrace has no tests"):
        MutantTester(objects, "ptrace")


@pytest.mark.parametrize("detecting", ["suites/yama", "suites/boot"])
def test_the_first_failure_is_the_last_run(
    objects: Path,
    runs: FakeRuns,
    detecting: str,
) -> None:
    runs.outcomes[detecting] = (1, "fail")
    image = image_of(objects)
    result = MutantTester(objects, "yama", all_areas=True).test(MUTANT, image)
    assert (result.status, result.by) == ("detected", "test_a[x] (a.b)")
    assert runs.paths[-1][0] == detecting
    assert not image.exists()


def test_an_error_is_not_forgotten(objects: Path, runs: FakeRuns) -> None:
    """If the other areas hold, the test that could not be run might have detected it."""
    runs.outcomes["suites/yama"] = (3, "error")
    tester = MutantTester(objects, "yama", all_areas=True)
    result = tester.test(MUTANT, image_of(objects))
    assert (result.status, result.by) == ("error", "pytest ended with 3: why")
    runs.outcomes["suites/boot"] = (1, "fail")
    assert tester.test(MUTANT, image_of(objects)).status == "detected"


def test_the_unchanged_kernel_must_hold(objects: Path, runs: FakeRuns) -> None:
    """Its image stays: it is the control for mutants that do not boot."""
    tester = MutantTester(objects, "yama")
    image = image_of(objects, "unchanged")
    tester.check_unchanged(image)
    assert image.exists()
    runs.outcomes["suites/yama"] = (1, "fail")
    with pytest.raises(KconformError, match="already fail on the unmodified kernel: test_a"):
        tester.check_unchanged(image)


def test_the_reproducers_of_failed_tests(objects: Path, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are tried on the kernel without the fault; nobody tries one of an unchanged kernel."""
    tried: list[Path] = []

    def try_reproducers(_: Path, failed: list[object], without: Path, __: object) -> str:
        assert len(failed) == 1
        tried.append(without)
        return "reproduces"

    monkeypatch.setattr(mutant_tester, "try_reproducers", try_reproducers)
    tester = MutantTester(objects, "yama", reproducers=True)
    unchanged = image_of(objects, "unchanged")
    tester.check_unchanged(unchanged)
    runs.outcomes["suites/yama"] = (1, "fail")
    image = image_of(objects)
    assert tester.test(MUTANT, image).json()["reproducer"] == "reproduces"
    assert tried == [unchanged]
    assert "--reproducers=failed" in runs.commands[-1]
    with pytest.raises(KconformError, match="already fail"):
        tester.check_unchanged(unchanged)
    assert len(tried) == 1


def test_nobody_asked_for_reproducers(objects: Path, runs: FakeRuns) -> None:
    runs.outcomes["suites/yama"] = (1, "fail")
    result = MutantTester(objects, "yama").test(MUTANT, image_of(objects))
    assert "reproducer" not in result.json()
    assert "--reproducers=none" in runs.commands[-1]


def test_tests_that_do_not_end_are_an_error(objects: Path) -> None:
    """Their processes are killed, and the table goes on."""
    impatient = MutantTester(objects, "yama", deadline_s=0.01)
    result = impatient.test(MUTANT, image_of(objects))
    assert (result.status, result.by) == ("error", "the tests did not end within 0 s")


def test_a_run_without_results_is_an_error(objects: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pytest said last is the reason."""
    monkeypatch.setattr(mutant_tester, "run_within", lambda *_: (4, "usage\nno such option\n\n"))
    result = MutantTester(objects, "yama").test(MUTANT, image_of(objects))
    assert (result.status, result.by) == ("error", "pytest ended with 4: no such option")


def test_the_areas_are_those_with_promises() -> None:
    assert {"boot", "loadpin", "seccomp", "yama"} <= set(project_files.areas())
    assert "harness" not in project_files.areas()
