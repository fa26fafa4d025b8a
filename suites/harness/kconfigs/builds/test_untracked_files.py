# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that git would add to a user's tree: which of them belong to the tree, and how they are read."""

from __future__ import annotations

import os
import subprocess
import tracemalloc
from pathlib import Path

import pytest

from common.git import environment
from kconfigs.build import kernel_tree
from suites.harness.kconfigs.builds.fake_builds import MakeTree


@pytest.fixture
def path(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    path = make_tree()
    settings = ["-c", "user.name=us", "-c", "user.email=us@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run(["git", *settings, *words], cwd=path, check=True, env=environment())
    assert "-dirty-" not in kernel_tree.identify(path)
    return path


def test_reports_in_it_do_not_count(path: Path, tmp_path: Path) -> None:
    """`cd linux && kconform` makes them there; a folder of that name further down is the tree's own."""
    report = path / "kconform-reports" / "20261130T120000Z"
    report.mkdir(parents=True)
    (report / "results.json").write_text("{}")
    assert "-dirty-" not in kernel_tree.identify(path)
    kernel_tree.mirror(path, tmp_path / "mirror")
    assert not (tmp_path / "mirror" / "kconform-reports").exists()
    (path / "lib" / "kconform-reports").mkdir(parents=True)
    (path / "lib" / "kconform-reports" / "new.c").write_text("new")
    assert "-dirty-" in kernel_tree.identify(path)


def test_a_large_file_in_it_takes_little_memory(path: Path) -> None:
    with (path / "disk.img").open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    try:
        assert "-dirty-" in kernel_tree.identify(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
