# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel images: recognised, refused with a reason, and asked for their configuration."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs.cache import Cache
from kconfigs.image import banner_release, embedded_config, inspect, stable_version
from kconfigs.image_config import find_config, read_config
from kconfigs.kconfig import Config
from kconfigs.kernel_folder import find_modules
from suites.harness.kconfigs.fake_kernels import CONFIG, RELEASE, bzimage, resolved

Write = Callable[[bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(content: bytes) -> Path:
        path = tmp_path / "image"
        path.write_bytes(content)
        return path

    return written


def pe(machine: int, beginning: bytes = b"MZ") -> bytes:
    head = bytearray(0x100)
    head[: len(beginning)] = beginning
    struct.pack_into("<I", head, 0x3C, 0x80)
    head[0x80:0x84] = b"PE\0\0"
    struct.pack_into("<H", head, 0x84, machine)
    return bytes(head)


def test_the_header_tells_architecture_and_release(write: Write) -> None:
    image = inspect(write(bzimage()))
    assert (image.arch, image.release) == ("x86_64", RELEASE)
    assert banner_release(image) == RELEASE


@pytest.mark.parametrize(
    ("release", "build", "version"),
    [
        ("5.10.0-46-amd64", "#1 SMP Debian 5.10.262-1 (2026-07-31)", (5, 10, 262)),
        ("6.12.117+deb13-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-11-12)", (6, 12, 117)),
        ("6.8.0-45-generic", "#45-Ubuntu SMP PREEMPT_DYNAMIC", (6, 8, 0)),
        ("6.12.7", "#1 SMP", (6, 12, 7)),
    ],
    ids=["debian", "debian-since-6.12", "ubuntu", "ours"],
)
def test_the_banner_has_the_stable_version_that_the_release_lacks(
    tmp_path: Path, release: str, build: str, version: tuple[int, ...]
) -> None:
    """A promise may be newer than the first release of its branch."""
    (tmp_path / "vmlinuz").write_bytes(bzimage(release=release, build=build, config=CONFIG))
    kernel = resolved(str(tmp_path / "vmlinuz"), cache=Cache(tmp_path / "cache")).kernel()
    assert (kernel.release, kernel.version) == (release, version)


def test_an_image_without_a_release_in_its_header_has_the_version_of_its_banner(write: Write) -> None:
    """Debian's release has the number of the ABI, not the stable version; without a banner, that is unknown."""
    banner = b"Linux version 6.1.0-56-cloud-arm64 (x@y) (gcc) #1 SMP Debian 6.1.192-1 (2026-11-12)\n\0"
    image = inspect(write(bytes(56) + b"ARM\x64" + bytes(64) + banner))
    assert (image.release, stable_version(image)) == ("", (6, 1, 192))
    assert stable_version(inspect(write(bytes(56) + b"ARM\x64" + bytes(64)))) == ()


def test_the_version_of_an_s390x_image(write: Write) -> None:
    """Its header has the address of the version, and `uname -r` of Debian's is not the stable version."""
    version = b"6.1.0-50-s390x (debian-kernel@lists.debian.org) #1 SMP Debian 6.1.176-1 (2026-07-02)\0"
    head = bytearray(0x12000)
    head[0x10008:0x1000E] = b"S390EP"
    head[0x10428:0x10430] = len(head).to_bytes(8, "big")
    image = inspect(write(bytes(head) + version))
    assert (banner_release(image), stable_version(image)) == ("6.1.0-50-s390x", (6, 1, 176))
    for address in (0, len(head) + 1, 1 << 40):
        head[0x10428:0x10430] = address.to_bytes(8, "big")
        image = inspect(write(bytes(head) + version[:1]))
        assert (banner_release(image), stable_version(image)) == ("", ())


@pytest.mark.parametrize(
    ("content", "arch"),
    [
        pytest.param(bzimage(is_64bit=False), "i386", id="x86-of-32-bits"),
        pytest.param(bytes(56) + b"ARM\x64" + bytes(64), "aarch64", id="arm64-image"),
        pytest.param(bytes(56) + b"RSC\x05" + bytes(64), "riscv64", id="riscv-image"),
        pytest.param(bytes(0x24) + b"\x18\x28\x6f\x01" + bytes(64), "arm", id="arm-zimage"),
        pytest.param(bytes(0x10008) + b"S390EP\0\1" + bytes(64), "s390x", id="s390x-image"),
        pytest.param(pe(0xAA64, b"MZ\0\0zimg"), "aarch64", id="arm64-efi-zboot"),
    ],
)
def test_other_architectures_are_recognised(write: Write, content: bytes, arch: str) -> None:
    assert inspect(write(content)).arch == arch


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"#!/bin/sh\n" * 100, "is not a kernel image", id="a-script"),
        pytest.param(pe(0x8664), "is an EFI program for x86_64 that contains no kernel", id="an-efi-program"),
        pytest.param(pe(0xAA64), "is an EFI program for aarch64 that contains no", id="an-efi-program-for-arm64"),
        pytest.param(pe(0x1234), "is an EFI program for an unknown architecture", id="an-unknown-executable"),
        pytest.param(pe(0x8664)[:0x82], "is not a kernel image", id="a-piece-of-an-efi-program"),
        pytest.param(b"MZ" + b"\xff" * 0x100, "is not a kernel image", id="a-program-for-dos"),
        pytest.param(b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\0" + bytes(64), "an ELF file for x86_64", id="vmlinux"),
        pytest.param(b"\x7fELF", "an ELF file for an unknown", id="a-piece-of-elf"),
        pytest.param(bzimage()[:0x210], "cut short: it ends in the header", id="cut-in-the-header"),
        pytest.param(bzimage()[:-20], r"cut short: it has \d+ bytes of the \d+", id="cut-in-the-payload"),
    ],
)
def test_what_is_not_a_complete_image_is_refused(write: Write, content: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        inspect(write(content))
    assert caught.value.hint


def test_a_signature_after_the_kernel_is_ignored(write: Write) -> None:
    inspect(write(bzimage() + b"signature"))


@pytest.fixture(params=["none", "gzip", "xz", "zstd", "lz4"])
def packed(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name in {"zstd", "lz4"} and not shutil.which(name):
        pytest.skip(f"there is no program {name} here")
    return name


def test_the_configuration_inside_is_found(write: Write, packed: str) -> None:
    assert embedded_config(inspect(write(bzimage(config=CONFIG, packed=packed)))) == Config.parse(CONFIG)


def test_an_image_may_have_no_config_inside(write: Write, packed: str) -> None:
    """To know that, all of it is unpacked, and its end is not taken for damage."""
    assert embedded_config(inspect(write(bzimage(packed=packed)))) is None


def test_a_payload_that_does_not_unpack_is_damage(write: Write) -> None:
    content = bytearray(bzimage(config=CONFIG))
    content[1024 + 12 : 1024 + 40] = b"x" * 28
    with pytest.raises(UsageError, match="is damaged: its gzip payload"):
        embedded_config(inspect(write(bytes(content))))


def test_a_missing_unpacker_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    image = inspect(write(bzimage().replace(b"\x1f\x8b\x08", b"\x02\x21\x4c\x18")))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match="packed with lz4, and that program is not installed") as caught:
        embedded_config(image)
    assert "--kernel-config" in caught.value.hint


class TestBeside:
    @pytest.mark.parametrize(
        ("image", "config"),
        [
            ("vmlinuz-6.12.7-other", "config-6.12.7-other"),
            ("bzImage", f"config-{RELEASE}"),
            ("bzImage", "bzImage.config"),
            ("bzImage", ".config"),
            ("tree/arch/x86/boot/bzImage", "tree/.config"),
        ],
    )
    def test_the_configuration_beside_an_image_is_found(self, tmp_path: Path, image: str, config: str) -> None:
        for name, content in ((image, bzimage(config="CONFIG_INSIDE=y\n")), (config, CONFIG.encode())):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        assert find_config(inspect(tmp_path / image), RELEASE) == Config.parse(CONFIG)

    def test_an_empty_config_is_ignored(self, tmp_path: Path) -> None:
        (tmp_path / "bzImage").write_bytes(bzimage(config=CONFIG))
        (tmp_path / ".config").write_text("")
        assert find_config(inspect(tmp_path / "bzImage"), RELEASE) == Config.parse(CONFIG)

    def test_a_release_need_not_be_a_valid_file_name(self, write: Write) -> None:
        release = "6.12/../../etc"
        assert find_config(inspect(write(bzimage(release=release, config=CONFIG))), release) == Config.parse(CONFIG)

    @pytest.mark.parametrize("named", [False, True], ids=["beside", "named"])
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            pytest.param(
                "# Linux/x86 6.1.192 Kernel Configuration\nCONFIG_A=y\n",
                rf"is the configuration of Linux 6\.1\.192, and .* is {RELEASE}",
                id="another-version",
            ),
            pytest.param(
                "CONFIG_IKCONFIG=y\nCONFIG_A=y\nCONFIG_B=y\n",
                r"is not the configuration of .*: CONFIG_B is y there, and n inside the image \(CONFIG_IKCONFIG\)",
                id="another-config",
            ),
        ],
    )
    def test_the_config_of_another_kernel_is_refused(
        self, tmp_path: Path, text: str, message: str, named: bool
    ) -> None:
        (tmp_path / "bzImage").write_bytes(bzimage(config="CONFIG_A=y\nCONFIG_IKCONFIG=y\n"))
        path = tmp_path / ("mine" if named else ".config")
        path.write_text(text)
        with pytest.raises(UsageError, match=message) as caught:
            find_config(inspect(tmp_path / "bzImage"), RELEASE, path if named else None)
        assert caught.value.message.startswith(str(path))

    def test_a_named_config_without_ikconfig_is_compared_too(self, tmp_path: Path) -> None:
        """A distribution's, say, of the same version: all that is skipped or failed by it would be wrong."""
        (tmp_path / "bzImage").write_bytes(bzimage(config="CONFIG_A=y\nCONFIG_IKCONFIG=y\n"))
        (tmp_path / "mine").write_text("# Linux/x86 6.12.9 Kernel Configuration\nCONFIG_A=y\n")
        with pytest.raises(UsageError, match="CONFIG_IKCONFIG is n there, and y inside the image"):
            find_config(inspect(tmp_path / "bzImage"), RELEASE, tmp_path / "mine")

    def test_a_defconfig_is_not_the_config_of_an_image(self, tmp_path: Path) -> None:
        """What it leaves out may be built in, and a test for a kernel without that would accuse it."""
        (tmp_path / "bzImage").write_bytes(bzimage())
        (tmp_path / "defconfig").write_text("CONFIG_A=y\n")
        with pytest.raises(UsageError, match=r"defconfig is not the whole configuration of .*: it is a def"):
            find_config(inspect(tmp_path / "bzImage"), RELEASE, tmp_path / "defconfig")
        whole = "# Linux/x86 6.12.9 Kernel Configuration\nCONFIG_A=y\n"
        (tmp_path / "whole").write_text(whole)
        assert find_config(inspect(tmp_path / "bzImage"), RELEASE, tmp_path / "whole") == Config.parse(whole)

    def test_the_kernels_own_config_is_accepted(self, tmp_path: Path) -> None:
        text = "# Linux/x86 6.12.9 Kernel Configuration\n# CONFIG_B is not set\nCONFIG_IKCONFIG=y\nCONFIG_A=y\n"
        (tmp_path / "bzImage").write_bytes(bzimage(config="CONFIG_A=y\nCONFIG_IKCONFIG=y\n"))
        (tmp_path / ".config").write_text(text)
        assert find_config(inspect(tmp_path / "bzImage"), RELEASE) == Config.parse(text)

    def test_a_missing_configuration_is_wrong_use(self, write: Write) -> None:
        with pytest.raises(UsageError, match="no configuration beside it, and none inside") as caught:
            find_config(inspect(write(bzimage())), RELEASE)
        assert "--kernel-config" in caught.value.hint

    def test_a_file_without_options_is_not_a_configuration(self, write: Write) -> None:
        with pytest.raises(UsageError, match="is not a kernel configuration"):
            read_config(write(b"hello\n"))

    def test_modules_are_in_the_tree_that_was_built(self, tmp_path: Path) -> None:
        boot = tmp_path / "arch" / "x86" / "boot"
        boot.mkdir(parents=True)
        (boot / "bzImage").write_bytes(bzimage())
        image = inspect(boot / "bzImage")
        assert find_modules(image.path, RELEASE) is None
        (tmp_path / "modules.order").write_text("a.o\n")
        assert find_modules(image.path, RELEASE) == tmp_path

    @pytest.mark.parametrize(
        ("place", "modules"),
        [
            (f"boot/vmlinuz-{RELEASE}", f"lib/modules/{RELEASE}"),
            (f"boot/vmlinuz-{RELEASE}", f"usr/lib/modules/{RELEASE}"),
            (f"usr/lib/modules/{RELEASE}/vmlinuz", f"usr/lib/modules/{RELEASE}"),
        ],
        ids=["debian", "merged-usr", "fedora-and-arch"],
    )
    @pytest.mark.parametrize("linked", [False, True], ids=["itself", "link"])
    def test_what_belongs_to_an_installed_image_is_found(
        self, tmp_path: Path, place: str, modules: str, linked: bool
    ) -> None:
        """Below any folder, as that into which a package was unpacked, and behind a link, as /vmlinuz."""
        image = tmp_path / "root" / place
        for folder in (image.parent, tmp_path / "root" / modules):
            folder.mkdir(parents=True, exist_ok=True)
        image.write_bytes(bzimage())
        image.with_name("config").write_text("CONFIG_A=y\n")
        if linked:
            (tmp_path / "vmlinuz").symlink_to(image)
        found = inspect(tmp_path / "vmlinuz" if linked else image)
        assert find_modules(found.path, RELEASE) == tmp_path / "root" / modules
        assert find_modules(found.path, "5.10") is None
        assert find_config(found, RELEASE) == Config.parse("CONFIG_A=y\n")
