# SPDX-License-Identifier: GPL-2.0-or-later
"""A run of tests whose report a command reads afterwards: of that run, and of no earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from common.child_command import wait_for_tests
from common.errors import KconformError, UsageError
from reports.judgement.exit_status import NOTHING_RAN, WRONG_USE
from reports.model.document import Document, load
from reports.model.report_directory import RESULTS


class NothingRanError(KconformError):
    """All tests were skipped, or none was chosen."""

    exit_status = NOTHING_RAN


def run_for_report(command: Sequence[str], report: Path) -> Document:
    """Run tests that leave their results in the directory, and read these.

    UsageError for wrong use, NothingRanError if nothing ran, and KconformError if there are no results for another
    reason.  KeyboardInterrupt if the run was interrupted.
    """
    # Nothing must be said about the report of an earlier run if this one ends early.
    (report / RESULTS).unlink(missing_ok=True)
    status = wait_for_tests(command)
    found = load(report) if (report / RESULTS).exists() else None
    if status == NOTHING_RAN or found is None or not found.results:
        error = {WRONG_USE: UsageError, NOTHING_RAN: NothingRanError}.get(status, KconformError)
        raise error(f"no test ran: pytest ended with {status}", hint="pytest's output, above, tells why")
    return found
