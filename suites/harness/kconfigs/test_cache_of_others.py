# SPDX-License-Identifier: GPL-2.0-or-later
"""A cache in which files belong to another user: what cannot be used is named, and is no error of the system."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from common.errors import UsageError
from kconfigs import cache_stamps
from kconfigs.cache import Cache


def refuse(path: Path) -> NoReturn:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def make(folder: Path) -> None:
    (folder / "file").write_bytes(b"x" * 100_000)


@pytest.fixture
def of_another(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """The entry `a`, whose stamp is another user's."""
    path = cache.get("things", "a", make)
    cache.release(path)
    opened = cache_stamps._opened
    stamp = cache_stamps.stamp_of(path)
    monkeypatch.setattr(cache_stamps, "_opened", lambda each: refuse(each) if each == stamp else opened(each))
    return cache


def test_what_cannot_be_used_is_wrong_use(of_another: Cache) -> None:
    with pytest.raises(UsageError, match=r"things/a cannot be used: Permission denied") as caught:
        of_another.get("things", "a", make)
    assert "KCONFORM_CACHE" in caught.value.hint


def test_what_cannot_be_removed_is_wrong_use(of_another: Cache) -> None:
    for remove in (of_another.clear, lambda: of_another.discard("things", "a")):
        with pytest.raises(UsageError, match=r"things/a cannot be used: Permission denied"):
            remove()


def test_the_limit_leaves_what_cannot_be_removed(of_another: Cache) -> None:
    os.utime(cache_stamps.stamp_of(of_another.root / "things" / "a"), (0, 0))
    of_another.limit = 1
    of_another.get("things", "b", make)
    assert [entry.key for entry in of_another.entries()] == ["a", "b"]


def test_a_lock_that_cannot_be_taken_is_wrong_use(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filelock.FileLock.acquire", lambda *_, **__: refuse(cache.root / ".locks" / "lock.builds"))
    with pytest.raises(UsageError, match=r"\.locks cannot be used: Permission denied"), cache.lock("builds"):
        pass


def test_what_is_refused_elsewhere_is_not_blamed_on_the_cache(cache: Cache) -> None:
    with pytest.raises(PermissionError):
        cache.get("things", "a", lambda _: refuse(Path("/home/other/linux")))
