# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies the evidence of a test from one report to another.

Dumps of a guest's memory are copied, too.  results.json does not name them, because they are no texts: they lie
beside the piece of evidence that says how to open them.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from reports.model import evidence
from reports.model.report_directory import EVIDENCE
from reports.model.result import Result

DUMPS = "vmcore*"
"""The dumps, and the symbols of their kernels (suites/live_guests.py)."""


def copy_evidence(result: Result, source: Path, output: Path) -> tuple[dict[str, str], list[str]]:
    """Copy a result's files: title and path of each, and the titles of missing ones.  OSError if that fails."""
    copied: dict[str, str] = {}
    lost = []
    named: set[Path] = set()
    # The shard's name may be that of another file of the report.
    directory = output / EVIDENCE / evidence.slug(result.nodeid)
    for title, path in result.evidence.items():
        found = source / path
        if not _is_file_of(found, source):
            lost.append(title)
            continue
        directory.mkdir(parents=True, exist_ok=True)
        target = directory / evidence.file_name(title, (Path(known).name for known in copied.values()))
        shutil.copyfile(found, target)
        copied[title] = target.relative_to(output).as_posix()
        named.add(found)
    for found in _dumps_beside(named):
        target = directory / found.name
        if _is_file_of(found, source) and not target.exists():
            shutil.copyfile(found, target)
    return copied, lost


def _dumps_beside(named: Collection[Path]) -> Iterator[Path]:
    for folder in sorted({path.parent for path in named}):
        yield from sorted(path for path in folder.glob(DUMPS) if path not in named)


def _is_file_of(path: Path, report: Path) -> bool:
    """A link may lead out of the report, and no other file of the machine must be published."""
    found = path.resolve()
    return found.is_file() and found.is_relative_to(report.resolve())
