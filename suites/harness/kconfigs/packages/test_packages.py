# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels in packages: the same image, configuration and modules, whatever they are packed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel
from kconfigs.kernel_requests import KernelRequest
from kconfigs.planned_kernels import plan
from kconfigs.spec import PathSpec, parse
from suites.harness.hostile_files import packed
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.fake_kernels import CONFIG, RELEASE, bzimage
from suites.harness.kconfigs.packages.fake_packages import (
    IMAGE,
    INSTALLED,
    MODULE,
    MODULES,
    WITH_MODULES,
    apk,
    apk_files,
    arch_package,
    kernel_rpm,
    pkginfo,
    tar_of,
)

Packages = Callable[..., Kernel]
USR = {f"usr/{name}": content for name, content in (WITH_MODULES | MODULE).items()}
ALPINE = {"boot/vmlinuz-lts": IMAGE, f"boot/config-{RELEASE}": CONFIG.encode(), **MODULE}


@pytest.mark.parametrize(
    ("name", "content", "called"),
    [
        ("k.deb", None, "debian-6.12.7-fake"),
        ("k.rpm", lambda: kernel_rpm(WITH_MODULES | MODULE), "fedora-6.12.7-200.fc41"),
        ("k.rpm", lambda: kernel_rpm(WITH_MODULES | MODULE, "xz", name="kernel-rt-core"),
            "fedora-6.12.7-200.fc41-rt"),
        ("k.rpm", lambda: kernel_rpm(USR, "gzip", name="kernel-default", vendor="SUSE LLC <https://www.suse.com/>"),
            "suse-6.12.7-200.fc41-default"),
        ("k.rpm", lambda: kernel_rpm(INSTALLED | MODULE, "bzip2", name="kernel", vendor="Me", release="1"),
            "rpm-6.12.7-1"),
        ("linux-1-x86_64.pkg.tar.zst", lambda: arch_package(USR), "arch-6.12.7.arch1-1"),
        ("linux.pkg.tar.xz", lambda: arch_package(
            USR, pkginfo(pkgname="linux-upstream", pkgver="6.12.7_fake-1", arch="x86_64"), "xz"),
            "pacman-6.12.7_fake-1-upstream"),
        ("linux-lts-6.12.7-r0.apk", lambda: apk(*apk_files(ALPINE)), "alpine-6.12.7-r0-lts"),
        ("linux-6.12.7-x86.tar.xz", lambda: packed("xz", tar_of(INSTALLED | MODULE)), "linux-6.12.7-x86"),
        ("linux-6.12.7-x86.tar.zst", lambda: packed("zstd", tar_of(INSTALLED | MODULE)), "linux-6.12.7-x86"),
        ("linux-6.12.7-x86.tar.gz", lambda: packed("gzip", tar_of(INSTALLED | MODULE)), "linux-6.12.7-x86"),
        ("linux-6.12.7-x86.tar", lambda: tar_of(INSTALLED | MODULE), "linux-6.12.7-x86"),
    ],
    ids=[
        "debian", "fedora", "rhel-realtime", "suse", "binrpm-pkg", "arch", "pacman-pkg", "alpine", "tarxz-pkg",
        "tarzst-pkg", "targz-pkg", "dir-pkg",
    ],
)  # fmt: skip
def test_a_package_is_a_kernel(tmp_path: Path, name: str, content: Callable[[], bytes] | None, called: str) -> None:
    path = tmp_path / name
    if content is None:
        fakes.kernel_deb(path)
    else:
        path.write_bytes(content())
    kernel = fakes.resolved(str(path), cache=Cache(tmp_path / "cache")).kernel()
    assert (kernel.name, kernel.release, kernel.arch) == (called, RELEASE, "x86_64")
    assert kernel.image.read_bytes() == IMAGE
    assert kernel.config == Config.parse(CONFIG)
    assert kernel.modules is not None
    assert (kernel.modules / "kernel/fs/a.ko").read_bytes() == b"module"


class TestSeveralFiles:
    """Fedora has the modules in a package of their own, and Ubuntu the configuration too."""

    @pytest.mark.parametrize("order", [1, -1], ids=["image-first", "modules-first"])
    def test_they_are_one_kernel(self, kernel_of: Packages, order: int) -> None:
        files = {
            "kernel_core__rpm": kernel_rpm(WITH_MODULES),
            "kernel_modules__rpm": kernel_rpm(MODULE, name="kernel-modules-core"),
        }
        kernel = kernel_of(**dict(list(files.items())[::order]))
        assert kernel.name == "fedora-6.12.7-200.fc41"
        assert kernel.identity == "kernel-core 6.12.7-200.fc41 + kernel-modules-core 6.12.7-200.fc41"
        assert kernel.modules is not None
        assert kernel.config == Config.parse(CONFIG)

    def test_image_and_modules_of_ubuntu(self, tmp_path: Path) -> None:
        config, image = f"./boot/config-{RELEASE}", f"./boot/vmlinuz-{RELEASE}"
        maintainer = {"Maintainer": "Ubuntu <kernel@lists.ubuntu.com>"}
        image_deb = fakes.deb(
            tmp_path / "a.deb", {"Package": f"linux-image-unsigned-{RELEASE}", **maintainer}, {image: IMAGE}
        )
        modules = fakes.deb(
            tmp_path / "b.deb",
            {"Package": f"linux-modules-{RELEASE}", **maintainer},
            {config: CONFIG.encode(), f"./{MODULES}/a.ko": b"module"},
        )
        kernel = fakes.resolved(f"{modules},{image_deb}", cache=Cache(tmp_path / "cache")).kernel()
        assert kernel.id == "ubuntu-6.12.7-fake/shipped"
        assert kernel.config == Config.parse(CONFIG)
        assert kernel.modules is not None

    def test_the_config_may_come_with_the_headers(self, kernel_of: Packages) -> None:
        """Arch's kernel has it inside too; one that somebody built need not.  The headers themselves stay packed."""
        image = {f"usr/{MODULES}/vmlinuz": IMAGE}
        build = {f"usr/{MODULES}/build/.config": CONFIG.encode(), f"usr/{MODULES}/build/Makefile": b"all:"}
        info = pkginfo(pkgname="linux-headers", pkgver="6.12.7-1", arch="x86_64")
        kernel = kernel_of(a__pkg__tar__zst=arch_package(build, info), b__pkg__tar__zst=arch_package(image))
        assert kernel.config == Config.parse(CONFIG)
        assert kernel.modules is None
        assert kernel.name == "arch-6.12.7.arch1-1"

    def test_modules_of_another_version_are_refused(self, kernel_of: Packages) -> None:
        with pytest.raises(UsageError, match=rf"has modules of 6\.1\.0, and the kernel is {RELEASE}") as caught:
            kernel_of(a__rpm=kernel_rpm(WITH_MODULES), b__rpm=kernel_rpm({"lib/modules/6.1.0/a.ko": b""}))
        assert "of the same version" in caught.value.hint

    def test_modules_alone_are_no_kernel(self, kernel_of: Packages) -> None:
        with pytest.raises(UsageError, match="holds no kernel"):
            kernel_of(a__rpm=kernel_rpm(MODULE, name="kernel-modules"))

    def test_another_second_file_is_unpacked_again(self, tmp_path: Path) -> None:
        """The same first file with other modules is another entry of the cache."""
        (tmp_path / "a.rpm").write_bytes(kernel_rpm(WITH_MODULES))
        (tmp_path / "b.rpm").write_bytes(kernel_rpm(MODULE))
        cache = Cache(tmp_path / "cache")
        assert fakes.resolved(f"{tmp_path}/a.rpm", cache=cache).kernel().modules is None
        assert fakes.resolved(f"{tmp_path}/a.rpm,{tmp_path}/b.rpm", cache=cache).kernel().modules is not None

    def test_with_and_without_modules_are_two_kernels_of_a_run(self, tmp_path: Path) -> None:
        (tmp_path / "a.rpm").write_bytes(kernel_rpm(WITH_MODULES))
        (tmp_path / "b.rpm").write_bytes(kernel_rpm(MODULE))
        found = plan(
            [KernelRequest(parse(f"{tmp_path}/a.rpm")), KernelRequest(parse(f"{tmp_path}/a.rpm,{tmp_path}/b.rpm"))]
        )
        assert [one.name for one in found] == ["fedora-6.12.7-200.fc41", "fedora-6.12.7-200.fc41-2"]


def test_a_package_without_a_config_says_what_to_do(kernel_of: Packages) -> None:
    with pytest.raises(UsageError, match=r"k\.rpm has no configuration, and none inside its image") as caught:
        kernel_of(k__rpm=kernel_rpm({f"{MODULES}/vmlinuz": IMAGE}))
    assert "after a comma" in caught.value.hint


class TestSpec:
    def test_names_may_be_too_long_to_be_one(self) -> None:
        names = [f"{letter * 200}.rpm" for letter in "ab"]
        assert parse(",".join(names)) == PathSpec(",".join(names), Path(names[0]), (Path(names[1]),))

    def test_files_are_joined_by_commas(self) -> None:
        assert parse("a.rpm,b.rpm") == PathSpec("a.rpm,b.rpm", Path("a.rpm"), (Path("b.rpm"),))

    def test_a_path_may_have_a_comma(self, tmp_path: Path) -> None:
        path = tmp_path / "a,b.rpm"
        path.write_bytes(b"")
        assert parse(str(path)) == PathSpec(str(path), path)

    def test_those_in_a_file_are_relative_to_it(self, tmp_path: Path) -> None:
        for name in ("a.rpm", "b.rpm"):
            (tmp_path / name).write_bytes(b"")
        text = f"{tmp_path}/a.rpm,{tmp_path}/b.rpm"
        assert parse("a.rpm,b.rpm", tmp_path) == PathSpec(text, tmp_path / "a.rpm", (tmp_path / "b.rpm",))

    def test_a_file_that_is_missing_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.rpm").write_bytes(kernel_rpm(WITH_MODULES))
        with pytest.raises(UsageError, match=r"there is no kernel at .*/b\.rpm"):
            fakes.resolved(f"{tmp_path}/a.rpm,{tmp_path}/b.rpm", cache=Cache(tmp_path / "cache"))

    @pytest.mark.parametrize("text", ["a.rpm,", ",a.rpm", "a.rpm,,b.rpm"])
    def test_a_comma_needs_two_files(self, text: str) -> None:
        with pytest.raises(UsageError, match="lacks a file beside a comma"):
            parse(text)

    def test_only_packages_are_joined(self, tmp_path: Path) -> None:
        (tmp_path / "bzImage").write_bytes(bzimage(config=CONFIG))
        (tmp_path / "b.rpm").write_bytes(kernel_rpm(MODULE))
        with pytest.raises(UsageError, match="bzImage is not a package file"):
            fakes.resolved(f"{tmp_path}/bzImage,{tmp_path}/b.rpm", cache=Cache(tmp_path / "cache"))


def test_vmlinux_for_debuggers_is_not_the_image(kernel_of: Packages) -> None:
    """`make tarxz-pkg` adds it."""
    files: Mapping[str, bytes] = {f"boot/vmlinux-{RELEASE}": b"\x7fELF", **INSTALLED, **MODULE}
    assert kernel_of(k__tar=tar_of(files)).image.name == f"vmlinuz-{RELEASE}"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("k.rpm", lambda: kernel_rpm(WITH_MODULES, arch="noarch")),
        ("k.pkg.tar.zst", lambda: arch_package(USR, pkginfo(pkgname="linux", pkgver="1-1", arch="any"))),
        ("k.apk", lambda: apk(*apk_files(ALPINE), info=pkginfo(pkgname="linux", pkgver="1-r1", arch="noarch"))),
    ],
    ids=["rpm", "arch", "alpine"],
)
def test_a_package_for_all_architectures_is_refused(
    refused: Callable[[str, bytes], UsageError], name: str, content: Callable[[], bytes]
) -> None:
    assert "it is for all architectures" in refused(name, content()).message


@pytest.mark.parametrize(
    ("name", "content", "arch"),
    [
        ("k.rpm", lambda: kernel_rpm(WITH_MODULES, arch="i686"), "i386"),
        ("k.rpm", lambda: kernel_rpm(WITH_MODULES, arch="i586"), "i386"),
        ("k.rpm", lambda: kernel_rpm(WITH_MODULES, arch="armv7hl"), "arm"),
        ("k.pkg.tar.zst", lambda: arch_package(USR, pkginfo(pkgname="linux", pkgver="6.12-1", arch="armv7h")), "arm"),
        ("k.apk", lambda: apk(*apk_files(ALPINE), info=pkginfo(pkgname="lts", pkgver="6.12", arch="x86")), "i386"),
        ("k.apk", lambda: apk(*apk_files(ALPINE), info=pkginfo(pkgname="lts", pkgver="6.12", arch="armv7")), "arm"),
    ],
    ids=["fedora-i686", "opensuse-i586", "fedora-arm", "arch-linux-arm", "alpine-x86", "alpine-armv7"],
)  # fmt: skip
def test_distributions_have_names_of_their_own_for_32_bits(
    tmp_path: Path, name: str, content: Callable[[], bytes], arch: str
) -> None:
    (tmp_path / name).write_bytes(content())
    assert fakes.resolved(str(tmp_path / name), cache=Cache(tmp_path / "cache")).source.arch == arch


def test_another_architecture_is_refused_before_it_is_unpacked(
    refused: Callable[[str, bytes], UsageError],
) -> None:
    assert (
        "is a kernel for mips64, which kconform cannot test yet"
        in refused("k.rpm", kernel_rpm(WITH_MODULES, arch="mips64")).message
    )


def test_a_version_that_is_too_old_is_refused(kernel_of: Packages) -> None:
    with pytest.raises(UsageError, match=r"is Linux 4\.18\.0, and 5\.10 is the oldest"):
        kernel_of(k__rpm=kernel_rpm(WITH_MODULES, version="4.18.0", release="553.el8"))
