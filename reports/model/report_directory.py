# SPDX-License-Identifier: GPL-2.0-or-later
"""The report directory: which one it is, that it can be written, and what `latest` points to.

A run without --report-dir makes a new one below reports/out, named by the time in UTC.  A run with it uses
that one, and clears away what a former run left there: evidence of two runs in one folder would be
evidence of nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

import pytest

from reports.formats import derived_files as files
from reports.model import evidence
from reports.model import store as results

DEFAULT = Path("reports", "out")
LATEST = "latest"
PAGE = "report.html"
MATRIX = "index.html"
JUNIT = "junit.xml"


def claim(root: Path, invoked_in: Path, asked_for: str | None, now: datetime) -> Path:
    """Make the report directory, or raise pytest.UsageError if nothing can be written there.

    `root` is where the default lies, `invoked_in` what a relative --report-dir starts from; `now` is UTC.
    """
    path = named(asked_for, invoked_in) if asked_for else root / DEFAULT
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not asked_for:
            path = _new(path, now.strftime("%Y%m%dT%H%M%SZ"))
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(b"kconform")
    except OSError as error:
        raise pytest.UsageError(
            f"the report cannot be written to {path}: {error.strerror or error}\n"
            "  hint: name another place with --report-dir"
        ) from error
    return path


def named(text: str | Path, invoked_in: Path) -> Path:
    """The path that an option names, or pytest.UsageError if it begins with the home of nobody."""
    try:
        return invoked_in / Path(text).expanduser()
    except RuntimeError as error:
        raise pytest.UsageError(
            f"{text} cannot be found: nobody here has such a home\n  hint: write the whole path"
        ) from error


def hold(path: Path) -> int:
    """Keep the directory for this run, until the descriptor that this returns is closed.

    Raises pytest.UsageError if another run has it: of two that write to one place, the evidence of one would be lost.
    """
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(held)
        raise pytest.UsageError(
            f"another run writes its report to {path}\n  hint: wait for it, or name another place with --report-dir"
        ) from error
    except OSError:
        pass  # a file system without locks
    return held


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


def release(path: Path) -> None:
    """Give back a directory that no run came to use: it goes if it is empty."""
    with contextlib.suppress(OSError):
        path.rmdir()


def clear_former(path: Path) -> None:
    """Remove a former run's report from `path`.  A folder without a results.json of ours is not touched."""
    if not results.is_ours(path / results.FILE_NAME):
        return
    shutil.rmtree(path / evidence.FOLDER, ignore_errors=True)
    for name in (PAGE, MATRIX, JUNIT, *files.NAMES):
        (path / name).unlink(missing_ok=True)


def update_latest(path: Path) -> None:
    """Let the neighbour `latest` point to `path`, in one step.  Raises OSError."""
    temporary = path.with_name(f".{LATEST}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(path.name, target_is_directory=True)
    try:
        temporary.replace(path.with_name(LATEST))
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def shown(path: Path, invoked_in: Path) -> str:
    """`path` as a user would type it."""
    return str(path.relative_to(invoked_in) if path.is_relative_to(invoked_in) else path)
