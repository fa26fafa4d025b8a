# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels in folders: installed, built, unpacked, or copied together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel
from kconfigs.kernel_requests import KernelRequest
from kconfigs.planned_kernels import plan
from kconfigs.resolve import running_image
from kconfigs.spec import parse
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.fake_kernels import CONFIG, RELEASE

IMAGE, ORDER = fakes.bzimage(), b"kernel/a.ko\n"
OTHER = fakes.bzimage(release="6.12.8-other")


def write(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def kernel_in(folder: Path, modules: Path | None = None) -> Kernel:
    return fakes.resolved(str(folder), modules=modules, cache=Cache(folder.parent / "cache")).kernel()


@pytest.mark.parametrize(
    ("image", "config", "modules"),
    [
        (f"boot/vmlinuz-{RELEASE}", f"boot/config-{RELEASE}", f"lib/modules/{RELEASE}"),
        (f"boot/vmlinuz-{RELEASE}", f"boot/config-{RELEASE}", f"usr/lib/modules/{RELEASE}"),
        ("boot/vmlinuz-lts", f"boot/config-{RELEASE}", f"lib/modules/{RELEASE}"),
        ("boot/vmlinuz-lts", "boot/config-lts", f"lib/modules/{RELEASE}"),
        (f"usr/lib/modules/{RELEASE}/vmlinuz", f"usr/lib/modules/{RELEASE}/config", f"usr/lib/modules/{RELEASE}"),
        (f"lib/modules/{RELEASE}/vmlinuz", f"boot/config-{RELEASE}", f"lib/modules/{RELEASE}"),
        (f"usr/lib/modules/{RELEASE}/vmlinuz", f"boot/config-{RELEASE}", f"usr/lib/modules/{RELEASE}"),
        (
            f"usr/lib/modules/{RELEASE}/vmlinuz",
            f"usr/lib/modules/{RELEASE}/build/.config",
            f"usr/lib/modules/{RELEASE}",
        ),
        ("arch/x86/boot/bzImage", ".config", ""),
        ("vmlinuz", "config", f"lib/modules/{RELEASE}"),
        ("vmlinuz", "config.gz", f"modules/{RELEASE}"),
        (f"vmlinuz-{RELEASE}", f"config-{RELEASE}", f"lib/modules/{RELEASE}"),
        ("bzImage", ".config", ""),
    ],
    ids=[
        "installed", "installed-with-usr", "alpine", "alpine-since-3.19", "fedora", "rhel", "fedora-with-boot",
        "arch", "build", "copied", "copied-from-proc", "copied-from-boot", "copied-flat",
    ],
)  # fmt: skip
def test_each_layout_is_a_kernel(tmp_path: Path, image: str, config: str, modules: str) -> None:
    folder = write(tmp_path / "k", {image: IMAGE, config: CONFIG, f"{modules or '.'}/modules.order": ORDER})
    kernel = kernel_in(folder)
    assert (kernel.image, kernel.release) == (folder / image, RELEASE)
    assert kernel.config == Config.parse(CONFIG)
    assert kernel.modules == folder / modules


def test_an_unpacked_modules_folder_is_a_kernel(tmp_path: Path) -> None:
    """/usr/lib/modules/RELEASE itself."""
    folder = write(tmp_path / f"lib/modules/{RELEASE}", {"vmlinuz": IMAGE, "config": CONFIG, "modules.order": ORDER})
    assert kernel_in(folder).modules == folder


def test_a_link_to_the_image_is_no_second_kernel(tmp_path: Path) -> None:
    """As arch/x86_64/boot/bzImage in a build, and /boot/vmlinuz-lts on some distributions."""
    folder = write(tmp_path / "k", {"arch/x86/boot/bzImage": IMAGE, ".config": CONFIG})
    (folder / "arch/x86_64/boot").mkdir(parents=True)
    (folder / "arch/x86_64/boot/bzImage").symlink_to("../../x86/boot/bzImage")
    assert kernel_in(folder).release == RELEASE


def test_several_kernels_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "k", {f"boot/vmlinuz-{RELEASE}": IMAGE, "boot/vmlinuz-6.12.8-other": OTHER})
    with pytest.raises(UsageError, match=rf"several kernels: boot/vmlinuz-{RELEASE}, boot/vmlinuz-6.12.8-other"):
        kernel_in(folder)


def test_a_tree_is_built_even_if_it_has_an_image(tmp_path: Path) -> None:
    """It was built in place; the user wants what is in the tree now."""
    tree = fakes.tree(tmp_path / "linux")
    write(tree, {"arch/x86/boot/bzImage": IMAGE})
    assert fakes.resolved(str(tree), cache=Cache(tmp_path / "cache")).source.builds


def test_a_folder_without_a_kernel_is_wrong_use(tmp_path: Path) -> None:
    folder = write(tmp_path / "k", {"Makefile": "include ../linux/Makefile\n", ".config": CONFIG})
    with pytest.raises(UsageError, match="not a kernel tree, and has no kernel image") as caught:
        kernel_in(folder)
    assert "arch/x86/boot/bzImage" in caught.value.hint


def test_modules_of_another_kernel_are_not_taken(tmp_path: Path) -> None:
    folder = write(tmp_path / "k", {"vmlinuz": IMAGE, "config": CONFIG, "lib/modules/6.1.0/modules.order": ORDER})
    assert kernel_in(folder).modules is None


@pytest.mark.parametrize("release", ["..", ".", "../../../etc", "6.12.7/../.."])
def test_a_release_leads_nowhere(tmp_path: Path, release: str) -> None:
    folder = write(tmp_path / "k", {"vmlinuz": fakes.bzimage(release=release), "config": CONFIG, "modules/a.ko": ""})
    (folder / "lib/modules").mkdir(parents=True)
    kernel = kernel_in(folder)
    assert kernel.modules is None


class TestNamedModules:
    @pytest.fixture
    def image(self, tmp_path: Path) -> Path:
        return write(tmp_path / "k", {"vmlinuz": IMAGE, "config": CONFIG}) / "vmlinuz"

    @pytest.mark.parametrize("inner", ["", f"lib/modules/{RELEASE}", f"usr/lib/modules/{RELEASE}", RELEASE])
    @pytest.mark.parametrize("file", ["modules.order", "kernel/fs/a.ko.zst"])
    def test_they_are_found(self, image: Path, tmp_path: Path, inner: str, file: str) -> None:
        named = write(tmp_path / "m", {f"{inner or '.'}/{file}": ORDER})
        assert kernel_in(image, named).modules == named / inner

    def test_they_count_more_than_those_beside_the_image(self, image: Path, tmp_path: Path) -> None:
        write(image.parent, {f"lib/modules/{RELEASE}/modules.order": ORDER})
        named = write(tmp_path / "m", {"modules.order": ORDER})
        assert kernel_in(image, named).modules == named

    @pytest.mark.parametrize(
        ("named", "file", "message"),
        [
            ("m", "readme", rf"has no modules with names in .ko, and the kernel is {RELEASE}"),
            ("m", "lib/modules/6.1.0/a.ko", r"has only modules of 6\.1\.0, and the kernel is"),
            ("modules/6.1.0", "a.ko", r"has only modules of 6\.1\.0, and the kernel is"),
        ],
        ids=["none", "another-kernels", "a-folder-of-another-kernels"],
    )
    def test_others_are_refused(self, image: Path, tmp_path: Path, named: str, file: str, message: str) -> None:
        """Before the run begins: a guest could not load them."""
        write(tmp_path / named, {file: "x"})
        with pytest.raises(UsageError, match=message) as caught:
            fakes.resolved(str(image), modules=tmp_path / named, cache=Cache(tmp_path / "cache"))
        assert "modules_install" in caught.value.hint

    def test_a_folder_that_does_not_exist_is_wrong_use(self, image: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"there is no folder .*/none with modules"):
            fakes.resolved(str(image), modules=tmp_path / "none", cache=Cache(tmp_path / "cache"))

    @pytest.mark.parametrize(
        ("where", "message"),
        [
            ("", "--modules is for kernels that are not built"),
            ("m.toml: 1", "m.toml: 1: .* is built, and its modules"),
        ],
    )
    def test_a_kernel_that_is_built_has_its_own(self, tmp_path: Path, where: str, message: str) -> None:
        tree = fakes.tree(tmp_path / "linux")
        with pytest.raises(UsageError, match=message) as caught:
            plan([KernelRequest(parse(str(tree)), modules=tmp_path, where=where)])
        assert caught.value.hint


class TestRunning:
    @pytest.mark.parametrize(
        "name", [f"boot/vmlinuz-{RELEASE}", f"usr/lib/modules/{RELEASE}/vmlinuz", f"lib/modules/{RELEASE}/vmlinuz"]
    )
    def test_the_image_is_found_by_its_name(self, tmp_path: Path, name: str) -> None:
        write(tmp_path, {name: IMAGE})
        assert running_image(tmp_path, RELEASE) == tmp_path / name

    def test_the_image_is_found_by_its_release(self, tmp_path: Path) -> None:
        """Alpine has vmlinuz-lts, Arch Linux vmlinuz-linux."""
        write(tmp_path, {"boot/vmlinuz-edge": OTHER, "boot/vmlinuz-broken": b"no", "boot/vmlinuz-lts": IMAGE})
        assert running_image(tmp_path, RELEASE) == tmp_path / "boot/vmlinuz-lts"
        assert running_image(tmp_path, "6.12.9") is None
