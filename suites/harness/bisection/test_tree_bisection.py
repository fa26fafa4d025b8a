# SPDX-License-Identifier: GPL-2.0-or-later
"""Bisection of a git tree: real commits, real git bisect, and runs whose test reads the tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.git import environment
from reports.judgement.exit_status import HELD, INTERRUPTED, UNDETERMINED, WRONG_USE
from reports.model.document import load
from suites.harness.checkout import ROOT
from suites.harness.kconfigs import fake_kernels as fakes

pytestmark = pytest.mark.usefixtures("_own_git_settings")

TEST = """
import os, pathlib, time, pytest
TREE = pathlib.Path({tree!r})

def test_it():
    state = (TREE / "state").read_text()
    if state == "endless":
        (TREE / ".git" / "endless").write_text(str(os.getpid()))
        time.sleep(1000)
    if state == "unknown":
        raise OSError("nothing can be said")
    assert state == "good"
"""


@pytest.fixture
def _own_git_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@b")


def git(tree: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(tree), *arguments], env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


class History:
    """A tree with one commit for each state, tagged v1, v2 and so on, and a test that is about it."""

    def __init__(self, folder: Path, *states: str) -> None:
        self.tree = fakes.tree(folder / "linux")
        self.test = folder / "test_planted.py"
        self.test.write_text(TEST.format(tree=str(self.tree)), encoding="utf-8")
        self._folder = folder
        git(folder, "init", "-q", "-b", "main", str(self.tree))
        for number, state in enumerate(states, 1):
            (self.tree / "state").write_text(state, encoding="utf-8")
            git(self.tree, "add", "-A")
            git(self.tree, "commit", "-q", "--allow-empty", "-m", f"change {number}")
            git(self.tree, "tag", f"v{number}")

    def bisected(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.bisecting(*arguments) as running:
            said, complained = running.communicate()
        return subprocess.CompletedProcess(running.args, running.returncode, said, complained)

    def bisecting(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "kconform.py"), "bisect", "--tree", str(self.tree), *arguments]
        return subprocess.Popen(
            [*command, str(self.test), "-p", "no:cacheprovider", f"--report-dir={self._folder / 'report'}"],
            cwd=self._folder,
            env={**os.environ, "KCONFORM_CACHE": str(self._folder / "cache")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def require_untouched(self) -> None:
        assert git(self.tree, "symbolic-ref", "--short", "HEAD") == "main"
        assert git(self.tree, "status", "--porcelain") == ""
        assert git(self.tree, "for-each-ref", "refs/bisect") == ""


def test_the_first_bad_commit_between_two_tags(tmp_path: Path) -> None:
    """Over one that cannot be judged; afterwards the tree is as it was, and the log is kept."""
    history = History(tmp_path, "good", "good", "unknown", "good", "bad", "bad")
    done = history.bisected("--good", "v1", "--bad", "v6")
    assert done.returncode == HELD, done.stdout + done.stderr
    assert f"first bad: {git(history.tree, 'rev-parse', 'v5')} change 5" in done.stdout.splitlines()
    history.require_untouched()
    log = (tmp_path / "report" / "bisect.log").read_text(encoding="utf-8")
    assert log.startswith("git bisect start") or "git bisect start" in log
    assert "# first bad commit: " in log


def test_commits_that_cannot_be_judged_may_be_the_first_bad_one(tmp_path: Path) -> None:
    history = History(tmp_path, "good", "unknown", "bad")
    done = history.bisected("--good", "v1", "--bad", "v3")
    assert done.returncode == UNDETERMINED, done.stdout + done.stderr
    assert "first bad: " not in done.stdout
    assert "the others could not be judged" in done.stdout
    history.require_untouched()


def test_a_slip_ends_the_bisection_and_leaves_the_tree(tmp_path: Path) -> None:
    history = History(tmp_path, "good", "good", "bad")
    done = history.bisected("--good", "v1", "--bad", "v3", "--flavour=full")
    assert done.returncode == WRONG_USE, done.stdout + done.stderr
    history.require_untouched()


@pytest.mark.parametrize(
    ("kill", "number"),
    [pytest.param(os.killpg, signal.SIGINT, id="ctrl-c"), pytest.param(os.kill, signal.SIGTERM, id="sigterm")],
)
def test_an_interrupted_bisection_ends_in_order(
    tmp_path: Path, kill: Callable[[int, int], None], number: signal.Signals
) -> None:
    """A terminal interrupts all of its processes; `kill` only the one that it names.  The step is over first."""
    history = History(tmp_path, "good", "endless", "bad")
    endless = history.tree / ".git" / "endless"
    with history.bisecting("--good", "v1", "--bad", "v3") as running:
        # It exists before its content is written.
        fakes.until(lambda: endless.exists() and endless.read_text() != "")
        kill(running.pid, number)
        said, complained = running.communicate()
    assert running.returncode == INTERRUPTED, said + complained
    assert "kconform: interrupted" in complained
    assert load(tmp_path / "report").run.exit_status == INTERRUPTED
    assert int(endless.read_text()) not in processes()
    history.require_untouched()


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


class TestRefusals:
    """Before anything is checked out."""

    @pytest.fixture
    def history(self, tmp_path: Path) -> History:
        return History(tmp_path, "good", "bad")

    def test_an_unknown_revision(self, history: History) -> None:
        done = history.bisected("--good", "v7", "--bad", "v2")
        assert done.returncode == WRONG_USE
        assert "has no revision v7" in done.stderr

    def test_a_tree_with_changes(self, history: History) -> None:
        (history.tree / "state").write_text("mine", encoding="utf-8")
        done = history.bisected("--good", "v1", "--bad", "v2")
        assert done.returncode == WRONG_USE
        assert "has changes that are not committed" in done.stderr
        assert (history.tree / "state").read_text(encoding="utf-8") == "mine"

    def test_a_tree_that_is_being_bisected(self, history: History) -> None:
        git(history.tree, "bisect", "start")
        done = history.bisected("--good", "v1", "--bad", "v2")
        assert done.returncode == WRONG_USE
        assert "is being bisected already" in done.stderr
        git(history.tree, "bisect", "log")

    def test_revisions_in_the_wrong_order(self, history: History) -> None:
        done = history.bisected("--good", "v2", "--bad", "v1")
        assert done.returncode == WRONG_USE
        history.require_untouched()

    def test_no_tree(self, history: History, tmp_path: Path) -> None:
        history.tree = tmp_path / "nowhere"
        done = history.bisected("--good", "v1", "--bad", "v2")
        assert done.returncode == WRONG_USE
        assert "is not a git tree" in done.stderr
