# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes one `Result` of the reports that pytest gives for each test: setup, call and teardown.

Runs where the results are written: in the one process, or in pytest-xdist's controller.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from reports.judgement.verdict import SEVERITY, classify_collection
from reports.model import evidence
from reports.model.result import JSON, REPORT_ATTRIBUTE, Note, Result, utc

LONGREPR_LIMIT = 20_000
"""Characters of a failure's text in results.json.  The end is kept: that is where it says what happened."""

TERMINAL_LINES = {"transcript": 60, "process tree": 40, "kernel log": 40}
"""How much of each piece of evidence a failure shows on the terminal; any other as much as a console."""
CONSOLE_LINES = 20


@dataclass
class Phases:
    """A test that has begun."""

    started: float
    worker: str | None
    outcome: str = "pass"
    reason: str = ""
    requirements: tuple[str, ...] = ()
    kernel: Mapping[str, JSON] | None = None
    duration: float = 0.0
    longrepr: list[str] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)

    def take(self, outcome: str, reason: str) -> None:
        """Let the worst phase have the last word."""
        if SEVERITY[outcome] > SEVERITY[self.outcome] or (outcome == self.outcome and not self.reason):
            self.outcome, self.reason = outcome, reason

    def take_subtest(self, note: Note) -> None:
        """A subtest that was skipped leaves the test what it is; one that went wrong does not."""
        if note.outcome in ("fail", "error"):
            self.take(note.outcome, note.reason)

    def with_subtests(self, report: pytest.TestReport, note: Note) -> Note:
        """The note of a test's own call, which passes in itself though a subtest of it went wrong.

        pytest's terminal lets such a report fail when it comes to it; here it has to be done before.
        """
        if report.when != "call" or not report.passed or self.outcome not in ("fail", "error"):
            return note
        report.outcome, report.longrepr = "failed", self.reason
        return replace(note, outcome=self.outcome, reason=self.reason)


def note_of(report: pytest.TestReport) -> Note:
    """What the process that ran the test noted on `report`.

    A report without a note was not made by running a test: xdist makes one for a test whose worker died.
    """
    raw: dict[str, Any] | None = getattr(report, REPORT_ATTRIBUTE, None)
    if raw is None:
        outcome = "error" if report.failed else "skip" if report.skipped else "pass"
        lines = str(report.longrepr or "").splitlines()
        reason = "" if outcome == "pass" else lines[0] if lines else "no reason given"
        return Note(outcome, reason, 3 if report.failed else None, (), None, (), {})
    return Note(
        raw["outcome"],
        raw["reason"],
        raw["exit_status"],
        tuple(raw["requirements"]),
        raw["kernel"],
        tuple((title, text) for title, text in raw["evidence"]),
        raw["run"],
    )


def area_of(nodeid: str) -> str:
    """The folder below suites/ that a test lies in; empty for one that lies elsewhere."""
    parts = nodeid.partition("::")[0].split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "suites" else ""


class Assembler:
    """Takes reports in the order in which they come, from any number of workers."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str | None], Phases] = {}

    def phases(self, report: pytest.TestReport) -> Phases:
        """The test that `report` belongs to."""
        worker = worker_of(report)
        key = (report.nodeid, worker)
        if key not in self._open:
            # A report that xdist made for a dead worker has no time of its own.
            self._open[key] = Phases(started=report.start or time.time(), worker=worker)
        return self._open[key]

    def add(self, report: pytest.TestReport, note: Note) -> Result | None:
        """Take one more phase; the finished result if it was the test's last."""
        phases = self.phases(report)
        phases.take(note.outcome, note.reason)
        phases.requirements = note.requirements or phases.requirements
        phases.kernel = note.kernel or phases.kernel
        phases.duration += report.duration
        if report.failed:
            phases.longrepr.append(report.longreprtext)
        if report.when in ("setup", "call"):
            return None
        del self._open[report.nodeid, phases.worker]
        return finished(report.nodeid, phases)


def finished(nodeid: str, phases: Phases) -> Result:
    """The result of a test all of whose phases are known."""
    kernel = phases.kernel or {}
    return Result(
        nodeid=nodeid,
        area=area_of(nodeid),
        requirements=phases.requirements,
        kernel=_text(kernel.get("id")),
        flavor=_text(kernel.get("flavor")),
        outcome=phases.outcome,
        reason=phases.reason,
        duration_s=round(phases.duration, 6),
        accel=_text(kernel.get("accel")),
        worker=phases.worker,
        started=utc(phases.started),
        longrepr="\n\n".join(phases.longrepr)[-LONGREPR_LIMIT:],
        evidence=dict(phases.paths),
    )


def collection_result(report: pytest.CollectReport, now: float) -> Result:
    """The result for a file that could not be collected, so that its tests are not lost without a word."""
    verdict = classify_collection(report)
    phases = Phases(now, worker_of(report), verdict.outcome, verdict.reason)
    if report.failed:
        phases.longrepr.append(report.longreprtext)
    return finished(report.nodeid, phases)


def properties(nodeid: str, phases: Phases, note: Note) -> list[tuple[str, str]]:
    """What JUnit's page of a test says besides the test's classname and name.

    The outcome is that of the phase which is reported, if it has anything to say: pytest writes a second
    test case for a teardown that fails after its call did.
    """
    found = [("test", nodeid), *(("requirement", identifier) for identifier in phases.requirements)]
    if phases.kernel is not None:
        found.append(("kernel", str(phases.kernel["id"])))
        if phases.kernel.get("flavor") is not None:
            found.append(("flavor", str(phases.kernel["flavor"])))
    found.append(("outcome", phases.outcome if note.outcome == "pass" else note.outcome))
    return found


def sections(note: Note) -> list[tuple[str, str]]:
    """The evidence of a failure as pytest prints it below the traceback."""
    return [(title, evidence.tail(text, TERMINAL_LINES.get(title, CONSOLE_LINES))) for title, text in note.evidence]


def worker_of(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """pytest-xdist's name for the process that made the report."""
    worker = getattr(report, "worker_id", None)
    if worker is None:  # xdist's report of a worker that died names the node only
        worker = getattr(getattr(getattr(report, "node", None), "gateway", None), "id", None)
    return None if worker is None else str(worker)


def _text(value: JSON) -> str | None:
    return None if value is None else str(value)
