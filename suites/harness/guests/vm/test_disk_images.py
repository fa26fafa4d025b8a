# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks: they depend on their contents only, and any kernel can read them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from guests.errors import KconformError
from guests.vm import disk_images
from guests.vm.disk_images import DiskPlan
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel
from suites.harness.guests import fakes

PLAN = DiskPlan("squashfs", modules=(("test_module", "TEST_LKM"),), files=(("etc/motd", b"hello\n"),))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestDisks:
    @pytest.mark.parametrize("filesystem", ["squashfs", "ext2"])
    def test_an_image_is_created_once_for_its_content(self, modular: Kernel, store: Cache, filesystem: str) -> None:
        fakes.tool({"squashfs": "mksquashfs", "ext2": "mke2fs"}[filesystem])
        plan = DiskPlan(filesystem, files=(("a", b"1"),))
        first = plan.make(modular, store)
        assert plan.make(modular, store) == first
        assert DiskPlan(filesystem, files=(("a", b"2"),)).make(modular, store).image != first.image
        assert DiskPlan(filesystem, files=(("b", b"1"),)).make(modular, store).image != first.image
        assert len(store.entries()) == 3

    def test_a_squashfs_depends_neither_on_place_nor_time(
        self, modular: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fakes.tool("mksquashfs")
        real = disk_images._MAKERS["squashfs"]

        def make_at(time: int) -> str:
            def make(contents: Path, image: Path) -> None:
                for path in (contents, *contents.rglob("*")):
                    os.utime(path, (time, time))
                real(contents, image)

            monkeypatch.setitem(disk_images._MAKERS, "squashfs", make)
            return digest(PLAN.make(modular, Cache(tmp_path / f"cache-{time}")).image)

        assert make_at(10**9) == make_at(2 * 10**9)

    def test_a_squashfs_contains_files_and_modules_that_root_owns(self, modular: Kernel, store: Cache) -> None:
        listing = subprocess.run(
            [fakes.tool("unsquashfs"), "-lln", str(PLAN.make(modular, store).image)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = {line.split()[-1]: line.split() for line in listing.splitlines() if "squashfs-root" in line}
        assert set(found) == {f"squashfs-root{path}" for path in ("", "/etc", "/etc/motd", "/test_module.ko")}
        assert {words[1] for words in found.values()} == {"0/0"}

    def test_an_ext2_contains_the_files(self, modular: Kernel, store: Cache) -> None:
        fakes.tool("mke2fs")
        image = DiskPlan("ext2", files=(("big", bytes(3 << 20)), ("dir/motd", b"hello\n"))).make(modular, store).image
        shown = subprocess.run(
            [fakes.tool("debugfs"), "-R", "cat /dir/motd", str(image)], capture_output=True, check=True
        ).stdout
        assert shown == b"hello\n"
        subprocess.run([fakes.tool("e2fsck"), "-fn", str(image)], capture_output=True, check=True)

    def test_a_squashfs_does_not_depend_on_the_user(
        self, modular: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It depends neither on the umask nor on the variables for reproducible builds."""
        fakes.tool("mksquashfs")
        first = digest(PLAN.make(modular, Cache(tmp_path / "one")).image)
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
        former = os.umask(0o077)
        try:
            second = digest(PLAN.make(modular, Cache(tmp_path / "other")).image)
        finally:
            os.umask(former)
        assert second == first

    def test_a_hash_tree_does_not_depend_on_the_environment(
        self, modular: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With POSIXLY_CORRECT, options that follow the names of files are not options."""
        fakes.tool("mksquashfs")
        fakes.tool("veritysetup")
        plan = DiskPlan("squashfs", files=(("a", b"1"),), salt="ab" * 32)
        first = plan.make(modular, Cache(tmp_path / "one"))
        monkeypatch.setenv("POSIXLY_CORRECT", "1")
        second = plan.make(modular, Cache(tmp_path / "other"))
        assert second.verity == first.verity
        assert digest(second.image) == digest(first.image)

    def test_an_ext2_only_has_features_that_any_kernel_supports(
        self, modular: Kernel, store: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The host's mke2fs.conf has no influence."""
        fakes.tool("mke2fs")
        settings = tmp_path / "mke2fs.conf"
        settings.write_text(
            "[defaults]\n\tbase_features = sparse_super,filetype,metadata_csum,64bit,extent\n\tinode_size = 1024\n"
            "[fs_types]\n\text2 = {\n\t\tfeatures = has_journal\n\t}\n"
        )
        monkeypatch.setenv("MKE2FS_CONFIG", str(settings))
        image = DiskPlan("ext2", files=(("a", b"1"),)).make(modular, store).image
        told = subprocess.run(
            [fakes.tool("dumpe2fs"), "-h", str(image)], capture_output=True, text=True, check=True
        ).stdout
        found = dict(re.findall(r"^(Filesystem features|Inode size):\s*(.*)$", told, re.MULTILINE))
        assert set(found["Filesystem features"].split()) <= {"filetype", "sparse_super", "large_file"}
        assert found["Inode size"] == "256"

    def test_the_output_of_veritysetup_is_not_translated(
        self, modular: Kernel, store: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        fakes.tool("mksquashfs")
        real = shutil.which
        speaker = fakes.program(
            tmp_path / "bin" / "veritysetup",
            """
            import os
            said = "Root hash:" if os.environ.get("LC_ALL") == "C" else "Root-Hash:"
            print(said, "ab" * 32)
            """,
        )
        monkeypatch.setenv("LANG", "de_DE.UTF-8")
        monkeypatch.setattr(
            shutil, "which", lambda name, **more: str(speaker) if name == speaker.name else real(name, **more)
        )
        verity = replace(PLAN, salt="00").make(modular, store).verity
        assert verity is not None
        assert verity.root_digest == "ab" * 32

    def test_a_read_only_disk_is_the_same_image(self, modular: Kernel, store: Cache) -> None:
        fakes.tool("mksquashfs")
        plans = [DiskPlan("squashfs", files=(("a", b"1"),), read_only=read_only) for read_only in (True, False)]
        one, other = (plan.make(modular, store) for plan in plans)
        assert (one.image, one.read_only, other.read_only) == (other.image, True, False)

    def test_a_disk_contains_a_module_if_the_kernel_has_its_option(self, modular: Kernel, store: Cache) -> None:
        """If the option is set, a missing module is an error, and not a reason to skip the tests that load it."""
        both = DiskPlan("9p", modules=(("test_module", "TEST_LKM"), ("test_firmware", "TEST_FIRMWARE")))
        assert [path.name for path in both.make(modular, store).image.iterdir()] == ["test_module.ko"]
        config = Config.parse("CONFIG_MODULES=y\nCONFIG_TEST_FIRMWARE=m\n")
        with pytest.raises(KconformError, match="has no module test_firmware"):
            both.make(replace(modular, config=config), store)

    def test_a_missing_tool_is_named(self, modular: Kernel, store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
        with pytest.raises(KconformError, match="mksquashfs is not installed") as caught:
            PLAN.make(modular, store)
        assert "doctor" in caught.value.hint
        assert store.entries() == []

    def test_a_tool_that_fails_is_quoted(
        self, modular: Kernel, store: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        broken = fakes.quitter(tmp_path / "bin" / "mksquashfs", 3, "first\nno space left")
        monkeypatch.setattr(shutil, "which", lambda *_, **__: str(broken))
        with pytest.raises(KconformError, match=r"^mksquashfs failed: no space left"):
            PLAN.make(modular, store)
        assert store.entries() == []


def test_every_kind_of_disk_can_be_created() -> None:
    assert set(disk_images._MAKERS) == {"squashfs", "ext2", "9p"}
