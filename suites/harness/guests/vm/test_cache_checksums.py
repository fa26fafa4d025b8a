# SPDX-License-Identifier: GPL-2.0-or-later
"""A damaged agent, initramfs or disk is never used: it is made again."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from guests.vm import cache_checksums
from guests.vm.cache_checksums import DamagedError
from guests.vm.disk_images import DiskPlan
from guests.vm.initramfs import agent, initramfs
from kconfigs.cache import Cache
from suites.harness.guests import fakes


def disk(filesystem: str) -> Callable[[Cache, Path], Path]:
    plan = DiskPlan(filesystem, files=(("folder/a", b"content"),))
    return lambda store, folder: plan.make(fakes.kernel(folder), store).image


MADE: dict[str, Callable[[Cache, Path], Path]] = {
    "agent": lambda store, _: agent(platform.machine(), store),
    "initramfs": lambda store, _: initramfs(platform.machine(), store),
    "squashfs": disk("squashfs"),
    "ext2": disk("ext2"),
    "shared-directory": lambda store, folder: disk("9p")(store, folder) / "folder" / "a",
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink], ids=["flipped", "cut", "missing"])
@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_damage_is_detected_and_repaired(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    make: Callable[[Cache, Path], Path],
    damage: Callable[[Path], None],
) -> None:
    store = Cache(tmp_path / "cache")
    path = make(store, tmp_path)
    size = path.stat().st_size
    with caplog.at_level(logging.WARNING, "kconform"):
        assert make(store, tmp_path) == path
        assert caplog.text == ""
        damage(path)
        assert make(store, tmp_path) == path
    assert path.stat().st_size == size
    (entry,) = (parent for parent in path.parents if (parent / cache_checksums.FILE).exists())
    cache_checksums.check(entry)
    assert "is damaged and is made again" in caplog.text


@pytest.mark.parametrize("noted", [None, "", "[]", "{}"], ids=["missing", "empty", "not-checksums", "of-nothing"])
def test_without_its_checksums_an_entry_is_damaged(tmp_path: Path, noted: str | None) -> None:
    (tmp_path / "file").write_text("content")
    if noted is not None:
        (tmp_path / cache_checksums.FILE).write_text(noted)
    with pytest.raises(DamagedError):
        cache_checksums.check(tmp_path)
    cache_checksums.with_checksums(lambda _: None)(tmp_path)
    cache_checksums.check(tmp_path)


def test_a_file_that_was_added_is_damage(tmp_path: Path) -> None:
    cache_checksums.with_checksums(lambda path: (path / "file").touch())(tmp_path)
    (tmp_path / "more").touch()
    with pytest.raises(DamagedError, match="has changed since it was made"):
        cache_checksums.check(tmp_path)
