# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the cache is, and how large it may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import disk_usage
from kconfigs.cache import Cache


@pytest.mark.parametrize(
    ("text", "size"), [("5", 5), ("2K", 2048), ("1.5 GiB", 3 << 29), ("20G", 20 << 30), ("1t", 1 << 40)]
)
def test_a_limit_is_read(text: str, size: int) -> None:
    assert disk_usage.parse_size(text) == size


def test_a_malformed_limit_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KCONFORM_CACHE_LIMIT", "much")
    with pytest.raises(UsageError, match="is not a size"):
        Cache()


def test_the_environment_says_where_and_how_much(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KCONFORM_CACHE", str(tmp_path / "here"))
    monkeypatch.setenv("KCONFORM_CACHE_LIMIT", "3G")
    assert (Cache().root, Cache().limit) == (tmp_path / "here", 3 << 30)
