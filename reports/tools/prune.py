# SPDX-License-Identifier: GPL-2.0-or-later
"""Removes old reports: all but the newest, or all from before a day."""

from __future__ import annotations

import datetime
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from reports.model.document import LargeReportError, load
from reports.model.report_directory import LATEST, locked, run_in_large
from reports.model.result import SCHEMA

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass(frozen=True)
class Report:
    """A report directory and when its run began, in UTC."""

    path: Path
    started: str


def reports_in(directory: Path) -> list[Report]:
    """The reports below `directory`, the newest first.

    `latest` is the name of another one, and what is not a report of this version is not ours to remove.
    """
    found = []
    try:
        paths = [path for path in directory.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError as error:
        raise UsageError(f"{directory}: cannot be read: {error.strerror or error}") from error
    for path in paths:
        try:
            started = load(path).run.started
        except LargeReportError:
            started = _started_large(path)
        except UsageError:
            continue
        if started:
            found.append(Report(path, started))
    return sorted(found, key=lambda report: (report.started, report.path), reverse=True)


def _started_large(path: Path) -> str:
    """When the run of a report began that is too large to be read; empty if it is not a report of this version."""
    version, run = run_in_large(path) or (0, {})
    started = run.get("started")
    return started if 1 <= version <= SCHEMA and isinstance(started, str) and _TIME.fullmatch(started) else ""


def old(reports: list[Report], *, keep: int | None = None, since: datetime.date | None = None) -> list[Report]:
    """Those of `reports`, the newest first, that are neither among the first `keep` nor from `since` or later."""
    kept = set(reports[:keep] if keep is not None else ())
    if since is not None:
        kept |= {report for report in reports if report.started >= since.isoformat()}
    return [report for report in reports if report not in kept]


def prune(directory: Path, *, keep: int | None = None, since: datetime.date | None = None) -> list[Report]:
    """Remove the old reports below `directory`, and return them.

    The one that `latest` points to stays, and so does one that a run is writing.
    """
    latest = (directory / LATEST).resolve()
    removed = []
    for report in old(reports_in(directory), keep=keep, since=since):
        if report.path.resolve() == latest:
            continue
        try:
            with locked(report.path):
                shutil.rmtree(report.path)
        except UsageError:
            continue
        except OSError as error:
            raise UsageError(f"{report.path}: cannot be removed: {error.strerror or error}") from error
        removed.append(report)
    return removed
