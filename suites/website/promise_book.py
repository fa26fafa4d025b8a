# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of each promise: its tests, the faults that break it, its waivers, and how kernels did.

Faults are the mutants and bugs of suites/<area>/{mutants,races,history}.toml.  These tables do not say which promise
a fault breaks, because that is measured: results of `kconform mutants` say which test has detected it, and which
promise that test saw broken.  For a fault that the given results do not have, the table may name a file of tests, or
one test, that is run first.  It is then listed, as not measured, with each promise that these tests are about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from common.errors import UsageError
from reports.judgement import waivers
from reports.judgement.waivers import Waiver
from reports.model import requirements
from reports.model.document import Document
from reports.model.requirements import Requirement
from reports.model.result import KernelRecord, PromiseStatus
from suites.mutation import mutant_table
from suites.mutation.mutant import Mutant
from suites.mutation.mutant_report import read_json
from suites.mutation.mutant_table import HISTORY, LOADERS, MUTANTS, RACES
from suites.mutation.mutant_tester import DETECTED, MutantResult
from suites.website.proving_tests import ProvingTest, Tests

FaultKind = Literal["mutant", "race", "bug"]
TABLES: Mapping[FaultKind, str] = {"mutant": MUTANTS, "race": RACES, "bug": HISTORY}
_BROKEN = re.compile(r" \(([\w.-]+(?:, [\w.-]+)*)\)$", re.ASCII)
"""At the end of what detected a mutant: the promises that the failure broke, where the test is about several."""


@dataclass(frozen=True)
class Fault:
    """A mutant or a bug, and the promises that it is listed with."""

    area: str
    kind: FaultKind
    mutant: Mutant
    result: MutantResult | None
    """The result of its tests; None if nothing measured is known of it."""
    promises: tuple[str, ...]

    @property
    def detected(self) -> bool:
        return self.result is not None and self.result.status == DETECTED

    @property
    def anchor(self) -> str:
        """The label of its section, unique on the site: the tables of different areas may use the same id."""
        return f"{self.area}-{self.kind}-{self.mutant.id}".lower()


@dataclass(frozen=True)
class PromiseFinding:
    """What a promise was on one kernel."""

    kernel: KernelRecord
    status: PromiseStatus
    run: Document


@dataclass(frozen=True)
class Promise:
    """One page: a promise, and all that is known of it."""

    requirement: Requirement
    tests: Sequence[ProvingTest]
    faults: list[Fault] = field(default_factory=list)
    waivers: list[Waiver] = field(default_factory=list)
    findings: list[PromiseFinding] = field(default_factory=list)


@dataclass(frozen=True)
class PromiseBook:
    """All promises by id, in the order of the specification, and all faults."""

    promises: Mapping[str, Promise]
    faults: Sequence[Fault]
    runs: Sequence[Document]

    @property
    def areas(self) -> list[str]:
        return list(dict.fromkeys(each.requirement.area for each in self.promises.values()))

    def of_area(self, area: str) -> list[Promise]:
        return [each for each in self.promises.values() if each.requirement.area == area]

    def faults_of(self, area: str, kind: FaultKind) -> list[Fault]:
        return [each for each in self.faults if (each.area, each.kind) == (area, kind)]


def make_book(suites: Path, tests: Tests, runs: Sequence[Document], measured: Iterable[Path] = ()) -> PromiseBook:
    """The book.  `runs` are results of kernels, and `measured` are files that `kconform mutants` wrote."""
    known = requirements.load(suites)
    promises = {name: Promise(each, tests.get(name, [])) for name, each in known.items()}
    faults = list(_faults(tests, known, list(measured)))
    for fault in faults:
        for name in fault.promises:
            promises[name].faults.append(fault)
    for path in sorted(suites.glob(f"*/{waivers.FILE_NAME}")):
        for waiver in waivers.load(path):
            for promise in promises.values():
                if _is_about(waiver, promise):
                    promise.waivers.append(waiver)
    for run in runs:
        for name, record in run.promises.items():
            if name in promises:
                promises[name].findings.extend(
                    PromiseFinding(kernel, record.status[kernel.id], run)
                    for kernel in run.kernels.values()
                    if kernel.id in record.status
                )
    return PromiseBook(promises, faults, runs)


def _faults(tests: Tests, known: Mapping[str, Requirement], measured: Sequence[Path]) -> Iterable[Fault]:
    by_name: dict[str, set[str]] = {}
    by_file: dict[str, list[str]] = {}
    for promise, of_promise in tests.items():
        for test in of_promise:
            by_name.setdefault(test.name.rpartition("::")[2], set()).add(promise)
            of_file = by_file.setdefault(test.file, [])
            if promise not in of_file:
                of_file.append(promise)
    for kind, table in TABLES.items():
        for area in mutant_table.areas(table):
            mutants = LOADERS[table](area)
            results = {name: result for path in measured for name, result in _results(path, mutants).items()}
            for mutant in mutants:
                result = results.get(mutant.id)
                if result is not None:
                    promises = _broken(result, by_name, known)
                elif mutant.argued:
                    promises = []
                else:
                    file, _, function = mutant.first.partition("::")
                    named = by_name.get(function, ()) if function else known
                    promises = [promise for promise in by_file.get(f"{area}/{file}", []) if promise in named]
                yield Fault(area, kind, mutant, result, tuple(promises))


def _results(path: Path, mutants: Sequence[Mutant]) -> dict[str, MutantResult]:
    try:
        return read_json(path, mutants)
    except UsageError as error:
        raise UsageError(error.message, hint="name a file that `kconform mutants` wrote") from error


def _broken(result: MutantResult, by_name: Mapping[str, set[str]], known: Mapping[str, Requirement]) -> list[str]:
    """The promises that a detected mutant was seen to break."""
    if result.status != DETECTED:
        return []
    if named := _BROKEN.search(result.by):
        return [name for name in named[1].split(", ") if name in known]
    promises = by_name.get(result.by.partition("[")[0].rpartition("::")[2], set())
    return [name for name in known if name in promises]


def _is_about(waiver: Waiver, promise: Promise) -> bool:
    if waiver.requirement:
        return waiver.requirement == promise.requirement.id
    return any(waiver.test.partition("[")[0] == test.name for test in promise.tests)
