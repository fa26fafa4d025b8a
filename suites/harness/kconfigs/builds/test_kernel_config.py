# SPDX-License-Identifier: GPL-2.0-or-later
"""The config of a build: its flavor, the user's own, and whether objects are configured for it."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import flavors
from kconfigs.build import kbuild, kernel_tree
from kconfigs.build.build_job import Job
from kconfigs.build.kernel_build import build
from kconfigs.cache import Cache
from kconfigs.config_changes import parse_changes
from kconfigs.fetch import fetch
from kconfigs.flavors import Flavor
from kconfigs.kconfig import parse_fragment
from kconfigs.kernel import Kernel
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.builds.fake_builds import FRAGMENT, MakeTree, builds

pytestmark = pytest.mark.usefixtures("_small_flavors")


class TestConfigured:
    """An object directory that is kept, as that of the mutants is."""

    def test_configured_until_something_else_is_asked_for(
        self, make_tree: MakeTree, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        objects = tmp_path / "objects"
        job = Job(kernel_tree.open_tree(make_tree()), flavors.flavor("full"), "d", "source", "1", cache)
        assert not kbuild.configured(job, objects)
        kbuild.configure(job, objects)
        assert kbuild.configured(job, objects)
        more = parse_fragment("small.config", FRAGMENT + "CONFIG_SECURITY_OTHER=y     # came later\n")
        monkeypatch.setattr(flavors, "fragment", lambda _: more)
        assert not kbuild.configured(job, objects)

    def test_a_failed_step_leaves_it_unconfigured(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        path = make_tree(dropped=["CONFIG_SECURITY=y"])
        job = Job(kernel_tree.open_tree(path), flavors.flavor("full"), "d", "source", "1", cache)
        with pytest.raises(UsageError, match="drops 1"):
            kbuild.configure(job, tmp_path / "objects")
        assert not kbuild.configured(job, tmp_path / "objects")


class TestChanges:
    """--config, over a flavor."""

    def changed(self, path: Path, cache: Cache, *texts: str, allow_dropped: bool = False) -> Kernel:
        source = fakes.resolved(str(path), cache=cache).source
        return fetch(replace(source, changes=parse_changes(texts), allow_dropped=allow_dropped), "full", cache=cache)

    def test_they_overrule_the_flavor(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        path = make_tree()
        plain = fakes.resolved(str(path), cache=cache).kernel("full")
        kernel = self.changed(path, cache, "SECURITY_YAMA=n", "OWN=5")
        assert kernel.id == "linux-6.12.7/full+SECURITY_YAMA=n+OWN=5"
        assert (kernel.config["SECURITY_YAMA"], kernel.config["OWN"]) == ("n", "5")
        assert (plain.config["SECURITY_YAMA"], plain.digest) != ("n", kernel.digest)
        assert builds(tmp_path) == 2

    def test_a_change_that_kconfig_does_not_keep_is_wrong_use(self, make_tree: MakeTree, cache: Cache) -> None:
        """Even if the user allows lost options: nothing would be tested of what was asked for."""
        path = make_tree(dropped=["CONFIG_SECURITY_OTHER=y"])
        for allowed in (False, True):
            with pytest.raises(UsageError, match=r"(?s)with these changes, Kconfig drops 1 of .*SECURITY_OTHER=y"):
                self.changed(path, cache, "SECURITY_OTHER=y", allow_dropped=allowed)

    def test_what_they_take_away_from_the_flavor_may_be_allowed(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree(dropped=["CONFIG_SECURITY_YAMA=y"])
        with pytest.raises(UsageError, match="SECURITY_YAMA=y came out as n") as caught:
            self.changed(path, cache, "SECURITY=n")
        assert "--allow-dropped" in caught.value.hint
        kernel = self.changed(path, cache, "SECURITY=n", allow_dropped=True)
        assert "Kconfig did not keep CONFIG_SECURITY_YAMA " in kernel.lost_options
        with pytest.raises(UsageError, match="does not keep 1 options of full"):
            self.changed(path, cache, "SECURITY=n")

    def test_options_of_a_file_may_be_lost(self, make_tree: MakeTree, cache: Cache, tmp_path: Path) -> None:
        """The kernel's debug.config names some that depend on the architecture; the report says which were lost."""
        path, debug = make_tree(dropped=["CONFIG_SECURITY_OTHER=y"]), tmp_path / "debug.config"
        debug.write_text("CONFIG_SECURITY_OTHER=y\nCONFIG_OWN=5\n")
        with pytest.raises(UsageError, match="SECURITY_OTHER=y came out as n"):
            self.changed(path, cache, str(debug))
        kernel = self.changed(path, cache, str(debug), allow_dropped=True)
        assert kernel.config["OWN"] == "5"
        assert "Kconfig did not keep CONFIG_SECURITY_OTHER " in kernel.lost_options
        for once_more in (str(debug), "OWN=5"):
            with pytest.raises(UsageError, match="SECURITY_OTHER=y came out as n"):
                self.changed(path, cache, once_more, "SECURITY_OTHER=y", allow_dropped=True)


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

    def test_options_that_kconfig_refuses_stop_the_build(
        self, make_tree: MakeTree, cache: Cache, tmp_path: Path
    ) -> None:
        """Each is named with its reason, before anything is compiled; unknown options are only counted."""
        path = make_tree(dropped=["CONFIG_SECURITY_OTHER=y", "CONFIG_OF_ANOTHER_VERSION=y"])
        (path / ".config").write_text("CONFIG_SECURITY_OTHER=y\nCONFIG_OF_ANOTHER_VERSION=y\n")
        source = fakes.resolved(str(path), cache=cache)
        with pytest.raises(UsageError, match=r"does not keep 1 options of .*config") as caught:
            source.kernel("mine")
        assert "CONFIG_SECURITY_OTHER=y came out as n: " in caught.value.message
        assert "OF_ANOTHER_VERSION" not in caught.value.message
        assert "--allow-dropped" in caught.value.hint
        assert builds(tmp_path) == 0

    @pytest.mark.parametrize(
        ("more", "once"),
        [("", True), ("CONFIG_WERROR=y\n", False), ("CONFIG_DRM_WERROR=y\n", False), ("CONFIG_WERROR=n\n", True)],
        ids=["no-option", "WERROR", "DRM_WERROR", "turned-off"],
    )
    def test_where_warnings_are_errors_ccache_compiles_the_source(
        self, make_tree: MakeTree, cache: Cache, more: str, once: bool
    ) -> None:
        """What was preprocessed has lost its macros, and a compiler warns of what comes from one."""
        path = make_tree()
        (path / ".config").write_text(self.OWN + more)
        kernel = fakes.resolved(str(path), cache=cache).kernel("mine")
        log = kernel.image.with_name("build.log").read_text()
        assert ("nocpp2: 1." in log, "nocpp2: ." in log) == (once, not once)

    def test_and_where_clang_compiles(
        self, make_tree: MakeTree, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In Kbuild's own programs, warnings are always errors."""
        monkeypatch.setenv("LLVM", "1")
        kernel = fakes.resolved(str(make_tree()), cache=cache).kernel("full")
        assert "nocpp2: ." in kernel.image.with_name("build.log").read_text()

    def test_a_warning_that_is_an_error_names_the_option(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        makefile = path / "Makefile"
        makefile.write_text(makefile.read_text().replace("expected semicolon", "unused variable [-Werror=unused]"))
        (path / "broken-source").write_text("")
        (path / ".config").write_text(f"{self.OWN}CONFIG_WERROR=y\nCONFIG_KVM_WERROR=y\n")
        with pytest.raises(UsageError, match="could not be compiled") as caught:
            fakes.resolved(str(path), cache=cache).kernel("mine")
        hint = "--config=KVM_WERROR=n --config=WERROR=n lets warnings pass; the whole output is in "
        assert caught.value.hint.startswith(hint)

    def test_a_failed_build_with_the_users_config_is_wrong_use(
        self, make_tree: MakeTree, cache: Cache, tmp_path: Path
    ) -> None:
        """The distribution's source is known to build with kconform's own."""
        path, named = make_tree(), tmp_path / "named.config"
        (path / "broken-source").write_text("")
        named.write_text(self.OWN)
        tree, flavor = kernel_tree.open_tree(path), flavors.flavor("mine")
        job = Job(tree, flavor, "d", "source", "1", cache, is_users_tree=False, own_config=named)
        with pytest.raises(UsageError, match="could not be compiled"):
            build(job)

    def test_they_may_be_allowed(self, make_tree: MakeTree, cache: Cache) -> None:
        """The kernel says what it lacks; a later run that does not allow it is refused, although it is built."""
        path = make_tree(dropped=["CONFIG_SECURITY_OTHER=y", "CONFIG_OF_ANOTHER_VERSION=y"])
        (path / ".config").write_text("CONFIG_SECURITY_OTHER=y\nCONFIG_OF_ANOTHER_VERSION=y\n")
        source = fakes.resolved(str(path), cache=cache).source
        kernel = fetch(replace(source, allow_dropped=True), "mine", cache=cache)
        assert "1 options of its config are unknown to this kernel" in kernel.lost_options
        assert "Kconfig did not keep CONFIG_SECURITY_OTHER" in kernel.lost_options
        with pytest.raises(UsageError, match="does not keep 1 options"):
            fetch(source, "mine", cache=cache)

    def test_a_kernel_with_all_of_its_options_says_nothing(self, make_tree: MakeTree, cache: Cache) -> None:
        path = make_tree()
        (path / ".config").write_text(self.OWN)
        assert fakes.resolved(str(path), cache=cache).kernel("mine").lost_options == ""

    @pytest.mark.parametrize(
        ("config", "modules"),
        [
            ("CONFIG_OWN=y\n", None),
            ("CONFIG_OWN=m\nCONFIG_TEST_LKM=m\nCONFIG_TEST_FIRMWARE=y\n", ["test_module.ko"]),
            ("CONFIG_TEST_LKM=m\nCONFIG_TEST_FIRMWARE=m\n", ["test_firmware.ko", "test_module.ko"]),
        ],
    )
    def test_only_modules_that_guests_load_are_built(
        self, make_tree: MakeTree, cache: Cache, config: str, modules: list[str] | None
    ) -> None:
        """A distribution's config has thousands, and the build would take hours."""
        path = make_tree()
        (path / ".config").write_text(config)
        kernel = fakes.resolved(str(path), cache=cache).kernel("mine")
        assert (sorted(each.name for each in kernel.modules.iterdir()) if kernel.modules else None) == modules

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ('SYSTEM_TRUSTED_KEYS="debian/certs/keys.pem"', "CONFIG_SYSTEM_TRUSTED_KEYS: debian/certs/keys.pem"),
            ('SYSTEM_REVOCATION_KEYS="/none.pem"', "CONFIG_SYSTEM_REVOCATION_KEYS: /none.pem"),
            ('MODULE_SIG=y\nCONFIG_MODULE_SIG_KEY="mine.pem"', "CONFIG_MODULE_SIG_KEY: mine.pem"),
            ('INITRAMFS_SOURCE="there none.cpio"', "CONFIG_INITRAMFS_SOURCE: none.cpio"),
            ('EXTRA_FIRMWARE="none.bin"', "CONFIG_EXTRA_FIRMWARE: /lib/firmware/none.bin"),
        ],
    )
    def test_files_that_are_not_there_stop_the_build(
        self, make_tree: MakeTree, cache: Cache, tmp_path: Path, line: str, said: str
    ) -> None:
        path = make_tree()
        (path / "there").touch()
        (path / ".config").write_text(f"CONFIG_{line}\n")
        with pytest.raises(UsageError) as caught:
            fakes.resolved(str(path), cache=cache).kernel("mine")
        assert caught.value.message.splitlines()[1:] == [f"    {said}"]
        assert f" --config={said.removeprefix('CONFIG_').partition(':')[0]}=" in caught.value.hint
        assert builds(tmp_path) == 0

    @pytest.mark.parametrize(
        "line",
        [
            'SYSTEM_TRUSTED_KEYS=""',
            'SYSTEM_TRUSTED_KEYS="there"',
            'MODULE_SIG=y\nCONFIG_MODULE_SIG_KEY="certs/signing_key.pem"',
            'MODULE_SIG=y\nCONFIG_MODULE_SIG_KEY="pkcs11:token=x"',
            'MODULE_SIG_KEY="mine.pem"',
            'INITRAMFS_SOURCE=""',
        ],
    )
    def test_files_that_are_there_or_made(self, make_tree: MakeTree, cache: Cache, line: str) -> None:
        path = make_tree()
        (path / "there").touch()
        (path / ".config").write_text(f"CONFIG_{line}\n")
        assert fakes.resolved(str(path), cache=cache).kernel("mine").flavor == "mine"

    def test_without_a_config_it_is_wrong_use(self, make_tree: MakeTree, cache: Cache) -> None:
        with pytest.raises(UsageError, match=r"linux has no \.config, which flavor mine needs") as caught:
            fakes.resolved(str(make_tree()), cache=cache).kernel("mine")
        assert "--kernel-config" in caught.value.hint


def test_a_flavor_is_a_stack_of_fragments() -> None:
    assert Flavor("x", "X.", ("base",), 1).asked((6, 12)).keys() == {"MODULES", "SECURITY", "SECURITY_YAMA"}
