# SPDX-License-Identifier: GPL-2.0-or-later
"""The next build of a user's tree goes on with the objects of the last one, unless make would miss a change."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import flavors
from kconfigs.build import kbuild, kernel_build, kernel_tree
from kconfigs.build.build_job import Job
from kconfigs.build.kernel_build import build
from kconfigs.cache import Cache
from kconfigs.config_changes import parse_changes
from kconfigs.kconfig import Config
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.builds.fake_builds import MakeTree, builds

pytestmark = pytest.mark.usefixtures("_small_flavors")

SECOND = 1_000_000_000


def objects_of(cache: Cache) -> Path:
    [entry] = [entry for entry in cache.entries() if entry.kind == "objects"]
    return entry.path / "objects"


def edit(path: Path, *, later_s: int = 10) -> None:
    """Change a file, so many seconds after the present."""
    path.write_text(f"{path.read_text() if path.exists() else ''}/* changed */\n")
    now = path.stat().st_mtime_ns
    os.utime(path, ns=(now, now + later_s * SECOND))


@pytest.fixture
def kept(make_tree: MakeTree, cache: Cache, tmp_path: Path) -> Callable[[Callable[[Path], object]], bool]:
    """Builds a tree, changes it, builds it again, and tells whether that went on with the objects."""

    def run(change: Callable[[Path], object]) -> bool:
        tree = make_tree()
        (tree / "more.h").touch()
        fakes.resolved(str(tree), cache=cache).kernel()
        (objects_of(cache) / "main.o").touch()
        change(tree)
        fakes.resolved(str(tree), cache=cache).kernel()
        assert builds(tmp_path) == 2
        return (objects_of(cache) / "main.o").exists()

    return run


Kept = Callable[[Callable[[Path], object]], bool]


class TestGoingOn:
    def test_a_file_that_was_edited(self, kept: Kept) -> None:
        assert kept(lambda tree: edit(tree / "kernel.c"))

    def test_files_that_an_editor_leaves(self, kept: Kept) -> None:
        def change(tree: Path) -> None:
            edit(tree / "kernel.c")
            for name in (".kernel.c.swp", "kernel.c~", "kernel.c.orig"):
                (tree / name).touch()

        assert kept(change)


class TestConfiguring:
    @staticmethod
    def configured(job: Job, monkeypatch: pytest.MonkeyPatch) -> bool:
        """Builds, and tells whether Kconfig ran."""
        ran = []

        def configure(job: Job, objects: Path) -> Config:
            ran.append(job)
            return kbuild.configure(job, objects)

        with monkeypatch.context() as patched:
            patched.setattr(kernel_build, "configure", configure)
            build(job)
        return bool(ran)

    @pytest.fixture
    def job(self, make_tree: MakeTree, cache: Cache) -> Callable[[], Job]:
        tree = make_tree()

        def job() -> Job:
            opened = kernel_tree.open_tree(tree)
            return Job(opened, flavors.flavor("full"), "d", "tree", kernel_tree.identify(tree), cache)

        return job

    @pytest.mark.parametrize(("name", "again"), [("kernel.c", False), ("Kconfig", True), ("Makefile", True)])
    def test_kconfig_runs_again_if_its_files_have_changed(
        self, job: Callable[[], Job], monkeypatch: pytest.MonkeyPatch, name: str, again: bool
    ) -> None:
        build(job())
        path = job().tree.path / name
        path.write_text(path.read_text() + "\n")
        os.utime(path, ns=(now := path.stat().st_mtime_ns + 10 * SECOND, now))
        assert self.configured(job(), monkeypatch) == again

    def test_kconfig_runs_again_for_other_options(
        self, job: Callable[[], Job], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build(job())
        other = dataclasses.replace(job(), changes=parse_changes(["SECURITY_YAMA=n"]))
        assert self.configured(other, monkeypatch)

    def test_kconfig_runs_again_after_it_failed(
        self, job: Callable[[], Job], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It has left another .config there."""
        build(job())
        other = dataclasses.replace(job(), changes=parse_changes(["FUTURE2=y"]))
        with monkeypatch.context() as patched:
            patched.setattr(kbuild, "_check_asked", lambda *_: (_ for _ in ()).throw(UsageError("dropped")))
            with pytest.raises(UsageError):
                build(other)
        edit(job().tree.path / "kernel.c")
        assert self.configured(job(), monkeypatch)


class TestBeginningAnew:
    def test_a_file_with_an_old_time(self, kept: Kept) -> None:
        """make would take its object for finished."""
        assert not kept(lambda tree: edit(tree / "kernel.c", later_s=-3600))

    def test_a_file_that_another_has_replaced(self, kept: Kept) -> None:
        def change(tree: Path) -> None:
            other = tree.parent / "other.c"
            other.write_bytes(b" " * (tree / "kernel.c").stat().st_size)
            old = (tree / "kernel.c").stat()
            os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
            other.replace(tree / "kernel.c")
            edit(tree / "more.h")

        assert not kept(change)

    def test_a_new_file(self, kept: Kept) -> None:
        assert not kept(lambda tree: edit(tree / "new.h"))

    def test_a_file_that_is_gone(self, kept: Kept) -> None:
        assert not kept(lambda tree: (tree / "more.h").unlink())

    def test_a_link_out_of_the_tree(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        """What is there may change, and nobody remembers it."""
        tree = make_tree()
        (tmp_path / "elsewhere.c").write_text("int a;\n")
        (tree / "linked.c").symlink_to(tmp_path / "elsewhere.c")
        fakes.resolved(str(tree), cache=cache).kernel()
        (objects_of(cache) / "main.o").touch()
        edit(tree / "kernel.c")
        fakes.resolved(str(tree), cache=cache).kernel()
        assert not (objects_of(cache) / "main.o").exists()

    def test_a_build_that_was_killed(self, make_tree: MakeTree, cache: Cache) -> None:
        tree = make_tree()
        fakes.resolved(str(tree), cache=cache).kernel()
        (objects_of(cache) / "main.o").touch()
        (objects_of(cache).parent / "unfinished").touch()
        edit(tree / "kernel.c")
        fakes.resolved(str(tree), cache=cache).kernel()
        assert not (objects_of(cache) / "main.o").exists()


def test_a_mistake_costs_no_objects(make_tree: MakeTree, cache: Cache) -> None:
    """Whoever corrects what the compiler complains about waits only for what depends on that."""
    tree = make_tree()
    fakes.resolved(str(tree), cache=cache).kernel()
    (objects_of(cache) / "main.o").touch()
    (tree / "broken-source").touch()  # a new file, which costs the objects
    with pytest.raises(UsageError):
        fakes.resolved(str(tree), cache=cache).kernel()
    (objects_of(cache) / "main.o").touch()
    edit(tree / "kernel.c")
    with pytest.raises(UsageError):
        fakes.resolved(str(tree), cache=cache).kernel()
    assert (objects_of(cache) / "main.o").exists()


def test_a_config_of_the_users_own_has_no_kept_objects(make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
    tree = kernel_tree.open_tree(make_tree())
    (tmp_path / "config").write_text("CONFIG_SECURITY=y\nCONFIG_SECURITY_YAMA=y\nCONFIG_MODULES=y\n")
    identity = kernel_tree.identify(tree.path)
    job = Job(tree, flavors.flavor("full"), "d", "tree", identity, cache, own_config=tmp_path / "config")
    build(job)
    assert "objects" not in {entry.kind for entry in cache.entries()}


def test_two_trees_have_objects_of_their_own(make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
    for path in (make_tree(), fakes.tree(tmp_path / "other")):
        fakes.resolved(str(path), cache=cache).kernel()
    assert [entry.kind for entry in cache.entries()].count("objects") == 2
