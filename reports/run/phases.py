# SPDX-License-Identifier: GPL-2.0-or-later
"""Phases: what the process that ran a test says about its setup, call or teardown; and the result that they make.

A phase travels as plain JSON on pytest's own report, which pytest-xdist carries from a worker to the controller.  The
results are assembled where they are written: in the only process, or in the controller.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from reports.judgement.verdict import all_broken, judge_collection
from reports.model.result import (
    BROKE,
    SEVERITY,
    KernelRecord,
    Preparation,
    Repetition,
    Result,
    Verdict,
    clean_text,
    utc,
)

ATTRIBUTE = "kconform"
"""The attribute of a pytest report that holds its phase."""

LONGREPR_LIMIT = 20_000
"""Characters of a failure's text in results.json.  The end is kept, because it says what happened."""


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One phase of one test."""

    verdict: Verdict
    reason: str = ""
    exit_status: int | None = None
    """What an error wants the run to end with (3 or 4)."""
    requirements: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()
    """Those of the requirements that a failure broke; empty for all of them."""
    kernel: KernelRecord | None = None
    evidence: tuple[tuple[str, str], ...] = ()
    versions: dict[str, Any] = {}
    """What `describe_run` was told in a worker."""
    preparation: dict[str, Preparation] = {}
    """What kernels took in this process since its last report, by id."""
    waited_s: float = 0.0
    """Seconds that the phase waited for its kernel; the report's duration is without them."""
    boot: tuple[int, int] | None = None
    """The number of the boot that the test needs, and how many boots all tests need."""
    repetition: Repetition | None = None
    """With the last phase of a test that was run more than once: all attempts at it."""


def put(report: pytest.TestReport, phase: Phase) -> None:
    """Put the phase on the report."""
    setattr(report, ATTRIBUTE, msgspec.to_builtins(phase))


def drop(report: pytest.TestReport) -> None:
    """Remove what is large from a report that passed, once everybody has seen it: pytest keeps each to the end."""
    if report.passed:
        report.__dict__.pop(ATTRIBUTE, None)
        report.keywords = {}


def phase_of(report: pytest.TestReport) -> Phase:
    """The phase that the report carries.

    A report without one was not made by running a test: xdist makes one for a test whose worker died.
    """
    raw = getattr(report, ATTRIBUTE, None)
    if raw is not None:
        return msgspec.convert(raw, Phase)
    if report.passed:
        return Phase(verdict="pass")
    reason = next(iter(str(report.longrepr or "").splitlines()), "no reason given")
    return (
        Phase(verdict="error", reason=reason, exit_status=3)
        if report.failed
        else Phase(verdict="skip", reason=reason)
    )


@dataclass
class OpenTest:
    """A test that has begun."""

    started: float
    worker: str | None
    verdict: Verdict = "pass"
    reason: str = ""
    requirements: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()
    kernel: KernelRecord | None = None
    duration: float = 0.0
    repetition: Repetition | None = None
    longrepr: list[str] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)
    """Of its evidence."""

    def take(self, verdict: Verdict, reason: str, breaks: tuple[str, ...] = ()) -> None:
        """Let the most severe phase count.  Several failures together break what each of them broke."""
        if SEVERITY[verdict] > SEVERITY[self.verdict]:
            self.verdict, self.reason, self.breaks = verdict, reason, breaks
        elif verdict == self.verdict:
            self.reason = self.reason or reason
            self.breaks = all_broken((self.breaks, breaks))

    def take_subtest(self, phase: Phase) -> None:
        """A skipped subtest does not change the test; a failed one does."""
        if phase.verdict in (*BROKE, "error"):
            self.take(phase.verdict, phase.reason, phase.breaks)

    def with_subtests(self, report: pytest.TestReport, phase: Phase) -> Phase:
        """The phase of a test's own call, which passes although a subtest has failed.

        pytest's terminal reporter lets such a report fail when it sees it; here that must happen before.
        """
        if report.when != "call" or not report.passed or self.verdict not in (*BROKE, "error"):
            return phase
        report.outcome, report.longrepr = "failed", self.reason
        return msgspec.structs.replace(phase, verdict=self.verdict, reason=self.reason, breaks=self.breaks)

    def result(self, nodeid: str) -> Result:
        """The result, when all phases are known."""
        kernel = self.kernel
        attempts = self.repetition.attempts if self.repetition else ()
        return Result(
            nodeid=clean_text(nodeid),
            area=area_of(nodeid),
            requirements=self.requirements,
            kernel=kernel.id if kernel else None,
            flavor=kernel.flavor if kernel else None,
            verdict=self.verdict,
            reason=clean_text(self.reason),
            duration_s=round(sum(each.duration_s for each in attempts) if attempts else self.duration, 6),
            accel=kernel.accel if kernel else None,
            worker=self.worker,
            started=attempts[0].started if attempts else utc(self.started),
            longrepr=clean_text("\n\n".join(self.longrepr))[-LONGREPR_LIMIT:],
            evidence=dict(self.paths),
            breaks=self.breaks,
            repetition=self.repetition or UNSET,
        )


class Assembler:
    """Takes reports in the order in which they arrive, from any number of workers."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str | None], OpenTest] = {}

    def test_of(self, report: pytest.TestReport) -> OpenTest:
        """The test that `report` belongs to."""
        worker = worker_of(report)
        key = (report.nodeid, worker)
        if key not in self._open:
            # A report that xdist made for a dead worker has no time of its own.
            self._open[key] = OpenTest(started=report.start or time.time(), worker=worker)
        return self._open[key]

    def add(self, report: pytest.TestReport, phase: Phase) -> Result | None:
        """Take one more phase; the result, if it was the last phase of the test."""
        test = self.test_of(report)
        test.take(phase.verdict, phase.reason, phase.breaks)
        test.requirements = phase.requirements or test.requirements
        test.kernel = phase.kernel or test.kernel
        test.repetition = phase.repetition or test.repetition
        test.duration += report.duration
        if report.failed:
            test.longrepr.append(report.longreprtext)
        if not ends_test(report):
            return None
        del self._open[report.nodeid, test.worker]
        return test.result(report.nodeid)


def collection_result(report: pytest.CollectReport, now: float) -> Result:
    """The result for a file that could not be collected, so that its tests are not lost silently."""
    judgement = judge_collection(report)
    test = OpenTest(now, worker_of(report), judgement.verdict, judgement.reason)
    if report.failed:
        test.longrepr.append(report.longreprtext)
    return test.result(report.nodeid)


def ends_test(report: pytest.TestReport) -> bool:
    """Whether it is the last report of its test: a teardown, or xdist's for a worker that died."""
    return report.when not in ("setup", "call")


def area_of(nodeid: str) -> str:
    """The directory below suites/ that a test is in; empty for a test elsewhere."""
    parts = nodeid.partition("::")[0].split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "suites" else ""


def worker_of(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """pytest-xdist's name for the process that made the report."""
    worker = getattr(report, "worker_id", None)
    if worker is None:  # xdist's report of a worker that died names only the node
        worker = getattr(getattr(getattr(report, "node", None), "gateway", None), "id", None)
    return None if worker is None else str(worker)
