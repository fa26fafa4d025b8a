# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel trees: their versions and identities, and that a build leaves them as they are."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.build import kept_objects, kernel_tree
from kconfigs.cache import Cache
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

    def test_reports_in_it_do_not_change_its_identity(self, make_tree: MakeTree) -> None:
        """`cd linux && kconform` makes them there."""
        path = make_tree()
        before, state = kernel_tree.identify(path), kept_objects.remember(path)
        (path / "kconform-reports" / "latest").mkdir(parents=True)
        (path / "kconform-reports" / "latest" / "results.json").write_text("{}")
        assert kernel_tree.identify(path) == before
        assert kept_objects.remember(path) == state

    def test_the_output_of_a_build_inside_it_does_not_change_its_identity(self, make_tree: MakeTree) -> None:
        path = make_tree()
        before = kernel_tree.identify(path)
        (path / "out" / "include" / "generated").mkdir(parents=True)
        (path / "out" / "include" / "generated" / "bounds.h").write_text("")
        (path / "out" / "source").symlink_to("..")
        assert kernel_tree.identify(path) == before
        (path / "out" / "source").unlink()
        assert kernel_tree.identify(path) != before

    @pytest.mark.parametrize("use", [kernel_tree.open_tree, kernel_tree.identify], ids=["open", "identify"])
    def test_a_tree_that_cannot_be_read_is_wrong_use(
        self, make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch, use: Callable[[Path], object]
    ) -> None:
        path = make_tree()

        def refuse(found: object, *_: object, **_options: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(found))

        monkeypatch.setattr(Path, "read_text", refuse)
        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(UsageError, match=r"linux.* cannot be read: Permission denied"):
            use(path)


class TestPaths:
    @pytest.mark.parametrize(
        "name", ["my tree", "a:b", "a#b", "a$b", "a%b", 'a"b', "a'b", "a\\b", "a\nb", "v(6)", "a&b", "trailing "]
    )
    def test_a_path_that_kbuild_refuses_is_built_elsewhere(self, tmp_path: Path, cache: Cache, name: str) -> None:
        path = fakes.tree(tmp_path / name)
        before = content(path)
        kernel = fakes.resolved(str(path), cache=cache).kernel()
        assert kernel.image.read_bytes() == fakes.bzimage()
        assert content(path) == before
        assert not (kernel.image.parent / "source").exists()

    @pytest.mark.parametrize("name", ["v6.12~rc1+2", "a,b=c@d", "grün"])
    def test_any_other_path_is_built_where_it_is(self, tmp_path: Path, cache: Cache, name: str) -> None:
        path = fakes.tree(tmp_path / name)
        assert not kernel_tree.open_tree(path).needs_mirror
        assert fakes.resolved(str(path), cache=cache).kernel().release == fakes.RELEASE

    def test_a_cache_with_such_a_path_is_wrong_use_before_anything_is_compiled(
        self, make_tree: MakeTree, tmp_path: Path
    ) -> None:
        with pytest.raises(
            UsageError, match=r"cannot be built in .*: Kbuild does not accept ' ' in a path"
        ) as caught:
            fakes.resolved(str(make_tree()), cache=Cache(tmp_path / "my cache")).kernel()
        assert "KCONFORM_CACHE" in caught.value.hint
        assert builds(tmp_path) == 0

    def test_a_link_to_a_tree_is_the_tree(self, make_tree: MakeTree, tmp_path: Path, cache: Cache) -> None:
        path = make_tree()
        (tmp_path / "current").symlink_to("linux")
        assert kernel_tree.identify(tmp_path / "current") == kernel_tree.identify(path)
        source = fakes.resolved(str(tmp_path / "current"), cache=cache)
        assert source.source.name == "linux-6.12.7"
        assert source.kernel().identity == fakes.resolved(str(path), cache=cache).kernel().identity
        assert builds(tmp_path) == 1


class TestLinks:
    """Links of a tree that lead out of it, as to drivers that are kept elsewhere."""

    @pytest.fixture
    def drivers(self, make_tree: MakeTree, tmp_path: Path) -> Path:
        path = make_tree()
        drivers = tmp_path / "drivers"
        drivers.mkdir()
        (drivers / "one.c").write_text("one")
        (path / "drivers").symlink_to("../drivers")
        (path / "one.c").symlink_to(drivers / "one.c")
        return drivers

    def test_what_they_lead_to_belongs_to_the_identity(self, drivers: Path, tmp_path: Path) -> None:
        before = kernel_tree.identify(tmp_path / "linux")
        (drivers / "one.c").write_text("another")
        assert kernel_tree.identify(tmp_path / "linux") != before

    def test_a_mirror_leads_to_the_same(self, drivers: Path, tmp_path: Path) -> None:
        (tmp_path / "linux" / "again.c").symlink_to("kernel.c")
        into = tmp_path / "elsewhere" / "mirror"
        kernel_tree.mirror(tmp_path / "linux", into)
        assert (into / "drivers" / "one.c").samefile(drivers / "one.c")
        assert (into / "one.c").samefile(drivers / "one.c")
        assert (into / "again.c").readlink() == Path("kernel.c")

    def test_a_link_that_leads_nowhere_is_kept(self, make_tree: MakeTree, tmp_path: Path) -> None:
        path = make_tree()
        for name, target in {"itself": "itself", "gone": "../gone", "above": "../.."}.items():
            (path / name).symlink_to(target)
        assert kernel_tree.identify(path) == kernel_tree.identify(path)
        kernel_tree.mirror(path, tmp_path / "mirror")
        assert {"itself", "gone", "above"} <= {file.name for file in (tmp_path / "mirror").iterdir()}

    def test_links_between_two_directories_end(self, drivers: Path, tmp_path: Path) -> None:
        (drivers / "back").symlink_to(tmp_path / "third")
        (tmp_path / "third").mkdir()
        (tmp_path / "third" / "back").symlink_to(drivers)
        assert kernel_tree.identify(tmp_path / "linux").startswith("files-")

    def test_the_output_of_a_build_is_not_looked_at(self, make_tree: MakeTree, tmp_path: Path) -> None:
        path, out = make_tree(), tmp_path / "out"
        out.mkdir()
        (path / "out").symlink_to(out)
        (out / "source").symlink_to(path)
        before = kernel_tree.identify(path)
        (out / "include.h").write_text("")
        assert kernel_tree.identify(path) == before
