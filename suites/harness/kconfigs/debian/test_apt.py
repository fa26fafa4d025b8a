# SPDX-License-Identifier: GPL-2.0-or-later
"""What apt offers: packages of kernels and of their source."""

from __future__ import annotations

import gzip
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from common.errors import KconformError, UsageError
from kconfigs.cache import Cache
from kconfigs.debian.apt import Apt
from kconfigs.kconfig import Config
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.debian.fake_apt import CLOUD, FakeApt, debian
from suites.harness.kconfigs.fake_kernels import PACKAGE

pytestmark = pytest.mark.usefixtures("_x86_64")


class TestSourcePackage:
    def test_the_newest_by_version_is_taken(self) -> None:
        fake = FakeApt(
            debian("linux-source-6.9", "6.9.1-1"),
            debian("linux-source-6.12", "6.12.117-1~deb12u1"),
            debian("linux-source-6.1", "6.1.192-2"),
            debian("linux-source-6.13-rt", "6.13-1"),
        )
        package = Apt(fake).newest_source()
        assert (package.name, package.version) == ("linux-source-6.12", "6.12.117-1~deb12u1")

    def test_its_name_is_short(self, tmp_path: Path) -> None:
        apt = Apt(FakeApt(debian("linux-source-6.12", "6.12.117-1~deb12u1")))
        source = fakes.resolved("source", apt=apt, cache=Cache(tmp_path)).source
        assert (source.name, source.builds, source.arch) == ("debian-6.12.117", True, "x86_64")

    def test_ubuntu_names_it_by_the_whole_version(self, tmp_path: Path) -> None:
        control = debian("linux-source-6.8.0", "6.8.0-45.45") | {"Maintainer": "U <k@lists.ubuntu.com>"}
        assert (
            fakes.resolved("source", apt=Apt(FakeApt(control)), cache=Cache(tmp_path)).source.name == "ubuntu-6.8.0"
        )

    @pytest.mark.parametrize("packed", ["xz", "bz2", "gz"])
    def test_the_tree_is_unpacked_once_and_the_package_is_gone(self, tmp_path: Path, packed: str) -> None:
        fakes.source_deb(tmp_path / "linux-source-6.12.deb", packed=packed)
        fake = FakeApt(debian("linux-source-6.12"), pool=tmp_path)
        cache = Cache(tmp_path / "cache")
        source = fakes.resolved("source", apt=Apt(fake), cache=cache)
        assert {path.name for path in source.tree().iterdir()} == {"Makefile", "Kconfig"}
        source.tree()
        assert sum("download" in call for call in fake.calls) == 1
        assert list(cache.root.rglob("*.deb")) == []

    def test_a_damaged_tarball_is_a_harness_error(self, tmp_path: Path) -> None:
        files = {"./usr/src/linux-source-6.12.tar.gz": gzip.compress(b"hello" * 1000)}
        fakes.deb(tmp_path / "linux-source-6.12.deb", {"Package": "linux-source-6.12"}, files)
        apt = Apt(FakeApt(debian("linux-source-6.12"), pool=tmp_path))
        with pytest.raises(KconformError, match="does not unpack: tar: ") as caught:
            fakes.resolved("source", apt=apt, cache=Cache(tmp_path / "cache")).kernel()
        assert caught.value.exit_status == 3

    def test_no_kernel_source_is_wrong_use(self) -> None:
        with pytest.raises(UsageError, match="no package with kernel source") as caught:
            Apt(FakeApt(debian("bash"))).newest_source()
        assert "--kernel" in caught.value.hint

    def test_without_apt_the_hint_names_other_specs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(UsageError, match="source needs apt, which this system lacks") as caught:
            fakes.resolved("source")
        assert "kernel tree" in caught.value.hint

    def test_a_fresh_machine_fetches_the_lists_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        fake = FakeApt(debian("linux-source-6.12"), lists=False)
        apt = Apt(fake)
        apt.newest_source()
        apt.newest_source()
        assert [call for call in fake.calls if "update" in call] == [["apt-get", "update", "-qq"]]

    def test_without_root_it_says_what_to_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(UsageError, match="no package lists") as caught:
            Apt(FakeApt(lists=False)).newest_source()
        assert caught.value.hint == "run: apt-get update"


class TestKernelPackage:
    def test_a_metapackage_is_followed_to_the_version_it_names(self) -> None:
        fake = FakeApt(
            debian(CLOUD, "6.12.7-1", f"{PACKAGE} (= 6.12.7-1)"),
            debian(PACKAGE, "6.12.7-2"),
            debian(PACKAGE, "6.12.7-1", "kmod, linux-base (>= 4.3~)"),
        )
        found = Apt(fake).kernel(CLOUD)
        assert (found.kernel.name, found.kernel.version) == (PACKAGE, "6.12.7-1")
        assert [package.name for package in found.all] == [PACKAGE]

    def test_a_separate_package_of_modules_is_included(self) -> None:
        fake = FakeApt(
            debian("linux-image-generic", "6.8", "linux-image-6.8.0-45-generic, linux-firmware"),
            debian("linux-image-6.8.0-45-generic", "6.8.0-45.45", "kmod, linux-modules-6.8.0-45-generic"),
            debian("linux-modules-6.8.0-45-generic", "6.8.0-45.45"),
        )
        found = Apt(fake).kernel("linux-image-generic")
        assert found.kernel.name == "linux-image-6.8.0-45-generic"
        assert {package.name for package in found.all} == {
            "linux-image-6.8.0-45-generic",
            "linux-modules-6.8.0-45-generic",
        }

    def test_image_modules_and_config_may_be_in_separate_packages(self) -> None:
        """As Debian has it today: the package that is called linux-image holds nothing itself."""
        kernel, exact = "7.3.4+deb14-amd64", "(= 7.3.4-1)"
        parts = [f"linux-{part}-{kernel}" for part in ("base", "binary", "modules")]
        fake = FakeApt(
            debian("linux-image-amd64", "7.3.4-1", f"linux-image-{kernel} {exact}"),
            debian(f"linux-image-{kernel}", "7.3.4-1", ", ".join(f"{part} {exact}" for part in parts)),
            *(debian(part, "7.3.4-1", "linux-base (>= 4.3~), kmod") for part in parts),
        )
        found = Apt(fake).kernel("linux-image-amd64")
        assert found.kernel.name == f"linux-binary-{kernel}"
        assert {package.name for package in found.all} == {f"linux-image-{kernel}", *parts}

    @pytest.mark.parametrize(
        ("spec", "message", "hint"),
        [
            ("deb:linux-image-claud-amd64", "knows no package linux-image-claud-amd64", CLOUD),
            (f"deb:{CLOUD}=9", f"no version 9 of {CLOUD}", f"deb:{CLOUD}=6.12.7-1"),
            ("deb:bash", "the package bash holds no kernel", "linux-image"),
        ],
    )
    def test_an_unknown_package_is_wrong_use(self, spec: str, message: str, hint: str, tmp_path: Path) -> None:
        fake = FakeApt(debian(CLOUD, depends=PACKAGE), debian(PACKAGE), debian("bash"))
        with pytest.raises(UsageError, match=message) as caught:
            fakes.resolved(spec, apt=Apt(fake), cache=Cache(tmp_path))
        assert hint in caught.value.hint

    def test_a_kernel_without_its_modules_is_another_entry_of_the_cache(self, tmp_path: Path) -> None:
        """What the package with the kernel is called does not tell whether its modules were named, too."""
        kernel, exact = fakes.RELEASE, "(= 6.12.7-1)"
        image, binary, modules = (f"linux-{part}-{kernel}" for part in ("image", "binary", "modules"))
        files = {f"./boot/vmlinuz-{kernel}": fakes.bzimage(), f"./boot/config-{kernel}": fakes.CONFIG.encode()}
        fakes.deb(tmp_path / f"{binary}.deb", {"Package": binary}, files)
        fakes.deb(tmp_path / f"{modules}.deb", {"Package": modules}, {f"./lib/modules/{kernel}/a.ko": b"module"})
        fakes.deb(tmp_path / f"{image}.deb", {"Package": image}, {"./usr/share/doc/x": b"no"})
        depends = f"{binary} {exact}, {modules} {exact}"
        apt = Apt(FakeApt(debian(image, depends=depends), debian(binary), debian(modules), pool=tmp_path))
        for spec, has_modules in ((f"deb:{binary}", False), (f"deb:{image}", True), (f"deb:{binary}", False)):
            found = fakes.resolved(spec, apt=apt, cache=Cache(tmp_path / "cache")).kernel()
            assert (found.modules is not None) == has_modules, spec

    def test_it_is_downloaded_and_unpacked_once(self, tmp_path: Path) -> None:
        fakes.kernel_deb(tmp_path / f"{PACKAGE}.deb", Version="6.12.7-1")
        fake = FakeApt(debian(CLOUD, depends=PACKAGE), debian(PACKAGE), pool=tmp_path)
        cache = Cache(tmp_path / "cache")
        source = fakes.resolved(f"deb:{CLOUD}", apt=Apt(fake), cache=cache)
        kernel = source.kernel("full")
        assert source.kernel() == kernel
        assert fakes.resolved(f"deb:{PACKAGE}", apt=Apt(fake), cache=cache).kernel().image == kernel.image
        assert sum("download" in call for call in fake.calls) == 1
        assert (source.source.name, kernel.id) == ("debian-6.12.7-fake", "debian-6.12.7-fake/shipped")
        assert (kernel.release, kernel.version, kernel.arch) == (fakes.RELEASE, (6, 12, 7), "x86_64")
        assert kernel.identity == f"{PACKAGE} 6.12.7-1"
        assert kernel.config == Config.parse(fakes.CONFIG)
        assert kernel.modules is not None
        assert [path.name for path in kernel.modules.rglob("*.ko")] == ["a.ko"]
        assert list(cache.root.rglob("*.deb")) == []

    def test_a_path_that_is_too_long_for_apt_is_not_given_to_it(self, tmp_path: Path) -> None:
        fakes.kernel_deb(tmp_path / f"{PACKAGE}.deb", Version="6.12.7-1")
        fake = FakeApt(debian(PACKAGE), pool=tmp_path)
        cache = Cache(tmp_path / ("long" * 50) / ("path" * 50))
        kernel = fakes.resolved(f"deb:{PACKAGE}", apt=Apt(fake), cache=cache).kernel()
        assert kernel.image.is_relative_to(cache.root)
        assert list(cache.root.rglob("*.deb")) == []

    def test_no_place_for_apt_is_wrong_use(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake = FakeApt(debian(PACKAGE), pool=tmp_path)
        cache = Cache(tmp_path / ("long" * 50) / ("path" * 50))
        monkeypatch.setattr(tempfile, "tempdir", str(cache.root))
        with pytest.raises(UsageError, match="longer than the 298 bytes that apt-get can handle"):
            fakes.resolved(f"deb:{PACKAGE}", apt=Apt(fake), cache=cache).kernel()

    def test_a_version_may_have_an_epoch(self, tmp_path: Path) -> None:
        fake = FakeApt(debian(PACKAGE, "1:6.12.7-1"), pool=tmp_path)
        fakes.kernel_deb(tmp_path / f"{PACKAGE}.deb", PACKAGE, Version="1:6.12.7-1")
        kernel = fakes.resolved(f"deb:{PACKAGE}", apt=Apt(fake), cache=Cache(tmp_path / "cache")).kernel()
        assert kernel.identity == f"{PACKAGE} 1:6.12.7-1"

    def test_a_missing_package_is_named_only_if_it_matters(self, tmp_path: Path) -> None:
        """An archive removes what is built from a source package with it, but not yet what was signed apart."""
        fakes.kernel_deb(tmp_path / f"{PACKAGE}.deb", with_config=False, Version="6.12.7-1")
        fake = FakeApt(debian(PACKAGE, depends="linux-base-6.12.7-fake"), pool=tmp_path)
        source = fakes.resolved(f"deb:{PACKAGE}", apt=Apt(fake), cache=Cache(tmp_path / "cache"))
        with pytest.raises(UsageError, match=r"the archive has removed linux-base-6\.12\.7-fake") as caught:
            source.kernel()
        assert "it has no configuration" in caught.value.message
        # With a config of its own it is not missed, whatever else is wrong.
        (tmp_path / "foreign").write_text("# Linux/x86 6.1.9 Kernel Configuration\nCONFIG_YAMA=y\n")
        spec, named = f"deb:{PACKAGE}", tmp_path / "foreign"
        with pytest.raises(UsageError, match=r"is the configuration of Linux 6\.1\.9") as caught:
            fakes.resolved(spec, apt=Apt(fake), cache=Cache(tmp_path / "cache"), kernel_config=named).kernel()
        assert "has removed" not in caught.value.message
        # What does without that part is a kernel as any other.
        fakes.kernel_deb(tmp_path / f"{PACKAGE}.deb", Version="6.12.7-1")
        whole = fakes.resolved(f"deb:{PACKAGE}", apt=Apt(fake), cache=Cache(tmp_path / "other"))
        assert whole.kernel().config == Config.parse(fakes.CONFIG)

    def test_a_version_that_was_asked_for_is_in_the_name(self, tmp_path: Path) -> None:
        fake = FakeApt(debian(PACKAGE, "6.12.7-1"))
        source = fakes.resolved(f"deb:{PACKAGE}=6.12.7-1", apt=Apt(fake), cache=Cache(tmp_path)).source
        assert source.name.endswith("6.12.7-1")

    def test_an_old_kernel_is_refused_before_the_download(self, tmp_path: Path) -> None:
        fake = FakeApt(debian("linux-image-4.19.0-27-amd64", "4.19.316-1"))
        with pytest.raises(UsageError, match=r"is Linux 4\.19\.0, and 5\.10 is the oldest that can be tested"):
            fakes.resolved("deb:linux-image-4.19.0-27-amd64", apt=Apt(fake), cache=Cache(tmp_path))

    def test_a_failed_download_is_a_harness_error(self, tmp_path: Path) -> None:
        source = fakes.resolved(
            f"deb:{PACKAGE}", apt=Apt(FakeApt(debian(PACKAGE), pool=tmp_path)), cache=Cache(tmp_path / "c")
        )
        with pytest.raises(KconformError, match="could not be downloaded: E: Failed to fetch  404") as caught:
            source.kernel()
        assert caught.value.exit_status == 3
        assert "apt-get update" in caught.value.hint

    def test_a_package_without_a_signature_is_refused(self, tmp_path: Path) -> None:
        class Unsigned(FakeApt):
            def download(self, *_: object) -> str:
                said = f"WARNING: The following packages cannot be authenticated!\n  {PACKAGE}\nE: Some packages ..."
                raise subprocess.CalledProcessError(100, "apt-get", "", said)

        source = fakes.resolved(f"deb:{PACKAGE}", apt=Apt(Unsigned(debian(PACKAGE))), cache=Cache(tmp_path))
        with pytest.raises(UsageError, match=f"{PACKAGE} 6.12.7-1 comes from an archive without a valid signature"):
            source.kernel()

    def test_another_architecture_is_refused_before_the_download(self, tmp_path: Path) -> None:
        fake = FakeApt(debian(PACKAGE) | {"Architecture": "mips64el"})
        with pytest.raises(UsageError, match="is a kernel for mips64el, which kconform cannot test yet"):
            fakes.resolved(f"deb:{PACKAGE}", apt=Apt(fake), cache=Cache(tmp_path))
