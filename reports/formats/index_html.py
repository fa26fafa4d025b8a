# SPDX-License-Identifier: GPL-2.0-or-later
"""index.html: kernels and promises on one page that needs no network, no server and no other file.

The page is data and a script, from `templates`.  Everything that a kernel or a test's name says reaches the page as
JSON, and the script inserts it as text, never as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from common import atomic
from common.text import printable
from reports.formats.page_data import page_data, rows
from reports.judgement.comparison import Comparison
from reports.model.document import Document
from reports.model.report_directory import JUNIT, KCIDB, KTAP, PAGE, RESULTS, SUMMARY

LINKED = (RESULTS, JUNIT, KTAP, KCIDB, SUMMARY)
"""Files of a report that the page links, if they exist."""

_TEMPLATES = Path(__file__).parents[1] / "templates"
_SCRIPTS = ("state.js", "promise_matrix.js", "test_lists.js", "evidence_panel.js", "durations.js", "main.js")
"""Joined in this order to one script."""

_HTML_SAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
"""Inside a JSON string these mean the same, and HTML finds no `</script>` or `<!--` in it."""


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
    script = "".join(_template(name) for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(_template("index.html")).substitute(
        title=escape(f"kconform {printable(document.run.id)}"),
        # Only this script may run, and nothing may be fetched: should an escape be forgotten, it does no harm.
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'",
        style=_template("index.css"),
        data=_json(page_data(document, evidence, comparison) | {"linked": list(linked)}),
        script=script,
    )


def _json(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"))
    for char, code in _HTML_SAFE.items():
        text = text.replace(char, code)
    return text


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
