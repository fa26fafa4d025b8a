# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes pytest's reports fit to be printed: a guest may have put anything into an assertion's message.

pytest prints tracebacks, captured output, skip reasons and its short summary as they are.  Here control characters
are spelled out in all of them, and what a CI would take for a command is, too (see `model.display`).
"""

from __future__ import annotations

from typing import Any

import pytest

from reports.model.display import lines, tail
from reports.run.phases import Phase, phase_of

EVIDENCE_LINES = {"transcript": 60, "process tree": 40, "kernel log": 40}
"""How much of a piece of evidence a failure shows on the terminal."""
OTHER_LINES = 20
PRINTED_IN_FULL = 3
"""How often the terminal shows the whole of one error."""


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


STATUS_WORDS = (
    {("call", "error"): ("error", "E", "ERROR")}
    | {(when, "fail"): ("failed", "F", "FAILED") for when in ("setup", "teardown")}
    | {(when, "flaky"): ("flaky", "~", "FLAKY") for when in ("setup", "call", "teardown")}
)
"""Where the verdict is not what pytest would guess from the phase."""


class RepeatedErrors:
    """Errors that many tests have, such as that of a kernel that cannot be built.

    The first few are printed in full, and of every further one only that it is the same.
    """

    def __init__(self) -> None:
        self._tests: dict[str, list[str]] = {}
        """The first tests with an error, by its reason."""

    def shorten(self, report: pytest.TestReport, phase: Phase) -> bool:
        """Replace what is printed of an error that has been printed before, and return whether it has."""
        if phase.verdict != "error":
            return False
        known = self._tests.setdefault(phase.reason, [])
        if len(known) < PRINTED_IN_FULL:
            known.append(report.nodeid)
            return False
        report.longrepr = f"the same error as that of {known[0]}"
        report.sections = []
        return True


def status_words(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, str] | None:
    """pytest's category, letter and word, so that its totals say the same as the report; None leaves them to it."""
    if isinstance(report, pytest.CollectReport) or not report.failed:
        return None
    return STATUS_WORDS.get((str(report.when), phase_of(report).verdict))


def show_flaky(terminal: pytest.TerminalReporter) -> None:
    """Show what flaky tests failed with.  pytest does so only for verdicts of its own."""
    found = terminal.getreports("flaky")
    if not found or terminal.config.option.tbstyle == "no":
        return
    terminal.section("FLAKY")
    for report in found:
        terminal.write_sep("_", lines(report.head_line or report.nodeid), yellow=True, bold=True)
        terminal.write_line(report.longreprtext)
        for title, text in report.sections:
            terminal.write_sep("-", title)
            terminal.write_line(text)


def prepare(report: pytest.TestReport, phase: Phase, repeated: RepeatedErrors) -> None:
    """Make the report of a test fit to be printed.  If that fails, nothing of the test is printed."""
    try:
        if report.failed and not repeated.shorten(report, phase):
            add_evidence(report, phase)
        make_printable(report)
    except Exception:
        report.sections = []
        report.longrepr = "this report cannot be printed" if report.longrepr else None
        raise


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
