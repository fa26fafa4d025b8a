# SPDX-License-Identifier: GPL-2.0-or-later
"""The directory of the cache may hold things that the cache has not made, and never removes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache


def make(folder: Path) -> None:
    (folder / "file").write_text("content")


@pytest.fixture
def foreign(cache: Cache) -> list[Path]:
    """Directories that are laid out as entries are, the last of them with the trace of an older version."""
    folders = [cache.root / name for name in ("photos/2019", "mail/.inbox.tmp", "things/b", "data/empty-stamp")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "file").write_text("precious")
        os.utime(folder, (0, 0))
    (cache.root / "data" / "empty-stamp.used").write_text("")
    os.utime(cache.root / "data" / "empty-stamp.used", (0, 0))
    return folders


def present(folders: list[Path]) -> bool:
    return all((folder / "file").read_text() == "precious" for folder in folders)


def test_the_limit_does_not_count_or_remove_them(cache: Cache, foreign: list[Path]) -> None:
    cache.release(cache.get("things", "old", make))
    os.utime(cache.root / "things" / "old.used", (0, 0))
    cache.limit = 1
    for key in ("new", "newer"):
        cache.get("things", key, make)
    assert {entry.key for entry in cache.entries()} == {"new", "newer"}
    assert present(foreign)
    assert sorted(path.name for path in cache.root.glob("photos/*")) == ["2019"], "nor is a stamp left beside them"


def test_nothing_of_them_is_cleared(cache: Cache, foreign: list[Path]) -> None:
    cache.get("things", "a", make)
    assert [entry.key for entry in cache.clear()] == ["a"]
    assert cache.clear("photos") == []
    assert present(foreign)


def test_one_of_them_is_not_discarded(cache: Cache, foreign: list[Path]) -> None:
    (cache.root / ".locks").mkdir()
    assert not cache.discard("things", "b")
    assert present(foreign)


def test_one_in_the_place_of_an_entry_is_named(cache: Cache, foreign: list[Path]) -> None:
    with pytest.raises(UsageError, match="things/b is in the way") as caught:
        cache.get("things", "b", make)
    assert "KCONFORM_CACHE" in caught.value.hint
    assert present(foreign)


def test_an_entry_whose_stamp_lost_its_content_is_one_again_when_it_is_used(cache: Cache) -> None:
    cache.release(cache.get("things", "a", make))
    (cache.root / "things" / "a.used").write_text("")
    assert cache.entries() == []
    cache.get("things", "a", make)
    assert [entry.key for entry in cache.clear()] == ["a"]
