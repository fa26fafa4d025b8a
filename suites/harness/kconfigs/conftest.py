# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests that build fake kernels in real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kconfigs.cache import Cache
from suites.harness.kconfigs import fake_kernels as fakes


@pytest.fixture
def cache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, in this process and in those that it starts."""
    monkeypatch.setenv("KCONFORM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return fakes.tree(tmp_path / "linux")


@pytest.fixture
def endless(tree: Path, tmp_path: Path) -> Iterator[Path]:
    """`tree` never finishes compiling; the file says that compiling has begun."""
    (tree / "endless").write_text("")
    yield tmp_path / "begun"
    assert not fakes.compilers(tmp_path), "a compiler still runs"


@pytest.fixture
def _x86_64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages are for this architecture, whatever that of the host is."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
