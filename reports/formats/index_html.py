# SPDX-License-Identifier: GPL-2.0-or-later
"""index.html: kernels and promises on one page, which `page_template` makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from common import atomic
from reports.formats.page_data import page_data, rows
from reports.formats.page_template import render_page
from reports.judgement.comparison import Comparison
from reports.model.document import Document
from reports.model.report_directory import JUNIT, KCIDB, KTAP, PAGE, RESULTS, SUMMARY

LINKED = (RESULTS, JUNIT, KTAP, KCIDB, SUMMARY)
"""Files of a report that the page links, if they exist."""


def write(document: Document, comparison: Comparison | None = None) -> Path:
    """Make the page of a results.json, beside it, in one step.  OSError if that fails."""
    directory = document.directory
    page = render(
        document,
        evidence=lambda path: (directory / path).read_text("utf-8", errors="replace"),
        comparison=None if comparison is None else rows(comparison),
        linked=[name for name in LINKED if (directory / name).exists()],
    )
    atomic.write(directory / PAGE, page)
    return directory / PAGE


def render(
    document: Document,
    evidence: Callable[[str], str],
    comparison: Sequence[Mapping[str, str]] | None = None,
    linked: Sequence[str] = (RESULTS,),
) -> str:
    """The page; see `page_data` for `evidence` and `comparison`.  `linked` names the other files of the report."""
    return render_page(
        f"kconform {document.run.id}",
        page_data(document, evidence, comparison) | {"linked": list(linked)},
        state="state.js",
        scripts=("promise_matrix.js", "test_lists.js", "evidence_panel.js", "durations.js", "main.js"),
        instead='<a href="./results.json">results.json</a> and the directory <a href="./evidence/">evidence</a>',
    )
