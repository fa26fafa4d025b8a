# SPDX-License-Identifier: GPL-2.0-or-later
"""The stamp beside a cache entry: its size, when it was last used, and whether a process uses it now.

The size in bytes is the stamp's content, the last use its mtime.  A process that uses the entry has a shared lock
(flock) on the stamp until it ends, so whoever gets an exclusive one may remove the entry.

The cache may be in a directory that holds other things.  Its entries are what has a stamp, so nothing else gets one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from kconfigs.disk_usage import allocated

SUFFIX = ".used"
_LONGEST = 32
"""More bytes than a stamp has."""

_held: dict[Path, int] = {}
"""Descriptors of the stamps that this process has a shared lock on, for as long as it lives."""


def stamp_of(entry: Path) -> Path:
    return entry.with_name(entry.name + SUFFIX)


def write(entry: Path, size: int) -> None:
    # Not atomically: a lock is on the file itself, which must stay the same one.
    stamp_of(entry).write_text(f"{size}\n", encoding="utf-8")


def read(entry: Path) -> tuple[int, float] | None:
    """Size in bytes, and last use in seconds since the epoch.  None if the cache has not made it, or it has gone."""
    stamp = stamp_of(entry)
    try:
        size, last_use = _size_in(stamp.read_bytes()[:_LONGEST]), stamp.stat().st_mtime
    except PermissionError:  # of another user; whoever may not open the stamp does not remove the entry
        return allocated(entry), stamp.stat().st_mtime
    except OSError:
        return None
    return None if size is None else (size, last_use)


def hold(entry: Path) -> bool:
    """Mark the entry as in use, from now until this process ends.  False if there is none, or it is being removed."""
    if not entry.is_dir():
        return False
    stamp = stamp_of(entry)
    if stamp not in _held:
        try:
            handle = _opened(stamp)
        except FileNotFoundError:
            return False
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
        if _size_in(os.pread(handle, _LONGEST, 0)) is None:  # lost when the power failed
            write(entry, allocated(entry))
    os.utime(_held[stamp])
    return entry.is_dir()


def release(entry: Path) -> None:
    """No longer hold the entry in this process."""
    handle = _held.pop(stamp_of(entry), None)
    if handle is not None:
        os.close(handle)


@contextlib.contextmanager
def unused(entry: Path) -> Iterator[float]:
    """Keep others from using the entry; the value is its last use.

    BlockingIOError if a process uses it, FileNotFoundError if it has no stamp.
    """
    handle = _opened(stamp_of(entry))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield os.fstat(handle).st_mtime
    finally:
        os.close(handle)


def _opened(stamp: Path) -> int:
    return os.open(stamp, os.O_RDWR | os.O_CLOEXEC)


def _size_in(content: bytes) -> int | None:
    return int(content) if re.fullmatch(rb"\d{1,20}\n", content) else None
