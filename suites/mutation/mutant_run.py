# SPDX-License-Identifier: GPL-2.0-or-later
"""Building and testing mutants one after the other; while one is tested, the next may be built."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from common.errors import KconformError
from suites.coverage.line_map import LineMap
from suites.mutation.executing_tests import UNKNOWN, Execution, execution_of
from suites.mutation.limited_run import end_all
from suites.mutation.mutant import EditMismatchError, Mutant
from suites.mutation.mutant_builder import MutantBuilder, NoEffectError
from suites.mutation.mutant_tester import (
    ARGUED,
    ERROR,
    NO_EFFECT,
    NO_MATCH,
    NOT_COMPILED,
    NOT_HERE,
    MutantResult,
    MutantTester,
)

MOST_DRAWS = 3
"""How many mechanical mutants are tried at most for each that is wanted."""


@dataclass(frozen=True)
class Known:
    """What is known before a run."""

    kept: Mapping[str, MutantResult]
    """Results by id; these mutants are not built again."""
    lines: LineMap | None
    """Of this version of the kernel."""


def run_table(
    builder: MutantBuilder, tester: MutantTester, mutants: Iterable[Mutant], known: Known, *, alone: bool = False
) -> Iterator[MutantResult]:
    """The results of all mutants, in order.  `alone`: nothing is built beside tests, which need all processors."""
    steps = _Steps(builder, tester, known)
    return _one_after_another(steps, mutants) if alone else _run(steps, mutants, None)


def run_sample(
    builder: MutantBuilder,
    tester: MutantTester,
    mutants: Iterable[Mutant],
    wanted: int,
    known: Known,
) -> Iterator[MutantResult]:
    """The results of as many mutants as wanted.  Those that do not compile or have no effect are extra."""
    steps = _Steps(builder, tester, known, failed_build=NOT_COMPILED)
    return _run(steps, itertools.islice(mutants, MOST_DRAWS * wanted), wanted)


@dataclass(frozen=True)
class _Built:
    image: Path
    execution: Execution


class _Steps:
    """What is done for one mutant."""

    def __init__(
        self,
        builder: MutantBuilder,
        tester: MutantTester,
        known: Known,
        *,
        failed_build: str = ERROR,
    ) -> None:
        self._builder = builder
        self.tester = tester
        self._known = known
        self._failed_build = failed_build
        self._checked = False

    def build(self, mutant: Mutant) -> _Built | MutantResult:
        """What to test, or the result if there is nothing to test."""
        if mutant.id in self._known.kept:
            return self._known.kept[mutant.id]
        if mutant.argued:
            return MutantResult(mutant, ARGUED, mutant.argued)
        if mutant.missing:
            return MutantResult(mutant, NOT_HERE, f"needs {mutant.missing}")
        if foreign := self._builder.foreign(mutant):
            return MutantResult(mutant, NOT_HERE, f"it is for {foreign}")
        if lacks := self._builder.lacks(mutant):
            return MutantResult(mutant, NOT_HERE, f"this kernel lacks {lacks}")
        self._check_unchanged()
        lines = self._known.lines
        try:
            execution = execution_of(mutant, self._builder.tree, lines) if lines else UNKNOWN
            return _Built(self._builder.build_mutant(mutant), execution)
        except EditMismatchError as error:
            return MutantResult(mutant, NO_MATCH, error.message)
        except NoEffectError as error:
            return MutantResult(mutant, NO_EFFECT, error.message)
        except KconformError as error:
            return MutantResult(mutant, self._failed_build, error.message)

    def _check_unchanged(self) -> None:
        """Build and test the kernel without a fault, before the first mutant.  KconformError if a test fails."""
        if not self._checked:
            self.tester.check_unchanged(self._builder.build_unchanged())
            self._checked = True


def _one_after_another(steps: _Steps, mutants: Iterable[Mutant]) -> Iterator[MutantResult]:
    for mutant in mutants:
        built = steps.build(mutant)
        if isinstance(built, MutantResult):
            yield built
        else:
            yield steps.tester.test(mutant, built.image, built.execution)


def _run(steps: _Steps, mutants: Iterable[Mutant], wanted: int | None) -> Iterator[MutantResult]:
    with ThreadPoolExecutor(max_workers=1) as thread:
        try:
            yield from _beside(thread, steps, mutants, wanted)
        except KeyboardInterrupt:
            # Nobody interrupts the thread, for whose end the executor waits.
            end_all()
            raise


def _beside(
    thread: ThreadPoolExecutor, steps: _Steps, mutants: Iterable[Mutant], wanted: int | None
) -> Iterator[MutantResult]:
    """Build each mutant while the thread tests the one before."""
    under_test: Future[MutantResult] | None = None
    counted = 0
    for mutant in mutants:
        if counted == wanted:
            break
        built = steps.build(mutant)
        if not (isinstance(built, MutantResult) and built.status in (NOT_COMPILED, NO_EFFECT)):
            counted += 1
        if under_test is not None:
            yield under_test.result()
            under_test = None
        if isinstance(built, MutantResult):
            yield built
        else:
            under_test = thread.submit(steps.tester.test, mutant, built.image, built.execution)
    if under_test is not None:
        yield under_test.result()
