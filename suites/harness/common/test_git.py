# SPDX-License-Identifier: GPL-2.0-or-later
"""git finds the repository that its directory is in, whatever the environment says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from common.git import environment
from reports.run.environment import suite


def test_only_what_names_a_repository_is_left_out() -> None:
    given = {"GIT_DIR": "/other", "GIT_WORK_TREE": "/other", "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": "/bin"}
    assert environment(given) == {"GIT_CONFIG_GLOBAL": "/dev/null", "PATH": "/bin"}


def test_the_commit_of_the_suite_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git names its repository to hooks, and to what `git rebase --exec` runs."""
    for name in ("suite", "other"):
        command = ["git", "-c", "user.name=us", "-c", "user.email=us@example.org", "-C", str(tmp_path / name)]
        (tmp_path / name).mkdir()
        subprocess.run([*command, "init", "-q"], check=True, env=environment())
        commit = ["commit", "-q", "--allow-empty", "-m", name]
        subprocess.run([*command, *commit], check=True, env=environment())
    before = suite(tmp_path / "suite").commit
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert before == suite(tmp_path / "suite").commit != ""
