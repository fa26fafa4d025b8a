# SPDX-License-Identifier: GPL-2.0-or-later
"""The stamp beside a cache entry: its size, when it was last used, and whether a process uses it now.

The size in bytes is the stamp's content, the last use its mtime.  A process that uses the entry has a shared lock
(flock) on the stamp until it ends, so whoever gets an exclusive one may remove the entry.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from kconfigs.disk_usage import allocated

SUFFIX = ".used"

_held: dict[Path, int] = {}
"""Descriptors of the stamps that this process has a shared lock on, for as long as it lives."""


def stamp_of(entry: Path) -> Path:
    return entry.with_name(entry.name + SUFFIX)


def write(entry: Path, size: int) -> None:
    # Not atomically: a lock is on the file itself, which must stay the same one.
    stamp_of(entry).write_text(f"{size}\n", encoding="utf-8")


def read(entry: Path) -> tuple[int, float]:
    """Size in bytes, and last use in seconds since the epoch.  OSError if the entry has gone."""
    stamp = stamp_of(entry)
    try:
        return int(stamp.read_text(encoding="utf-8") or "0"), stamp.stat().st_mtime
    except (OSError, ValueError):
        return allocated(entry), entry.stat().st_mtime


def hold(entry: Path) -> bool:
    """Mark the entry as in use, from now until this process ends.  False if there is none, or it is being removed."""
    if not entry.is_dir():
        return False
    stamp = stamp_of(entry)
    if stamp not in _held:
        handle = _opened(stamp)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            # The stamp may have been removed, or made again, while it was being opened.
            ours = entry.is_dir() and os.path.samestat(os.fstat(handle), stamp.stat())
        except OSError:
            ours = False
        if not ours:
            os.close(handle)
            return False
        _held[stamp] = handle
    os.utime(_held[stamp])
    return entry.is_dir()


def release(entry: Path) -> None:
    """No longer hold the entry in this process."""
    handle = _held.pop(stamp_of(entry), None)
    if handle is not None:
        os.close(handle)


@contextlib.contextmanager
def unused(entry: Path) -> Iterator[float]:
    """Keep others from using the entry; the value is its last use.  BlockingIOError if a process uses it."""
    handle = _opened(stamp_of(entry))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield os.fstat(handle).st_mtime
    finally:
        os.close(handle)


def _opened(stamp: Path) -> int:
    return os.open(stamp, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
