# SPDX-License-Identifier: GPL-2.0-or-later
"""The report directory: what is in it, which one a run uses, and what `latest` points to.

A run without --report-dir makes a new one below reports/out, or kconform-reports (common/project_files.py), named by
the time in UTC.  A run with it uses that one, and removes what a former run left there: evidence of two runs in one
directory would be evidence of nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from common import atomic, bounded
from common.errors import UsageError
from common.paths import users_path
from common.project_files import REPORTS

RESULTS = "results.json"
SIZE_LIMIT = 128 << 20
"""Bytes of a results.json.

A result takes 0.9 kB, counting its name in the lists of its promises (measured: 1,586 tests of a kernel).  So a
matrix of 40 kernels with 2,000 tests each leaves 74 MB, and with a reason of 400 characters for each test 106 MB.
The texts of failures take 16 MiB at most (failure_texts.py).
"""
_BEGINNING = re.compile(rb'\s*\{\s*"schema":\s*(\d{1,9})\s*,\s*"run":\s*(?=\{)')
_BEGINNING_SIZE = 1 << 20
"""Bytes in which a report must have said what run it is of."""

EVIDENCE = "evidence"
PAGE = "index.html"
JUNIT = "junit.xml"
KTAP = "results.ktap"
KCIDB = "kcidb.json"
SUMMARY = "summary.md"

DERIVED = (PAGE, JUNIT, KTAP, KCIDB, SUMMARY)
"""The files that are made from results.json, at the end of a run."""
FORMER = ("report.html",)
"""Files that earlier versions wrote."""

LATEST = "latest"

HINT = "name another directory with --report-dir"


@dataclass(frozen=True)
class Claimed:
    """A report directory that this run may write to."""

    path: Path
    made: tuple[Path, ...]
    """What the run has made: the directory, then the one around it."""
    lock: int
    """A descriptor; while it is open, no other run writes there."""

    def release(self) -> None:
        """Let others have the directory.  What this run has made and left empty is removed."""
        with contextlib.suppress(OSError):
            for path in self.made:
                path.rmdir()
        os.close(self.lock)


def claim(root: Path, invoked_in: Path, asked_for: str | None, now: datetime) -> Claimed:
    """Make the report directory, or raise UsageError if nothing can be written there, or if another run writes there.

    `root` is where the default is, `invoked_in` what a relative --report-dir starts from; `now` is UTC.
    """
    path = users_path(asked_for, invoked_in) if asked_for else root / REPORTS
    made = [] if path.exists() else [path]
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not asked_for:
            path = _new(path, now.strftime("%Y%m%dT%H%M%SZ"))
            made.insert(0, path)
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(b"kconform")
    except OSError as error:
        raise UsageError(f"{path}: no report can be written there: {error.strerror or error}", hint=HINT) from error
    if (path / RESULTS).is_dir():
        raise UsageError(f"{path}: no report can be written there: {RESULTS} is a directory", hint=HINT)
    return Claimed(path, tuple(made), _lock(path))


def _lock(path: Path) -> int:
    """A descriptor that keeps others from writing there.  UsageError if another run does: of two that write to one
    place, one would lose its evidence.
    """
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise UsageError(
            f"{path}: another run is writing its report there", hint=f"wait for it, or {HINT}"
        ) from error
    except OSError:
        pass  # a file system without locks
    return lock


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep runs from writing to the directory.  UsageError if one does."""
    lock = _lock(path)
    try:
        yield
    finally:
        os.close(lock)


def _new(parent: Path, name: str) -> Path:
    """A directory that nobody else has, whatever else starts in the same second."""
    count = 1
    while True:
        path = parent / (name if count == 1 else f"{name}-{count}")
        try:
            path.mkdir()
        except FileExistsError:
            count += 1
        else:
            return path


class _Report(msgspec.Struct):
    """What a results.json has at least; its values are not decoded."""

    schema: msgspec.Raw
    run: msgspec.Raw
    results: msgspec.Raw


def is_report(path: Path) -> bool:
    """Whether the directory holds a results.json of ours, of any version and size."""
    try:
        content = bounded.read(path / RESULTS, SIZE_LIMIT, RESULTS)
    except UsageError:  # too large to be read as a whole
        return run_in_large(path) is not None
    except (OSError, ValueError):
        return False
    try:
        msgspec.json.decode(content, type=_Report)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def run_in_large(path: Path) -> tuple[int, dict[str, Any]] | None:
    """The version and the `run` of a results.json that is too large to be read as a whole; None if it is not ours.

    Only its beginning and its end are looked at.
    """
    try:
        with bounded.open_file(path / RESULTS) as file:
            beginning = file.read(_BEGINNING_SIZE)
            file.seek(-len("]}\n"), os.SEEK_END)
            whole = file.read().rstrip().endswith(b"]}")
        found = _BEGINNING.match(beginning)
        if found is None or not whole:
            return None
        run, _ = json.JSONDecoder().raw_decode(beginning[found.end() :].decode("utf-8", "replace"))
    except (OSError, ValueError, RecursionError):
        return None
    return int(found[1]), run


def clear_former(path: Path) -> None:
    """Remove the report of a former run from `path`.  A directory that is not a report is left alone."""
    if not is_report(path):
        return
    shutil.rmtree(path / EVIDENCE, ignore_errors=True)
    for name in (*DERIVED, *FORMER):
        (path / name).unlink(missing_ok=True)


def update_latest(path: Path) -> None:
    """Let the neighbour `latest` point to `path`, in one step, and git ignore them all.  OSError if that fails."""
    ignored = path.with_name(".gitignore")
    if not ignored.exists():
        # An installed kconform writes its reports to where the user is, which may be a kernel tree.
        atomic.write(ignored, b"*\n")
    with atomic.replacing(path.with_name(LATEST)) as temporary:
        temporary.symlink_to(path.name, target_is_directory=True)


def shown(path: Path, invoked_in: Path) -> str:
    """`path` as a user would type it."""
    return str(path.relative_to(invoked_in) if path.is_relative_to(invoked_in) else path)
