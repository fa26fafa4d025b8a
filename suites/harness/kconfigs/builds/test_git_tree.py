# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel trees that git knows, in every way that people have them: identified, mirrored, and left as they are."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from common.git import environment as git_environment
from kconfigs.build import kernel_tree
from kconfigs.cache import Cache
from reports.run import environment
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.builds.fake_builds import MakeTree, builds, content

pytestmark = pytest.mark.usefixtures("_small_flavors", "_no_settings")


@pytest.fixture
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the user and of the system have no effect on the repositories of these tests."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(path: Path, *arguments: str) -> str:
    """Run git in a directory, and in no other repository, even if a hook of one runs this test."""
    settings = ["-c", "user.name=us", "-c", "user.email=us@example.org", "-c", "protocol.file.allow=always"]
    done = subprocess.run(
        ["git", *settings, *arguments],
        cwd=path,
        capture_output=True,
        text=True,
        check=True,
        env=git_environment(),
    )
    return done.stdout.strip()


def commit_all(path: Path, message: str = "one") -> None:
    if not (path / ".git").exists():
        git(path, "init", "-q")
    git(path, "add", ".")
    git(path, "commit", "-q", "-m", message)


def head(path: Path) -> str:
    return git(path, "rev-parse", "HEAD")[:12]


@pytest.fixture
def path(make_tree: MakeTree) -> Path:
    path = make_tree()
    (path / ".gitignore").write_text("*.o\n.config\n")
    commit_all(path)
    return path


@pytest.fixture
def play_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have a script with this body run instead of git; `$git` is the real one."""

    def play(body: str) -> None:
        program = tmp_path / "bin" / "git"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\ngit="{shutil.which("git")}"\n{body}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return play


class TestIdentity:
    def test_it_is_the_commit(self, path: Path) -> None:
        assert kernel_tree.identify(path) == head(path)

    def test_different_changes_have_different_identities(self, path: Path) -> None:
        seen = {kernel_tree.identify(path)}
        for name, text in (("kernel.c", "one"), ("kernel.c", "two"), ("new.c", "one"), ("new.c", "two")):
            (path / name).write_text(text)
            seen.add(kernel_tree.identify(path))
        assert len(seen) == 5
        assert sum("-dirty-" in identity for identity in seen) == 4
        (path / "kernel.o").write_text("ignored")
        assert kernel_tree.identify(path) in seen

    def test_looking_does_not_touch_the_repository(self, path: Path) -> None:
        os.utime(path / "kernel.c")
        before = content(path)
        kernel_tree.identify(path)
        assert content(path) == before

    @pytest.mark.parametrize("worktree", [False, True], ids=["repository", "repository-and-worktree"])
    def test_another_repository_in_the_environment_is_ignored(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worktree: bool
    ) -> None:
        """git names its repository to hooks, and to what `git rebase --exec` runs."""
        before, commit = kernel_tree.identify(path), git(path, "rev-parse", "HEAD")
        other = tmp_path / "other"
        other.mkdir()
        git(other, "init", "-q")
        git(other, "commit", "-q", "--allow-empty", "-m", "another")
        content_of_other = content(other)
        monkeypatch.setenv("GIT_DIR", str(other / ".git"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
        if worktree:
            monkeypatch.setenv("GIT_WORK_TREE", str(other))
        assert kernel_tree.identify(path) == before
        assert environment.suite(path).commit == commit
        assert content(other) == content_of_other

    def test_its_path_and_its_files_may_have_any_names(self, path: Path) -> None:
        moved = path.with_name(os.fsdecode(b"caf\xe9"))
        path.rename(moved)
        (moved / os.fsdecode(b"caf\xe9.c")).write_text("new")
        assert "-dirty-" in kernel_tree.identify(moved)
        kernel_tree.mirror(moved, moved.with_name("mirror"))
        assert (moved.with_name("mirror") / os.fsdecode(b"caf\xe9.c")).exists()
        (moved / ".git").rename(moved.with_name("git"))
        assert kernel_tree.identify(moved).startswith("files-")

    def test_what_a_link_leads_to_belongs_to_it(self, path: Path, tmp_path: Path) -> None:
        (tmp_path / "drivers").mkdir()
        (path / "drivers").symlink_to("../drivers")
        (path / "again.c").symlink_to("kernel.c")
        commit_all(path, "two")
        seen = {kernel_tree.identify(path)}
        for text in ("one", "other"):
            (tmp_path / "drivers" / "one.c").write_text(text)
            seen.add(kernel_tree.identify(path))
        assert len(seen) == 3


class TestPlaces:
    def test_a_worktree_is_a_tree_of_its_own(self, path: Path, tmp_path: Path, cache: Cache) -> None:
        work = tmp_path / "work"
        git(path, "worktree", "add", "-q", "-b", "mine", str(work))
        (work / "kernel.c").write_text("mine")
        commit_all(work, "mine")
        assert kernel_tree.identify(work) == head(work) != kernel_tree.identify(path)
        (work / "kernel.c").write_text("changed")
        assert kernel_tree.identify(work).startswith(f"{head(work)}-dirty-")
        before = content(tmp_path)
        fakes.resolved(str(work), cache=cache).kernel()
        after = content(tmp_path)
        assert {name: after[name] for name in before if name != "."} == before
        kernel_tree.mirror(work, tmp_path / "mirror")
        assert not (tmp_path / "mirror" / ".git").exists()

    def test_a_worktree_whose_repository_has_moved(self, path: Path, tmp_path: Path, cache: Cache) -> None:
        work = tmp_path / "work"
        git(path, "worktree", "add", "-q", str(work))
        path.rename(tmp_path / "moved")
        assert kernel_tree.identify(work).startswith("files-")
        kernel_tree.mirror(work, tmp_path / "mirror")
        assert not os.path.lexists(tmp_path / "mirror" / ".git")
        assert fakes.resolved(str(work), cache=cache).kernel().release == fakes.RELEASE

    def test_a_shallow_clone(self, path: Path, tmp_path: Path) -> None:
        (path / "kernel.c").write_text("two")
        commit_all(path, "two")
        git(tmp_path, "clone", "-q", "--depth=1", path.as_uri(), "shallow")
        assert kernel_tree.identify(tmp_path / "shallow") == head(path)
        (tmp_path / "shallow" / "kernel.c").write_text("three")
        assert kernel_tree.identify(tmp_path / "shallow").startswith(f"{head(path)}-dirty-")

    def test_a_tree_that_is_a_submodule(self, path: Path, tmp_path: Path) -> None:
        outer = tmp_path / "outer"
        outer.mkdir()
        git(outer, "init", "-q")
        git(outer, "submodule", "--quiet", "add", str(path), "linux")
        assert (outer / "linux" / ".git").is_file()
        assert kernel_tree.identify(outer / "linux") == head(path)
        (outer / "linux" / "new.c").write_text("new")
        assert kernel_tree.identify(outer / "linux").startswith(f"{head(path)}-dirty-")

    @pytest.mark.parametrize("tracked", [True, False], ids=["tracked", "untracked"])
    def test_a_tree_inside_another_repository_is_identified_by_its_files(
        self, path: Path, tmp_path: Path, cache: Cache, tracked: bool
    ) -> None:
        inner = fakes.tree(path / "inner")
        (inner / "kernel.o").write_text("ignored by the other repository")
        if tracked:
            commit_all(path, "two")
        before = content(path)
        seen = {kernel_tree.identify(inner)}
        assert seen.pop().startswith("files-")
        fakes.resolved(str(inner), cache=cache).kernel()
        assert content(path).keys() - before.keys() == {"builds"}  # the mark of fake_kernels.tree()
        kernel_tree.mirror(inner, tmp_path / "mirror")
        assert {"Makefile", "kernel.c"} <= {file.name for file in (tmp_path / "mirror").iterdir()}

    @pytest.mark.parametrize("submodule", [True, False], ids=["submodule", "repository"])
    def test_a_repository_inside_a_tree_belongs_to_it(self, path: Path, tmp_path: Path, submodule: bool) -> None:
        driver = tmp_path / "driver"
        driver.mkdir()
        (driver / "driver.c").write_text("one")
        commit_all(driver)
        if submodule:
            git(path, "submodule", "--quiet", "add", str(driver), "driver")
            commit_all(path, "two")
            assert kernel_tree.identify(path) == head(path)
        else:
            git(path, "clone", "-q", str(driver), "driver")
        seen = {kernel_tree.identify(path)}
        for text in ("two", "three"):
            (path / "driver" / "driver.c").write_text(text)
            seen.add(kernel_tree.identify(path))
        commit_all(path / "driver", "four")
        seen.add(kernel_tree.identify(path))
        assert len(seen) == 4
        kernel_tree.mirror(path, tmp_path / "mirror")
        assert (tmp_path / "mirror" / "driver" / "driver.c").samefile(path / "driver" / "driver.c")
        assert not (tmp_path / "mirror" / "driver" / ".git").exists()


class TestGitItself:
    def test_a_tree_of_another_user(self, path: Path, play_git: Callable[[str], None]) -> None:
        """git has this variable for its own tests (setup.c, ensure_valid_ownership())."""
        wanted = head(path)
        play_git('GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec "$git" "$@"')
        refused = subprocess.run(
            ["git", "-C", str(path), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
        assert "ownership" in refused.stderr
        assert kernel_tree.identify(path) == wanted
        (path / "kernel.c").write_text("changed")
        assert kernel_tree.identify(path).startswith(f"{wanted}-dirty-")

    def test_a_git_that_refuses_the_tree_of_another_user(
        self, path: Path, tmp_path: Path, cache: Cache, play_git: Callable[[str], None]
    ) -> None:
        """As git 2.35 to 2.37 does, whatever its command line says."""
        play_git("echo 'fatal: unsafe repository' >&2; exit 128")
        assert kernel_tree.identify(path).startswith("files-")
        (path / ".config").touch()
        assert fakes.resolved(str(path), cache=cache).kernel().release == fakes.RELEASE
        assert builds(tmp_path) == 1

    @pytest.mark.parametrize("step", ["diff", "ls-files", "--git-path"])
    def test_a_step_of_git_that_fails_is_not_taken_for_no_change(
        self, path: Path, play_git: Callable[[str], None], step: str
    ) -> None:
        """As in a partial clone, where a file's old content is not there."""
        play_git(f'case " $* " in *" {step} "*) exit 128;; esac; exec "$git" "$@"')
        before = kernel_tree.identify(path)
        (path / "kernel.c").write_text("changed")
        assert before.startswith("files-")
        assert kernel_tree.identify(path) != before

    def test_without_git(self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
        before = kernel_tree.identify(path)
        assert before.startswith("files-")
        (path / "kernel.c").write_text("changed")
        assert kernel_tree.identify(path) != before
        kernel_tree.mirror(path, tmp_path / "mirror")
        assert not (tmp_path / "mirror" / ".git").exists()
        assert (tmp_path / "mirror" / "kernel.c").is_symlink()


class TestMirror:
    def test_it_has_what_git_knows_and_what_is_new(self, path: Path, tmp_path: Path) -> None:
        (path / "new.c").write_text("new")
        (path / "kernel.o").write_text("object")
        (path / "Kconfig").unlink()
        kernel_tree.mirror(path, tmp_path / "mirror")
        names = {file.name for file in (tmp_path / "mirror").iterdir()}
        assert {"new.c", "Makefile", "kernel.c"} <= names
        assert not names & {"kernel.o", ".git", "Kconfig"}

    def test_a_conflict_is_no_obstacle(self, path: Path, tmp_path: Path) -> None:
        git(path, "branch", "theirs")
        for branch, text in ((None, "ours"), ("theirs", "theirs")):
            if branch:
                git(path, "switch", "-q", branch)
            (path / "kernel.c").write_text(text)
            commit_all(path, text)
        with pytest.raises(subprocess.CalledProcessError):
            git(path, "merge", "-")
        assert kernel_tree.identify(path).startswith(f"{head(path)}-dirty-")
        kernel_tree.mirror(path, tmp_path / "mirror")
        assert (tmp_path / "mirror" / "kernel.c").is_symlink()
