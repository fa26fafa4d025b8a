# SPDX-License-Identifier: GPL-2.0-or-later
"""Running tests on a mutant until one fails."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import project_files
from common.errors import KconformError, UsageError
from common.project_files import pytest_command
from kconfigs.cache import Cache
from suites.coverage.line_map import LineMap, save_map
from suites.mutation.executing_tests import UNKNOWN, Execution
from suites.mutation.limited_run import run_within
from suites.mutation.mutant import Mutant
from suites.mutation.mutant_builder import UNCHANGED, discard_image
from suites.mutation.reproducer_trials import try_reproducers

TESTS_DEADLINE_S = 1800.0

DETECTED, SURVIVED, ARGUED, NOT_HERE = "detected", "SURVIVED", "argued", "not here"
NO_MATCH, NO_EFFECT, NOT_COMPILED, ERROR = "no match", "no effect", "does not compile", "error"


@dataclass(frozen=True)
class MutantResult:
    """The result of the tests of a mutant."""

    mutant: Mutant
    status: str
    """`detected` or `SURVIVED`, or why it was not tested.

    `argued`: its table says why no test can detect it.  `not here`: guests, or this configuration, lack what it
    needs.  `no match`: an edit is not for this source.  `no effect`: the kernel is the same as without it.  `does not
    compile` is for mechanical mutants.  `error`: it could not be built, or not all tests could be run.
    """
    by: str = ""
    """The test that detected it, or the reason."""
    seconds: float = 0.0
    reproducer: str = ""
    """Whether the reproducer of that test shows the fault, or that of one which failed soon after
    (reproducer_trials.py); empty if that was not tried.
    """

    def json(self) -> dict[str, Any]:
        fields: dict[str, Any] = dataclasses.asdict(self.mutant)
        fields |= {"status": self.status, "by": self.by, "seconds": round(self.seconds, 1)}
        return fields | ({"reproducer": self.reproducer} if self.reproducer else {})


@dataclass(frozen=True)
class _Outcome:
    """What runs of pytest have found, as in `MutantResult`."""

    status: str
    by: str = ""
    reproducer: str = ""


class MutantTester:
    """Runs the tests of an area, and of all other areas if asked for, on images from one object directory."""

    def __init__(
        self,
        objects: Path,
        area: str,
        arguments: Sequence[str] = (),
        *,
        all_areas: bool = False,
        first: Sequence[str] | None = (),
        touched_only: bool = False,
        reproducers: bool = False,
        lines: LineMap | None = None,
        deadline_s: float = TESTS_DEADLINE_S,
    ) -> None:
        """`arguments` are for pytest.  `deadline_s` is for the tests of an area: a mutant may hang all guests.

        `first` is for pytest with the tests that a mutant names as its first; None: these are not run.
        `touched_only` leaves out tests that do not execute what a mutant changes, as far as the map knows that.
        `reproducers` tries the reproducer of the test that fails; if it does not show the fault, those of later ones.
        """
        self._objects = objects
        self._touched_only = touched_only
        self._reproducers = reproducers
        self._unchanged: Path | None = None
        # A private cache, because templates of mutants are not used again.
        self._scratch = Cache(objects / "kconform-cache")
        if lines:
            save_map(lines, self._scratch)
        self._area = area
        self._arguments = list(arguments)
        self._first = first
        self._deadline_s = deadline_s
        others = [each for each in project_files.areas() if each != area] if all_areas else []
        self._steps = [areas for areas in ([area] if area in project_files.areas() else [], others) if areas]
        if not self._steps:
            raise UsageError(f"{area} has no tests", hint="--all-areas runs those of the other areas")

    def check_unchanged(self, image: Path) -> None:
        """KconformError if a test fails on the kernel without a fault: mutants would count as detected."""
        self._unchanged = image
        result = self.test(UNCHANGED, image)
        if result.status != SURVIVED:
            raise KconformError(f"the tests already fail on the unmodified kernel: {result.by}")

    def test(self, mutant: Mutant, image: Path, execution: Execution = UNKNOWN) -> MutantResult:
        """Run tests until one fails.

        First the mutant's own, then those that execute what it changes, then all of the area, then the others'.

        If the arguments choose tests, such as the walks, there is no choice by what a mutant changes.
        """
        started = time.monotonic()
        try:
            outcome = self._test(mutant, image, execution)
        finally:
            # The unchanged kernel stays: it is the control for mutants that do not boot.
            if mutant is not UNCHANGED:
                _discard_templates(self._scratch, image)
                discard_image(image)
        seconds = time.monotonic() - started
        return MutantResult(mutant, outcome.status, outcome.by, seconds, outcome.reproducer)

    def _test(self, mutant: Mutant, image: Path, execution: Execution) -> _Outcome:
        outcomes = []
        for tests, arguments in self._runs(mutant, execution):
            outcomes.append(self._pytest(image, tests, arguments))
            if outcomes[-1].status == DETECTED:
                return outcomes[-1]
        # If some tests could not be run, they might have detected it.
        return next((outcome for outcome in outcomes if outcome.status == ERROR), _Outcome(SURVIVED))

    def _runs(self, mutant: Mutant, execution: Execution) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
        """The runs of pytest, each with its paths and arguments."""
        if mutant.first and self._first is not None:
            yield [f"{self._area}/{mutant.first}"], self._first
        if not chooses_tests(self._arguments):
            executing = [area for areas in self._steps for area in areas if area in execution.areas]
            if executing:
                touched = [f"--touched={place}" for place in execution.places]
                yield executing, [*self._arguments, "--touched-seconds=0", *touched]
            if execution.complete and self._touched_only:
                return
        for areas in self._steps:
            yield areas, self._arguments

    def _pytest(self, image: Path, tests: Sequence[str], arguments: Sequence[str]) -> _Outcome:
        """Run the tests, which are named by their paths in suites/."""
        report = self._objects / "kconform-report"
        shutil.rmtree(report, ignore_errors=True)
        made = "failed" if self._reproducers else "none"
        command = pytest_command(*(f"suites/{path}" for path in tests), "-q", f"--reproducers={made}")
        command += ["--vmcores=0", "-p", "no:cacheprovider", "-p", "suites.mutation.stop_at_failure"]
        command += ["--kernel", str(image), "--report-dir", str(report), *arguments]
        environment = {**os.environ, "KCONFORM_CACHE": str(self._scratch.root)}
        deadline_s = self._deadline_s * len(tests)
        status, said = run_within(command, environment, deadline_s)
        results = _results_of(report)
        failed = [result for result in results if result["outcome"] == "fail"]
        if failed:
            broken = ", ".join(failed[0]["breaks"])
            tried = ""
            if self._reproducers and self._unchanged and image != self._unchanged:
                tried = try_reproducers(report, failed, self._unchanged, environment)
            by = _name(str(failed[0]["nodeid"])) + (f" ({broken})" if broken else "")
            return _Outcome(DETECTED, by, tried)
        if status == 0:
            return _Outcome(SURVIVED)
        if status is None:
            return _Outcome(ERROR, f"the tests did not end within {deadline_s:.0f} s")
        reasons = [str(result["reason"]) for result in results if result["outcome"] == "error"]
        reasons = reasons or [line for line in said.splitlines() if line.strip()]
        return _Outcome(ERROR, f"pytest ended with {status}: {reasons[-1] if reasons else 'it said nothing'}")


def chooses_tests(arguments: Sequence[str]) -> bool:
    """Whether arguments of pytest choose tests by their markers or names."""
    return any(word.startswith(("-m", "-k")) for word in arguments)


def _discard_templates(scratch: Cache, image: Path) -> None:
    for entry in scratch.entries():
        if entry.kind == "templates" and str(image) in (entry.path / "meta.json").read_text(encoding="utf-8"):
            scratch.discard(entry.kind, entry.key)


def _results_of(report: Path) -> list[dict[str, Any]]:
    """The results as far as they were written."""
    with contextlib.suppress(OSError, ValueError):
        results: list[dict[str, Any]] = json.loads((report / "results.json").read_text(encoding="utf-8"))["results"]
        return results
    return []


def _name(nodeid: str) -> str:
    """The id of a test without its kernel."""
    head, _, parameters = nodeid.rpartition("::")[2].partition("[")
    sentence = parameters.rstrip("]").partition("/")[2].partition("-")[2]
    return f"{head}[{sentence}]" if sentence else head
