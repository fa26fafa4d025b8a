# SPDX-License-Identifier: GPL-2.0-or-later
"""The config of a build: its flavor, the user's own, and whether objects are configured for it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import flavors
from kconfigs.build import kbuild, kernel_tree
from kconfigs.cache import Cache
from kconfigs.flavors import Flavor
from kconfigs.kconfig import parse_fragment
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.builds.fake_builds import FRAGMENT, MakeTree

pytestmark = pytest.mark.usefixtures("_small_flavors")


class TestConfigured:
    """An object directory that is kept, as that of the mutants is."""

    def test_configured_until_something_else_is_asked_for(
        self, make_tree: MakeTree, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        objects = tmp_path / "objects"
        job = kbuild.Job(kernel_tree.open_tree(make_tree()), flavors.flavor("full"), "d", "source", "1", cache)
        assert not kbuild.configured(job, objects)
        kbuild.configure(job, objects)
        assert kbuild.configured(job, objects)
        more = parse_fragment("small.config", FRAGMENT + "CONFIG_SECURITY_OTHER=y     # came later\n")
        monkeypatch.setattr(flavors, "fragment", lambda _: more)
        assert not kbuild.configured(job, objects)

    def test_a_failed_step_leaves_it_unconfigured(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        path = make_tree(dropped=["CONFIG_SECURITY=y"])
        job = kbuild.Job(kernel_tree.open_tree(path), flavors.flavor("full"), "d", "source", "1", cache)
        with pytest.raises(UsageError, match="drops 1"):
            kbuild.configure(job, tmp_path / "objects")
        assert not kbuild.configured(job, tmp_path / "objects")


class TestOwnConfig:
    """Flavor mine: the user's config, and what a guest needs laid over it."""

    OWN = "CONFIG_OWN=m\nCONFIG_SECURITY_YAMA=n\n"

    def test_the_trees_own_config(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        (path / ".config").write_text(self.OWN)
        source = fakes.resolved(str(path), cache=cache)
        kernel = source.kernel("mine")
        assert kernel.id == "linux-6.12.7/mine"
        assert (kernel.config["OWN"], kernel.config["SECURITY_YAMA"]) == ("m", "y")
        assert source.kernel("full").config["OWN"] == "n"
        assert (path / ".config").read_text() == self.OWN

    def test_a_named_config(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        path, named = make_tree(), tmp_path / "named.config"
        for number in (5, 6):
            named.write_text(f"CONFIG_OWN={number}\n")
            kernel = fakes.resolved(str(path), kernel_config=named, cache=cache).kernel("mine")
            assert kernel.config["OWN"] == str(number)

    def test_a_named_config_may_be_packed(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        named = tmp_path / "config.gz"
        named.write_bytes(gzip.compress(b"CONFIG_OWN=7\n"))
        kernel = fakes.resolved(str(make_tree()), kernel_config=named, cache=cache).kernel("mine")
        assert kernel.config["OWN"] == "7"

    def test_without_a_config_it_is_wrong_use(self, make_tree: MakeTree, cache: Cache) -> None:
        with pytest.raises(UsageError, match=r"linux has no \.config, which flavor mine needs") as caught:
            fakes.resolved(str(make_tree()), cache=cache).kernel("mine")
        assert "--kernel-config" in caught.value.hint


def test_a_flavor_is_a_stack_of_fragments() -> None:
    assert Flavor("x", "X.", ("base",), 1).asked((6, 12)).keys() == {"MODULES", "SECURITY", "SECURITY_YAMA"}
