# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel trees: their versions and identities, and that a build leaves them as they are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from common.errors import UsageError
from common.git import environment as git_environment
from kconfigs.build import kernel_tree
from kconfigs.cache import Cache
from reports.run import environment
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.builds.fake_builds import MakeTree, builds, content

pytestmark = pytest.mark.usefixtures("_small_flavors")


class TestTree:
    def test_a_directory_that_is_not_a_tree_is_refused(self, tmp_path: Path, cache: Cache) -> None:
        (tmp_path / "Makefile").write_text("all:\n")
        with pytest.raises(UsageError, match="not a kernel tree"):
            fakes.resolved(str(tmp_path), cache=cache)

    def test_a_release_candidate_has_its_own_name(self, make_tree: MakeTree) -> None:
        path = make_tree()
        makefile = path / "Makefile"
        makefile.write_text(makefile.read_text().replace("EXTRAVERSION =\n", "EXTRAVERSION = -rc3\n"))
        found = kernel_tree.open_tree(path)
        assert (found.version, found.text_version) == ((6, 12, 7), "6.12.7-rc3")

    def test_a_tree_is_left_as_it_was(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        before = content(path)
        fakes.resolved(str(path), cache=cache).kernel()
        assert content(path) == before

    def test_a_tree_that_was_built_in_place_is_built_elsewhere(
        self, make_tree: MakeTree, cache: Cache, tmp_path: Path
    ) -> None:
        path = make_tree()
        (path / ".config").write_text("CONFIG_MINE=y\n")
        (path / "kernel.o").write_text("object")
        # Kbuild refuses a source tree with a .config in it.
        makefile = path / "Makefile"
        refusal = "allnoconfig:\n\t@test ! -e .config -a ! -e kernel.o\n\t@test -e kernel.c\n"
        makefile.write_text(makefile.read_text().replace("allnoconfig:\n", refusal))
        before = content(path)
        kernel = fakes.resolved(str(path), cache=cache).kernel()
        assert content(path) == before
        assert builds(tmp_path) == 1
        assert not (kernel.image.parent / "source").exists()

    def test_products_of_a_build_do_not_change_its_identity(self, make_tree: MakeTree) -> None:
        path = make_tree()
        before = kernel_tree.identify(path)
        for name in ("kernel.o", "vmlinux", ".config", "System.map", ".kernel.o.cmd", "a.ko", "a.mod.c"):
            (path / name).write_text("")
        (path / "include" / "config").mkdir(parents=True)
        (path / "include" / "config" / "auto.conf").write_text("")
        assert kernel_tree.identify(path) == before
        (path / "vmlinux.lds.S").write_text("")
        assert kernel_tree.identify(path) != before


def git(path: Path, *arguments: str) -> str:
    """Run git in a directory, and in no other repository, even if a hook of one runs this test."""
    identity = ["-c", "user.name=us", "-c", "user.email=us@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=path,
        capture_output=True,
        text=True,
        check=True,
        env=git_environment(),
    )
    return done.stdout.strip()


class TestGit:
    @pytest.fixture
    def path(self, make_tree: MakeTree) -> Path:
        path = make_tree()
        (path / ".gitignore").write_text("*.o\n.config\n")
        git(path, "init", "-q")
        git(path, "add", ".")
        git(path, "commit", "-q", "-m", "one")
        return path

    def test_its_identity_is_the_commit(self, path: Path) -> None:
        assert kernel_tree.identify(path) == git(path, "rev-parse", "HEAD")[:12]

    def test_different_changes_have_different_identities(self, path: Path) -> None:
        seen = {kernel_tree.identify(path)}
        for name, text in (("kernel.c", "one"), ("kernel.c", "two"), ("new.c", "one"), ("new.c", "two")):
            (path / name).write_text(text)
            seen.add(kernel_tree.identify(path))
        assert len(seen) == 5
        assert sum("-dirty-" in identity for identity in seen) == 4
        (path / "kernel.o").write_text("ignored")
        assert kernel_tree.identify(path) in seen

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
        monkeypatch.setenv("GIT_DIR", str(other / ".git"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
        if worktree:
            monkeypatch.setenv("GIT_WORK_TREE", str(other))
        assert kernel_tree.identify(path) == before
        assert environment.suite(path).commit == commit

    def test_its_path_and_its_files_may_have_any_names(self, path: Path) -> None:
        moved = path.with_name(os.fsdecode(b"caf\xe9"))
        path.rename(moved)
        (moved / os.fsdecode(b"caf\xe9.c")).write_text("new")
        assert "-dirty-" in kernel_tree.identify(moved)
        kernel_tree.mirror(moved, moved.with_name("mirror"))
        assert (moved.with_name("mirror") / os.fsdecode(b"caf\xe9.c")).exists()
        (moved / ".git").rename(moved.with_name("git"))
        assert kernel_tree.identify(moved).startswith("files-")

    def test_looking_does_not_touch_the_repository(self, path: Path) -> None:
        os.utime(path / "kernel.c")
        before = content(path)
        kernel_tree.identify(path)
        assert content(path) == before

    def test_a_tree_inside_another_repository_is_identified_by_its_files(self, path: Path) -> None:
        inner = fakes.tree(path / "inner")
        assert kernel_tree.identify(inner).startswith("files-")

    def test_its_mirror_has_what_git_knows_and_what_is_new(self, path: Path, tmp_path: Path) -> None:
        (path / "new.c").write_text("new")
        (path / "kernel.o").write_text("object")
        (path / "Kconfig").unlink()
        kernel_tree.mirror(path, tmp_path / "mirror")
        names = {file.name for file in (tmp_path / "mirror").iterdir()}
        assert {"new.c", "Makefile", "kernel.c"} <= names
        assert not names & {"kernel.o", ".git", "Kconfig"}
