# SPDX-License-Identifier: GPL-2.0-or-later
"""pytest-html's page: columns for kernel, flavor and requirement, and the evidence of what failed.

pytest-html knows one kind of failure and guesses by the phase; its page shall use our words.  So the rows
say what `reports.judgement.verdict` said, and the totals are counted again from the rows.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import pytest

from reports.model.evidence import tail
from reports.model.requirements import Requirement
from reports.model.result import REPORT_ATTRIBUTE
from reports.run.assembler import note_of

PATHS = "paths"
"""The key of the note, on the controller only, under which the paths of the written evidence lie."""

LINES = {"transcript": 1000, "kernel log": 500}
OTHER_LINES = 100

WORDS = {"fail": "Failed", "error": "Error"}
"""pytest-html's words for ours; it is left its own for the others (XFailed, Skipped, Passed)."""


COLORS = {"held": "green", "broken": "red", "unknown": "darkorange", "waived": "darkorange"}
"""Of a promise's status; any other is grey."""


def promises_table(requirements: Mapping[str, Requirement], statuses: Mapping[str, Mapping[str, str]]) -> str:
    """A table that opens with a click: a row for each promise that was tested, a column for each kernel."""
    kernels = list(dict.fromkeys(kernel for row in statuses.values() for kernel in row))
    if not kernels:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("promise", "", *kernels))
    rows = []
    for identifier, row in statuses.items():
        cells = "".join(
            f'<td style="color: {COLORS.get(row.get(kernel, ""), "grey")}">{escape(row.get(kernel, ""))}</td>'
            for kernel in kernels
        )
        rows.append(f"<tr><td>{escape(identifier)}</td><td>{escape(requirements[identifier].text)}</td>{cells}</tr>")
    # Without pytest-html's id and classes: its script thinks that all tables are its own.
    return f"<details><summary>{len(rows)} promises</summary><table>{head}{''.join(rows)}</table></details>"


class Page:
    """The hooks that pytest-html calls while it gathers its page."""

    def __init__(
        self,
        config: pytest.Config,
        report_dir: Path,
        requirements: Mapping[str, Requirement],
        statuses: Callable[[], Mapping[str, Mapping[str, str]]],
    ) -> None:
        """`statuses` tells what became of each requirement so far: kernel -> held, broken..."""
        self._statuses = statuses
        self._config = config
        self._report_dir = report_dir
        self._requirements = requirements
        self._data: Any = None
        """pytest-html's ReportData, which its title hook hands out."""
        self.lines: list[str] = []
        """The lines at the head of the page."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_report_title(self, report: Any) -> None:
        report.title = f"kconform {self._report_dir.name}"
        self._data = report

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        names = ("kernel", "flavor", "requirement")
        cells[2:2] = [f'<th class="sortable" data-column-type="{name}">{name.title()}</th>' for name in names]
        cells[-1] = "<th>Evidence</th>"

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, report: Any, cells: list[str]) -> None:
        note = getattr(report, REPORT_ATTRIBUTE, None) or {}
        kernel = note.get("kernel") or {}
        word = WORDS.get(note_of(report).outcome) if isinstance(report, pytest.TestReport) else None
        if word is not None:
            cells[0] = f'<td class="col-result">{word}</td>'
        # pytest-html puts the id into the page as it is, with whatever `<` its parameters have.
        name = report.nodeid if report.when == "call" else f"{report.nodeid}::{report.when}"
        cells[1] = f'<td class="col-testId">{escape(name)}</td>'
        values = {
            "kernel": str(kernel.get("name") or ""),
            "flavor": str(kernel.get("flavor") or ""),
            "requirement": " ".join(note.get("requirements") or ()),
        }
        cells[2:2] = [f'<td class="col-{key}">{escape(value)}</td>' for key, value in values.items()]
        cells[-1] = f'<td class="col-links">{self._links(note.get(PATHS) or {})}</td>'

    def _links(self, paths: Mapping[str, str]) -> str:
        """Links to the evidence from where the page lies, which `--html` may have moved."""
        folder = os.path.relpath(self._report_dir, Path(self._config.option.htmlpath).absolute().parent)
        return " ".join(
            f'<a href="{escape(os.path.normpath(f"{folder}/{path}"))}">{escape(title)}</a>'
            for title, path in paths.items()
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_html(self, report: Any, data: list[str]) -> None:
        """What a click on a row opens: of a failure the promise, the failure, the evidence at length."""
        if not report.failed or not isinstance(report, pytest.TestReport):
            return
        note = note_of(report)
        ours = {title for title, _ in note.evidence}
        blocks = [("promise", "\n".join(self._promise(identifier) for identifier in note.requirements))]
        blocks.append(("failure", f"{note.reason}\n\n{report.longreprtext}"))
        blocks += [(title, tail(text, LINES.get(title, OTHER_LINES))) for title, text in note.evidence]
        blocks += [(title, text) for title, text in report.sections if title not in ours]
        data[:] = [f"<b>{escape(title)}</b>\n{escape(text)}\n" for title, text in blocks if text]

    def _promise(self, identifier: str) -> str:
        requirement = self._requirements.get(identifier)
        if requirement is None:
            return identifier
        return f"{identifier}: {requirement.text}\n    {requirement.source}; since Linux {requirement.since}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        prefix += [f"<p>{escape(line)}</p>" for line in self.lines]
        prefix.append(promises_table(self._requirements, self._statuses()))
        if self._data is None:
            return
        rows = (row for rows in self._data.data["tests"].values() for row in rows)
        counted = Counter(str(row["result"]).lower() for row in rows)
        for name, outcome in self._data.outcomes.items():
            outcome["value"] = counted[name]
