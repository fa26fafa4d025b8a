# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of the reports' own code: one test is undetermined, or one file is missing, and the run goes on.

To pytest, an exception in a hook is an internal error, which ends the run: all later tests would have no result.
"""

from __future__ import annotations

import traceback

import pytest

from reports.judgement.exit_status import UNDETERMINED
from reports.model.display import lines, one_line
from reports.run.phases import Phase, put


def reason_of(error: Exception) -> str:
    """The exception as one line of a report.  The system's errors explain themselves."""
    return one_line(str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}")


def report_of(item: pytest.Item, call: pytest.CallInfo[None], error: Exception) -> pytest.TestReport:
    """The report of a phase that could not be judged."""
    report = pytest.TestReport.from_item_and_call(item, call)
    undetermined(report, error)
    return report


def undetermined(report: pytest.TestReport, error: Exception) -> Phase:
    """Make the report that of an error, whatever its phase ended with, and return the phase."""
    report.outcome = "failed"
    report.longrepr = lines("".join(traceback.format_exception(error)))
    report.sections = []
    report.__dict__.pop("wasxfail", None)
    phase = Phase(
        verdict="error", reason=f"kconform failed to report the test: {reason_of(error)}", exit_status=UNDETERMINED
    )
    put(report, phase)
    return phase
