# SPDX-License-Identifier: GPL-2.0-or-later
"""A few runs of one kernel on successive days, for tests of what the history says of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports.history.fleet_history import history
from reports.history.history_file import HistoryFile, Series
from suites.harness.reports.documents import kernel, result, write

SUITE = "0" * 40


def identifier(version: str) -> str:
    return f"debian-{version}/full"


class Fleet:
    """Writes runs into folders, each a day later than the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.days = 0

    def run(self, version: str, outcomes: Mapping[str, str], *, suite: str = SUITE, **run: Any) -> Path:
        """A run on a kernel of that version, with the outcome of each test, as in `documents.result`."""
        return self.run_on([kernel(identifier(version), version=version)], outcomes, suite=suite, **run)

    def run_on(
        self, kernels: list[dict[str, Any]], outcomes: Mapping[str, str], *, suite: str = SUITE, **run: Any
    ) -> Path:
        """The same on each of several kernels."""
        self.days += 1
        started = {"started": f"2026-11-{self.days:02}T10:00:00.000Z"}
        results = [result(test, outcome, on=each["id"]) for each in kernels for test, outcome in outcomes.items()]
        folder = self.folder / f"day-{self.days}"
        return write(folder, *results, kernels=kernels, **started | {"suite": {"commit": suite}} | run)

    def history(self, **filters: Any) -> HistoryFile:
        return history([self.folder], **filters)

    def series(self) -> Series:
        """The only one."""
        (series,) = self.history().series
        return series
