# SPDX-License-Identifier: GPL-2.0-or-later
"""`--repeat` and `--confirm`: several attempts at one test, in the process that runs it, reported as one.

Each attempt has a set-up, call and teardown of its own, and so a guest of its own.  Nothing of a test is reported
before its last attempt, so the terminal, -x and the workers of pytest-xdist see one test with one verdict.  The
reports are those of the attempt that decided; the last of them carries the `Repetition`, what all attempts took, and
the evidence of an attempt with the other outcome.

A test that does not apply is not run again.  What subtests find is reported as they find it, in every attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import pytest
from _pytest.runner import runtestprotocol

from common.commandline import whole_number
from reports.judgement.attempts import CombinedVerdict, combine
from reports.model.result import Attempt, Preparation, clean_text, utc
from reports.model.run_record import CertaintyRecord
from reports.run.notes import REMARKS
from reports.run.phases import OpenTest, Phase, phase_of, put

MOST = 100
"""Attempts at a test.  `kconform soak` makes more."""


def add_options(group: pytest.OptionGroup) -> None:
    """Add them to the others of the package."""
    group.addoption(
        "--repeat",
        type=whole_number("attempts", 1, MOST),
        default=1,
        metavar="N",
        help="run each test N times; one that breaks a promise in some of them is flaky",
    )
    group.addoption(
        "--confirm",
        type=whole_number("attempts", 0, MOST),
        default=0,
        metavar="N",
        help="run each test that breaks a promise N times more before it is reported; if it holds in any of these, it"
        " is flaky",
    )
    group.addoption(
        "--flaky",
        choices=("broken", "undetermined"),
        default="broken",
        help="how flaky tests count: as broken promises (exit status 1, the default), or as errors (3)",
    )


def asked_for(config: pytest.Config) -> CertaintyRecord:
    """What the options say, for results.json.  pytest.UsageError if they contradict each other."""
    option = config.option
    if option.repeat > 1 and option.confirm:
        raise pytest.UsageError(
            "--repeat and --confirm cannot be combined\n"
            "  hint: --repeat runs every test again, those that fail among them; --confirm only those"
        )
    return CertaintyRecord(repeat=option.repeat, confirm=option.confirm, flaky=option.flaky)


@dataclass(frozen=True)
class Attempted:
    """One attempt at a test: its reports, and the phase of each."""

    reports: Sequence[pytest.TestReport]
    phases: Sequence[Phase]

    def record(self) -> Attempt:
        """What results.json says about it."""
        test = OpenTest(started=self.reports[0].start, worker=None)
        for report, phase in zip(self.reports, self.phases, strict=True):
            test.take(phase.verdict, phase.reason, phase.breaks)
            test.duration += report.duration
        return Attempt(
            verdict=test.verdict,
            reason=clean_text(test.reason),
            started=utc(test.started),
            duration_s=round(test.duration, 6),
            breaks=test.breaks,
        )


def run(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run the test as often as the options ask for, and report it.  False if once is enough: pytest does that."""
    repeat, confirm = item.config.option.repeat, item.config.option.confirm
    if repeat == 1 and not confirm:
        return False
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    attempts = [_attempt(item, nextitem)]
    verdict = attempts[0].record().verdict
    option: Literal["repeat", "confirm"] = "repeat" if repeat > 1 else "confirm"
    more = {"repeat": repeat - 1 if verdict != "skip" else 0, "confirm": confirm if verdict == "fail" else 0}
    attempts += [_attempt(item, nextitem) for _ in range(more[option])]
    for report in _as_one(option, attempts) if len(attempts) > 1 else attempts[0].reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _attempt(item: pytest.Item, nextitem: pytest.Item | None) -> Attempted:
    """Run the test once.  Fixtures that outlive a test are those of the test after it, as in any run."""
    # What pytest and the project keep of a test from one phase to the next.
    item._report_sections.clear()
    item.stash[REMARKS] = []
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    return Attempted(reports, [phase_of(report) for report in reports])


def _as_one(option: Literal["repeat", "confirm"], attempts: Sequence[Attempted]) -> Sequence[pytest.TestReport]:
    """The reports of the decisive attempt, changed to give the result of all of them."""
    found = combine(option, [each.record() for each in attempts])
    decisive = attempts[found.decisive]
    worst = decisive.record().verdict
    phases = list(decisive.phases)
    said = False
    for number, phase in enumerate(phases):
        if phase.verdict == worst != "pass":
            # A reason that is not the first is that of a clean-up which failed as well.
            reason, breaks = (phase.reason, phase.breaks) if said else (found.reason, found.breaks)
            phases[number] = msgspec.structs.replace(phase, verdict=found.verdict, reason=reason, breaks=breaks)
            said = True
    others = [phase for each in attempts if each is not decisive for phase in each.phases]
    phases[-1] = msgspec.structs.replace(
        phases[-1],
        evidence=(*phases[-1].evidence, *_evidence(attempts, found)),
        repetition=found.repetition,
        **_taken([phases[-1], *others]),
    )
    for report, phase in zip(decisive.reports, phases, strict=True):
        put(report, phase)
    return decisive.reports


def _evidence(attempts: Sequence[Attempted], found: CombinedVerdict) -> list[tuple[str, str]]:
    """That of the attempt with the other outcome, to be compared with what the decisive one left."""
    if found.contrary is None:
        return []
    pieces = [piece for phase in attempts[found.contrary].phases for piece in phase.evidence]
    return [(f"attempt {found.contrary + 1}, which held: {title}", text) for title, text in pieces]


def _taken(phases: Sequence[Phase]) -> dict[str, Any]:
    """What these phases took of the machine, and what they say about the run: nothing of it is lost."""
    preparation: dict[str, Preparation] = {}
    versions: dict[str, Any] = {}
    for phase in phases:
        versions |= phase.versions
        for kernel, took in phase.preparation.items():
            preparation[kernel] = preparation.get(kernel, Preparation()) + took
    return {
        "preparation": preparation,
        "versions": versions,
        "waited_s": sum(phase.waited_s for phase in phases),
    }
