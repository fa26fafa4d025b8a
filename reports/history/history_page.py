# SPDX-License-Identifier: GPL-2.0-or-later
"""history.html: the history on one page, which looks like the page of a report and is made from the same parts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from common import atomic
from common.errors import UsageError
from reports.formats.page_data import plain
from reports.formats.page_template import render_page
from reports.history.history_file import HistoryFile
from reports.model.report_directory import PAGE
from reports.model.result import STATUSES

HISTORY_PAGE = "history.html"
HISTORY_JSON = "history.json"

_DIGITS = {status: str(number) for number, status in enumerate(STATUSES)}


def write(history: HistoryFile, folder: Path) -> Path:
    """Write the page and the JSON into the folder, which is made, and return the page.  UsageError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write(folder / HISTORY_JSON, msgspec.json.encode(history) + b"\n")
        atomic.write(folder / HISTORY_PAGE, render(history, links_to_runs(history, folder)))
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise UsageError(f"{folder}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
    return folder / HISTORY_PAGE


def render(history: HistoryFile, links: Sequence[str | None]) -> str:
    """The page.  `links` has the address of each run's own page, or None."""
    return render_page(
        "kconform history",
        data_of_page(history, links),
        state="history_state.js",
        scripts=(
            "history_changes.js",
            "history_matrix.js",
            "history_charts.js",
            "history_panel.js",
            "history_main.js",
        ),
        instead=f'<a href="./{HISTORY_JSON}">{HISTORY_JSON}</a>',
    )


def data_of_page(history: HistoryFile, links: Sequence[str | None]) -> dict[str, Any]:
    """What the scripts work on: the content of history.json, with one digit for each status in a row."""
    data: dict[str, Any] = msgspec.to_builtins(history)
    for series in data["series"]:
        for row in series["promises"]:
            row["statuses"] = "".join(map(_DIGITS.__getitem__, row["statuses"]))
    return {**plain(data), "statuses": STATUSES, "links": list(links)}


def links_to_runs(history: HistoryFile, folder: Path) -> list[str | None]:
    """The address of each run's page, seen from `folder`; None if it has none."""
    pages = [Path(run.path).with_name(PAGE) for run in history.runs]
    # quote() leaves nothing that HTML or an address could misread, and ./ keeps a colon from being a scheme.
    return ["./" + quote(os.fsencode(os.path.relpath(page, folder))) if page.is_file() else None for page in pages]
