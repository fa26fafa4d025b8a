# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory of finished things, each made once and found again by its key.

    entry = Cache().get("templates", key, make, check)

Layout below the root, for an entry of a kind:

    KIND/KEY/       the entry: it exists only when it is finished
    KIND/KEY.used   its stamp (see kconfigs.cache_stamps)
    KIND/.KEY.tmp/  being made, by the holder of the lock; if there is no holder, left by a process that died
    .locks/         the locks

A process that was given an entry holds it until it ends or releases it: no other process evicts or clears it.  Sizes
are those of allocated blocks, because many files are sparse.

The root may hold other things, too: only what has a stamp is removed, and of unfinished things what has a lock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from common.errors import UsageError
from common.paths import cache_folder
from common.text import printable
from kconfigs import cache_stamps
from kconfigs.cache_errors import FULL, HINT, disk_full, explained
from kconfigs.disk_usage import allocated, parse_size, remove

log = logging.getLogger("kconform")

DEFAULT_LIMIT = 20 << 30
"""Bytes.  KCONFORM_CACHE_LIMIT overrides it: a number, or one with K, M, G or T."""

QUICKLY_MADE = frozenset({"disks", "initramfs", "templates"})
"""Kinds that take seconds to make again, where a kernel takes minutes."""
HEAD_START_S = 7 * 24 * 3600.0
"""Entries of these kinds are evicted like others that have not been used for that much longer."""

KEEP_S = 600.0
"""What any process used within this many seconds is not evicted."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~-]*")
_HINT_IN_THE_WAY = "move it, or set KCONFORM_CACHE to a directory of its own"


@dataclass(frozen=True)
class CacheEntry:
    kind: str
    key: str
    path: Path
    size: int
    """Bytes of allocated blocks when it was made."""
    used: float
    """Last use, seconds since the epoch."""


class Cache:
    """The cache at `root` (default: KCONFORM_CACHE, or the user's cache directory), of `limit` bytes at most."""

    def __init__(self, root: Path | None = None, limit: int | None = None) -> None:
        self.root = (root or cache_folder()).absolute()
        self.limit = limit if limit is not None else _limit_from_environment()

    def require_usable(self) -> None:
        """UsageError if nothing can be kept in it."""
        self._prepare(self.root)

    def get(
        self,
        kind: str,
        key: str,
        make: Callable[[Path], None],
        check: Callable[[Path], None] | None = None,
    ) -> Path:
        """The directory of the entry, made by `make(empty directory)` if it does not exist yet.

        If several processes want it, one makes it and the others wait.  `check(path)` raises an exception if an entry
        is damaged; it is then removed and made again, and the log says so.  A `make` that fails leaves nothing.
        KconformError if the disk is full or a file too large, UsageError if the directory cannot be written to.
        """
        path = self._path(kind, key)
        self._prepare(path.parent)
        with self._explained(path):
            if cache_stamps.hold(path) and self._sound(path, check):
                return path
            self._sweep()
            with self._lock(kind, key, f"waiting for another process that is making {kind}/{key}"):
                # Under the lock no other process makes or removes it, so the answer stays true.
                if cache_stamps.hold(path):
                    if self._sound(path, check):
                        return path
                    log.warning("the cache entry %s/%s is damaged and is made again", kind, key)
                self._make_room(path)
                self._make(path, make, check)
        self._evict()
        return path

    def release(self, path: Path) -> None:
        """No longer hold an entry that `get` has returned: others may evict it."""
        cache_stamps.release(path)

    def has(self, kind: str, key: str) -> bool:
        """Whether the entry exists now.  It may be damaged, and it is not held."""
        return self._path(kind, key).is_dir()

    def lock(self, name: str, *, waiting: str = "") -> contextlib.AbstractContextManager[None]:
        """A lock among all processes that use this cache.  It is released when its holder ends."""
        return self._lock("lock", name, waiting)

    def entries(self) -> list[CacheEntry]:
        """Everything that is finished, least recently used first."""
        found = []
        for path in self._finished():
            with contextlib.suppress(OSError):  # removed by another process meanwhile
                if stamp := cache_stamps.read(path):
                    found.append(CacheEntry(path.parent.name, path.name, path, *stamp))
        return sorted(found, key=lambda entry: entry.used)

    def size(self) -> int:
        return sum(entry.size for entry in self.entries())

    def clear(self, kind: str | None = None) -> list[CacheEntry]:
        """Remove what no other process uses; returns what was removed."""
        removed = [entry for entry in self.entries() if kind in {None, entry.kind} and self._discard(entry.path)]
        with self._explained(self.root):
            self._sweep()
        return removed

    def discard(self, kind: str, key: str) -> bool:
        """Remove one entry, unless another process uses it.  True if it is gone."""
        path = self._path(kind, key)
        return not path.is_dir() or self._discard(path)

    def remeasure(self, path: Path) -> None:
        """Note the size of an entry that has grown since it was made."""
        cache_stamps.write(path, allocated(path))

    # How an entry is made

    def _make_room(self, path: Path) -> None:
        if path.is_dir() and any(path.iterdir()) and not cache_stamps.stamp_of(path).exists():
            raise UsageError(f"{printable(path)} is in the way: it is not of the cache", hint=_HINT_IN_THE_WAY)
        remove(path)

    def _make(self, path: Path, make: Callable[[Path], None], check: Callable[[Path], None] | None) -> None:
        temporary = _temporary(path)
        remove(temporary)
        temporary.mkdir()
        try:
            make(temporary)
            if check is not None:
                check(temporary)
            cache_stamps.write(path, allocated(temporary))
            temporary.rename(path)
        finally:
            if temporary.exists():
                remove(temporary)
        cache_stamps.hold(path)

    def _sound(self, path: Path, check: Callable[[Path], None] | None) -> bool:
        try:
            if not any(path.iterdir()):
                return False
            if check is not None:
                check(path)
        except Exception as error:
            # Whatever is wrong with it, it has to be made again.
            log.info("check of %s: %s", path, error)
            return False
        return True

    @contextlib.contextmanager
    def _lock(self, kind: str, key: str, waiting: str) -> Iterator[None]:
        path = self._lock_file(kind, key)
        self._prepare(path.parent)
        lock = FileLock(path)
        with self._explained(path.parent):
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

    # How an entry is removed

    def _discard(self, path: Path, *, unused_since: float | None = None) -> bool:
        """Remove a finished entry, unless another process uses it or anyone has used it after `unused_since`.

        UsageError if it belongs to another user.
        """
        with self._explained(path):
            return self._removed(path, unused_since)

    def _removed(self, path: Path, unused_since: float | None) -> bool:
        if unused_since is None:
            cache_stamps.release(path)
        lock = FileLock(self._lock_file(path.parent.name, path.name))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        try:
            with cache_stamps.unused(path) as last_use:
                if unused_since is not None and last_use > unused_since:
                    return False
                remove(path)
                cache_stamps.stamp_of(path).unlink(missing_ok=True)
        except BlockingIOError:
            return False
        except FileNotFoundError:  # no stamp
            return not path.exists()
        finally:
            lock.release()
        return True

    def _evict(self) -> None:
        entries = self.entries()
        excess = sum(entry.size for entry in entries) - self.limit
        for entry in sorted(entries, key=lambda entry: entry.used - HEAD_START_S * (entry.kind in QUICKLY_MADE)):
            if excess <= 0:
                return
            with contextlib.suppress(UsageError):  # of another user, who has to remove it
                if self._discard(entry.path, unused_since=time.time() - KEEP_S):
                    log.info("evicted %s/%s from the cache", entry.kind, entry.key)
                    excess -= entry.size

    def _sweep(self) -> None:
        """Remove what processes that died have left unfinished."""
        for temporary in self.root.glob("[!.]*/.*.tmp"):
            lock = self._lock_file(temporary.parent.name, temporary.name[1:-4])
            if lock.exists():
                with contextlib.suppress(Timeout), FileLock(lock).acquire(timeout=0):
                    remove(temporary)

    # Small things

    def _path(self, kind: str, key: str) -> Path:
        for part in (kind, key):
            if not _NAME.fullmatch(part) or part.endswith(cache_stamps.SUFFIX):
                raise ValueError(f"not a name for a cache entry: {part!r}")
        return self.root / kind / key

    def _lock_file(self, kind: str, key: str) -> Path:
        return self.root / ".locks" / f"{kind}.{key}"

    def _finished(self) -> Iterator[Path]:
        for kind in self.root.glob("[!.]*/"):
            yield from (path for path in kind.glob("[!.]*/") if path.is_dir())

    def _prepare(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in FULL:
                raise disk_full(directory, self.root) from error
            raise UsageError(
                f"the cache directory {printable(self.root)} cannot be made: {error.strerror}", hint=HINT
            ) from error
        if not os.access(directory, os.W_OK | os.X_OK):
            raise UsageError(f"the cache directory {printable(directory)} is not writable", hint=HINT)

    def _explained(self, path: Path) -> contextlib.AbstractContextManager[None]:
        return explained(path, self.root)


def _limit_from_environment() -> int:
    text = os.environ.get("KCONFORM_CACHE_LIMIT")
    return parse_size(text) if text else DEFAULT_LIMIT


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")
