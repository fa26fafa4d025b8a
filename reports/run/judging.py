# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges one phase of a test, in the process that runs it: exception, xfail, waivers, evidence."""

from __future__ import annotations

import pytest

from common.workers import is_worker
from reports.judgement.verdict import check_breaks, judge
from reports.model.result import clean_text
from reports.run import apply_waivers, preparation_times
from reports.run.notes import ATTACHED, Attached, attach, kernel_of, remarks_of, run_versions
from reports.run.phases import Phase
from reports.run.requirement_marker import requirements_of


def judged(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> Phase:
    """The phase that `report` is about.  The report is changed where pytest would say something else of it."""
    raised = None if call.excinfo is None else call.excinfo.value
    names_exception = any("raises" in mark.kwargs for mark in item.iter_markers("xfail"))
    judgement = judge(report, raised, xfail_raises=names_exception)
    judgement = check_breaks(judgement, requirements_of(item))
    if judgement.verdict == "error" and hasattr(report, "wasxfail"):
        # An xfail mark expects a failure of the kernel, not an error.
        del report.wasxfail
        report.outcome = "failed"
    judgement = apply_waivers.excused(item, report, judgement)
    pieces = [*judgement.evidence.items(), *(report.sections if report.failed else ())]
    for title, text in pieces:
        attach(item, title, text)
    measured = preparation_times.take(item.config)
    report.duration = max(0.0, report.duration - measured.waited_s)
    return Phase(
        verdict=judgement.verdict,
        reason=judgement.reason or (clean_text(remarks_of(item)) if judgement.verdict == "pass" else ""),
        exit_status=judgement.exit_status,
        requirements=requirements_of(item),
        breaks=judgement.breaks,
        kernel=kernel_of(item),
        evidence=_evidence(item, report),
        versions=run_versions(item.config) if is_worker(item.config) else {},
        preparation=measured.kernels,
        waited_s=measured.waited_s,
        boot=item.stash.get(preparation_times.BOOT, None),
    )


def _evidence(item: pytest.Item, report: pytest.TestReport) -> tuple[tuple[str, str], ...]:
    """What this phase takes along: a call everything so far, a teardown what has been added since."""
    attached = item.stash.get(ATTACHED, None) or Attached()
    if report.when == "setup" and report.passed:
        return ()
    if report.when == "teardown":
        # pytest keeps each item to the end of the run, and a transcript is long.
        item.stash[ATTACHED] = Attached()
        return tuple(attached.pieces[attached.sent :])
    # A call with subtests is reported several times; its own report is the last and must be complete.
    attached.sent = len(attached.pieces)
    return tuple(attached.pieces)
