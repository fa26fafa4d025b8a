# SPDX-License-Identifier: GPL-2.0-or-later
"""Files are replaced as a whole, or stay as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from common import atomic


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")
    atomic.write(path, "new\r\n\udcff", durable=durable)
    assert path.read_bytes() == b"new\r\n\\udcff"
    atomic.write(path, b"\x00", durable=durable)
    assert path.read_bytes() == b"\x00"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_content_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with atomic.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent, "a rename works only within a file system"
    assert path.read_text() == "new"


def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted() -> None:
        with atomic.replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(OSError, match="not_there"):
        atomic.write(tmp_path / "not_there" / "file", "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_process_have_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic.replacing(path) as first, atomic.replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first", "the block that ends last"


def test_a_file_is_created_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.create(path, "first")
    with pytest.raises(FileExistsError):
        atomic.create(path, "second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_links_and_directories_are_replaced_too(tmp_path: Path) -> None:
    link, folder = tmp_path / "latest", tmp_path / "folder"
    for target in ("one", "two"):
        with atomic.replacing(link) as temporary:
            temporary.symlink_to(target)
    assert str(link.readlink()) == "two"
    with atomic.replacing(folder) as temporary:
        temporary.mkdir()
        (temporary / "file").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "latest"]
    with pytest.raises(OSError, match="folder"), atomic.replacing(folder) as temporary:
        temporary.mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "latest"]
