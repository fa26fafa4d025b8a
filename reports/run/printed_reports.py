# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes pytest's reports fit to be printed: a guest may have put anything into an assertion's message.

pytest prints tracebacks, captured output, skip reasons and its short summary as they are.  Here control characters
are spelled out in all of them, and what a CI would take for a command is, too (see `model.display`).
"""

from __future__ import annotations

from typing import Any

import pytest

from reports.model.display import lines, tail
from reports.run.phases import Phase

EVIDENCE_LINES = {"transcript": 60, "process tree": 40, "kernel log": 40}
"""How much of a piece of evidence a failure shows on the terminal."""
OTHER_LINES = 20


def prepare(report: pytest.TestReport, phase: Phase) -> None:
    """Make the report of a test fit to be printed.  If that fails, nothing of the test is printed."""
    try:
        if report.failed:
            add_evidence(report, phase)
        make_printable(report)
    except Exception:
        report.sections = []
        report.longrepr = "this report cannot be printed" if report.longrepr else None
        raise


def make_printable(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Spell out what must not be printed, in everything that pytest prints of a report."""
    report.longrepr = _printable(report.longrepr)
    report.sections = [(lines(title), "\n".join(map(lines, text.splitlines()))) for title, text in report.sections]
    if isinstance(report, pytest.TestReport) and hasattr(report, "wasxfail"):
        report.wasxfail = lines(report.wasxfail)


def add_evidence(report: pytest.TestReport, phase: Phase) -> None:
    """Show the end of the evidence of a failure below its traceback."""
    known = {title for title, _ in report.sections}
    report.sections += [
        (lines(title), tail(text, EVIDENCE_LINES.get(title, OTHER_LINES)))
        for title, text in phase.evidence
        if title not in known
    ]


def _printable(value: Any) -> Any:
    """Texts, lists, and pytest's objects for the parts of a traceback, which are changed in place."""
    if isinstance(value, str):
        return lines(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_printable, value))
    if type(value).__module__.startswith("_pytest."):
        for name, part in vars(value).items():
            setattr(value, name, _printable(part))
    return value
