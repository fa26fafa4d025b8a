# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run says while it runs: the first broken promise, and the first error of ours, as soon as they are seen.

pytest shows a letter and keeps the reason for its end, which may be minutes away.
"""

from __future__ import annotations

import pytest

from reports.assemble import note_of

FIRST = {"fail": "broken promise", "error": "error of ours"}


class Live:
    """The hook of the process that the user started."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._told: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Last, so that the test's letter, or its line under -v, is there already."""
        note = note_of(report)
        words = FIRST.get(note.outcome)
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if words is None or note.outcome in self._told or terminal is None:
            return
        self._told.add(note.outcome)
        # Letters in a row, as -q and workers write them, are a line that pytest does not know of.
        if terminal.currentfspath:
            terminal.ensure_newline()
        else:
            terminal.write("\n")
        color = {"fail": "red", "error": "yellow"}[note.outcome]
        terminal.write_line(f"first {words}: {report.nodeid}", **{color: True})
        terminal.write_line(f"  {note.reason}")
