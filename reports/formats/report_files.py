# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes every file of a report that is made from results.json: JUnit, KTAP, KCIDB, the summary and the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from common import atomic
from reports.formats import index_html, junit_xml, kcidb, ktap, markdown_summary
from reports.judgement.comparison import Comparison
from reports.model.document import Document
from reports.model.report_directory import JUNIT, KCIDB, KTAP, PAGE, SUMMARY


def write(document: Document, comparison: Comparison | None, *, origin: str, junit: Path | None = None) -> list[str]:
    """Write them into the document's directory, and the summary also to GitHub's page if the process runs there.

    `origin` is the name by which KCIDB knows the CI system; `junit` is where the JUnit file goes instead.  A file
    that cannot be made or written keeps no other from being written; what went wrong is returned.
    """
    directory = document.directory

    @cache
    def summary() -> str:
        return markdown_summary.render(document, comparison)

    steps: dict[str, Callable[[], object]] = {
        KTAP: lambda: atomic.write(directory / KTAP, ktap.render(document)),
        KCIDB: lambda: atomic.write(directory / KCIDB, kcidb.render(document, origin)),
        SUMMARY: lambda: atomic.write(directory / SUMMARY, summary()),
        markdown_summary.STEP_SUMMARY: lambda: markdown_summary.append_to_step(summary()),
        JUNIT: lambda: junit_xml.write(document, junit or directory / JUNIT),
        # Last, because it links the others.
        PAGE: lambda: index_html.write(document, comparison),
    }
    problems = []
    for name, step in steps.items():
        try:
            step()
        except OSError as error:
            problems.append(f"{name}: {error.strerror or error}")
        except Exception as error:
            problems.append(f"{name}: {type(error).__name__}: {error}")
    return problems
