# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory of finished things, each made once and found again by its content key.

    entry = Cache().get("templates", key, make, check)

Layout below the root, for an entry of a kind:

    KIND/KEY/       the entry: it exists only when it is finished
    KIND/KEY.used   its stamp; mtime: last use; content: size in bytes; a shared lock: in use
    KIND/.KEY.tmp/  being made, by whoever holds the lock; without a holder it is wreckage
    .locks/         the locks

A process that was given an entry holds it until it ends: no eviction and no clearing elsewhere takes it
away.  Sizes are allocated blocks, for many files are sparse.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from kconfigs.disk import allocated, parse_size, remove
from kconfigs.errors import KconformError, UsageError
from kconfigs.paths import user_cache

log = logging.getLogger("kconform")

DEFAULT_LIMIT = 20 << 30
"""Bytes.  KCONFORM_CACHE_LIMIT overrides it: a number, or one with K, M, G or T."""

KEEP_S = 600.0
"""What was used within this many seconds is not evicted, whoever used it."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~-]*")
_FULL = {errno.ENOSPC, errno.EDQUOT}

# Stamps that this process holds a shared lock on, for as long as it lives.
_held: dict[Path, int] = {}


@dataclass(frozen=True)
class Entry:
    kind: str
    key: str
    path: Path
    size: int
    """Bytes of allocated blocks when it was made."""
    used: float
    """Last use, seconds since the epoch."""


class Cache:
    """The cache at `root` (default: KCONFORM_CACHE, or the user's own), of `limit` bytes at most."""

    def __init__(self, root: Path | None = None, limit: int | None = None) -> None:
        self.root = (root or default_root()).absolute()
        self.limit = limit if limit is not None else _limit_from_environment()

    def get(
        self,
        kind: str,
        key: str,
        make: Callable[[Path], None],
        check: Callable[[Path], None] | None = None,
    ) -> Path:
        """The directory of the entry, made by `make(empty directory)` if it is not there.

        Of several processes that want it one makes it and the others wait.  `check(path)` raises where an
        entry is damaged; it is then removed and made again, and the log says so.  A `make` that fails
        leaves nothing.  KconformError: the disk is full.  UsageError: the directory cannot be written to.
        """
        path = self._path(kind, key)
        self._prepare(path.parent)
        with self._explained(path):
            if path.is_dir() and self._hold(path) and self._sound(path, check):
                return path
            self._sweep()
            with self._lock(kind, key, f"waiting for another process that makes {kind}/{key}"):
                # Under the lock nobody else makes or removes it, so now it can be looked at in peace.
                if path.is_dir() and self._hold(path):
                    if self._sound(path, check):
                        return path
                    log.warning("the cache entry %s/%s is damaged and is made again", kind, key)
                remove(path)
                self._make(path, make, check)
        self._evict()
        return path

    def has(self, kind: str, key: str) -> bool:
        """Is the entry there just now?  It may be damaged, and it is not held."""
        return self._path(kind, key).is_dir()

    def lock(self, name: str, *, waiting: str = "") -> contextlib.AbstractContextManager[None]:
        """A lock between all processes that use this cache.  It ends with its holder."""
        return self._lock("lock", name, waiting)

    def entries(self) -> list[Entry]:
        """Everything that is finished, least recently used first."""
        found = []
        for path in self._finished():
            size, used = _read_stamp(path)
            found.append(Entry(path.parent.name, path.name, path, size, used))
        return sorted(found, key=lambda entry: entry.used)

    def size(self) -> int:
        return sum(entry.size for entry in self.entries())

    def clear(self, kind: str | None = None) -> list[Entry]:
        """Remove what is not in use by another process; returns what was removed."""
        removed = [entry for entry in self.entries() if kind in {None, entry.kind} and self._discard(entry.path)]
        self._sweep()
        return removed

    def discard(self, kind: str, key: str) -> bool:
        """Remove one entry, unless another process uses it; True if it is gone."""
        path = self._path(kind, key)
        return not path.is_dir() or self._discard(path)

    def remeasure(self, path: Path) -> None:
        """Note the size of an entry that has grown since it was made."""
        _write_stamp(path, allocated(path))

    # How an entry comes into being

    def _make(self, path: Path, make: Callable[[Path], None], check: Callable[[Path], None] | None) -> None:
        temporary = _temporary(path)
        remove(temporary)
        temporary.mkdir()
        try:
            make(temporary)
            if check is not None:
                check(temporary)
            _write_stamp(path, allocated(temporary))
            temporary.rename(path)
        finally:
            if temporary.exists():
                remove(temporary)
        self._hold(path)

    def _sound(self, path: Path, check: Callable[[Path], None] | None) -> bool:
        try:
            if not any(path.iterdir()):
                return False
            if check is not None:
                check(path)
        except Exception as error:
            # Whatever it is that check stumbles over, the remedy is the same.
            log.info("check of %s: %s", path, error)
            return False
        return True

    def _hold(self, path: Path) -> bool:
        """Mark the entry as in use, now and until this process ends.  False if it is just being removed."""
        stamp = _stamp(path)
        if stamp not in _held:
            handle = os.open(stamp, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                ours = path.is_dir() and os.path.samestat(os.fstat(handle), stamp.stat())
            except OSError:
                ours = False
            if not ours:
                os.close(handle)
                return False
            _held[stamp] = handle
        os.utime(_held[stamp])
        return path.is_dir()

    @contextlib.contextmanager
    def _lock(self, kind: str, key: str, waiting: str) -> Iterator[None]:
        locks = self.root / ".locks"
        self._prepare(locks)
        lock = FileLock(locks / f"{kind}.{key}")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting:
                log.info("%s", waiting)
            lock.acquire(poll_interval=0.05)
        try:
            yield
        finally:
            lock.release()

    # How it goes

    def _discard(self, path: Path, *, unused_since: float | None = None) -> bool:
        """Remove a finished entry unless another process uses it, or anyone did after `unused_since`."""
        stamp = _stamp(path)
        mine = _held.pop(stamp, None) if unused_since is None else None
        if mine is not None:
            os.close(mine)
        lock = FileLock(self.root / ".locks" / f"{path.parent.name}.{path.name}")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        try:
            handle = os.open(stamp, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if unused_since is not None and os.fstat(handle).st_mtime > unused_since:
                    return False
                remove(path)
                stamp.unlink(missing_ok=True)
            finally:
                os.close(handle)
        except BlockingIOError:
            return False
        finally:
            lock.release()
        return True

    def _evict(self) -> None:
        entries = self.entries()
        excess = sum(entry.size for entry in entries) - self.limit
        for entry in entries:
            if excess <= 0:
                return
            if self._discard(entry.path, unused_since=time.time() - KEEP_S):
                log.info("evicted %s/%s from the cache", entry.kind, entry.key)
                excess -= entry.size

    def _sweep(self) -> None:
        """Remove what dead processes left half made."""
        for temporary in self.root.glob("*/.*.tmp"):
            lock = FileLock(self.root / ".locks" / f"{temporary.parent.name}.{temporary.name[1:-4]}")
            with contextlib.suppress(Timeout), lock.acquire(timeout=0):
                remove(temporary)

    # Small things

    def _path(self, kind: str, key: str) -> Path:
        for part in (kind, key):
            if not _NAME.fullmatch(part) or part.endswith(".used"):
                raise ValueError(f"not a name for a cache entry: {part!r}")
        return self.root / kind / key

    def _finished(self) -> Iterator[Path]:
        for kind in self.root.glob("[!.]*/"):
            yield from (path for path in kind.glob("[!.]*/") if path.is_dir())

    def _prepare(self, directory: Path) -> None:
        hint = "set KCONFORM_CACHE to a directory that may be written to"
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in _FULL:
                raise self._full(directory) from error
            raise UsageError(
                f"the cache directory {self.root} cannot be made: {error.strerror}", hint=hint
            ) from error
        if not os.access(directory, os.W_OK | os.X_OK):
            raise UsageError(f"the cache directory {directory} cannot be written to", hint=hint)

    @contextlib.contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise self._full(path) from error
            raise

    def _full(self, path: Path) -> KconformError:
        return KconformError(
            f"the disk is full: no room in {self.root} for {path.parent.name}/{path.name}",
            hint="free some space, empty the cache (python -m kconfigs cache clear) or set KCONFORM_CACHE",
        )


def default_root() -> Path:
    chosen = os.environ.get("KCONFORM_CACHE")
    return Path(chosen) if chosen else user_cache()


def _limit_from_environment() -> int:
    text = os.environ.get("KCONFORM_CACHE_LIMIT")
    return parse_size(text) if text else DEFAULT_LIMIT


def _stamp(path: Path) -> Path:
    return path.with_name(path.name + ".used")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _write_stamp(path: Path, size: int) -> None:
    _stamp(path).write_text(f"{size}\n")


def _read_stamp(path: Path) -> tuple[int, float]:
    stamp = _stamp(path)
    try:
        return int(stamp.read_text() or "0"), stamp.stat().st_mtime
    except (OSError, ValueError):
        return allocated(path), path.stat().st_mtime
