# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from common.errors import UsageError
from common.paths import cache_folder, output_path, users_path


def test_a_path_starts_at_the_folder_or_at_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert users_path("a/b", tmp_path) == tmp_path / "a/b"
    assert users_path("/a", tmp_path) == Path("/a")
    assert users_path("~/a", tmp_path) == Path("/home/me/a")
    assert users_path("a\0b") == Path("a\0b"), "no file has such a name, which is for whoever opens it to say"


def test_a_home_of_nobody_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^~nobody-by-this-name/a cannot be found") as caught:
        users_path("~nobody-by-this-name/a")
    assert caught.value.hint == "write the whole path"


def test_a_path_that_the_system_refuses_is_quoted_on_one_line() -> None:
    with pytest.raises(UsageError, match=r"^a\\n+.* cannot be looked at: File name too long"):
        users_path("a\n" + "x" * (os.pathconf("/", "PC_NAME_MAX") + 1))


@pytest.mark.parametrize("error", [RuntimeError("no home"), None], ids=["now", "before"])
def test_a_missing_home_directory_for_the_cache_is_wrong_use(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    """platformdirs raises an exception; older versions leave the ~ unchanged."""

    def cache_path(name: str) -> Path:
        if error:
            raise error
        return Path("~/.cache", name)

    monkeypatch.delenv("KCONFORM_CACHE", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_path", cache_path)
    with pytest.raises(UsageError, match="no place for the cache") as caught:
        cache_folder()
    assert "KCONFORM_CACHE" in caught.value.hint


def test_a_file_that_cannot_be_written_is_wrong_use(tmp_path: Path) -> None:
    """Before the work of hours, whose result would be lost."""
    assert output_path(tmp_path / "table.md") == tmp_path / "table.md"
    for path in (tmp_path / "none" / "table.md", tmp_path):
        with pytest.raises(UsageError, match="cannot be written: it "):
            output_path(path)
