# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of a guest: disks, modules, the initramfs and the compiled agent; and which kernels can be tested."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import platform
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from guests.errors import KconformError, UsageError
from guests.vm import clone_pool, disk_images, initramfs
from guests.vm.clone_pool import REQUIRED_OPTIONS, check_bootable
from guests.vm.disk_images import DiskPlan
from guests.vm.kernel_modules import find_module, read_module, virtio_modules
from kconfigs.cache import Cache
from kconfigs.kconfig import Config
from kconfigs.kernel import Kernel
from suites.harness.guests import fakes

PLAN = DiskPlan("squashfs", modules=(("test_module", "TEST_LKM"),), files=(("etc/motd", b"hello\n"),))


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def modular(tmp_path: Path) -> Kernel:
    """A kernel with a module."""
    folder = tmp_path / "modules" / "kernel" / "lib"
    folder.mkdir(parents=True)
    (folder / "test_module.ko").write_bytes(b"\x7fELF module")
    return fakes.kernel(tmp_path, "CONFIG_MODULES=y\nCONFIG_TEST_LKM=m\n", tmp_path / "modules")


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestDisks:
    @pytest.mark.parametrize("filesystem", ["squashfs", "ext2"])
    def test_an_image_is_created_once_for_its_content(self, modular: Kernel, store: Cache, filesystem: str) -> None:
        tool({"squashfs": "mksquashfs", "ext2": "mke2fs"}[filesystem])
        plan = DiskPlan(filesystem, files=(("a", b"1"),))
        first = plan.make(modular, store)
        assert plan.make(modular, store) == first
        assert DiskPlan(filesystem, files=(("a", b"2"),)).make(modular, store).image != first.image
        assert DiskPlan(filesystem, files=(("b", b"1"),)).make(modular, store).image != first.image
        assert len(store.entries()) == 3

    def test_a_squashfs_depends_neither_on_place_nor_time(
        self, modular: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tool("mksquashfs")
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
            [tool("unsquashfs"), "-lln", str(PLAN.make(modular, store).image)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = {line.split()[-1]: line.split() for line in listing.splitlines() if "squashfs-root" in line}
        assert set(found) == {f"squashfs-root{path}" for path in ("", "/etc", "/etc/motd", "/test_module.ko")}
        assert {words[1] for words in found.values()} == {"0/0"}

    def test_an_ext2_contains_the_files(self, modular: Kernel, store: Cache) -> None:
        tool("mke2fs")
        image = DiskPlan("ext2", files=(("big", bytes(3 << 20)), ("dir/motd", b"hello\n"))).make(modular, store).image
        shown = subprocess.run(
            [tool("debugfs"), "-R", "cat /dir/motd", str(image)], capture_output=True, check=True
        ).stdout
        assert shown == b"hello\n"
        subprocess.run([tool("e2fsck"), "-fn", str(image)], capture_output=True, check=True)

    def test_a_squashfs_does_not_depend_on_the_user(
        self, modular: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It depends neither on the umask nor on the variables for reproducible builds."""
        tool("mksquashfs")
        first = digest(PLAN.make(modular, Cache(tmp_path / "one")).image)
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
        former = os.umask(0o077)
        try:
            second = digest(PLAN.make(modular, Cache(tmp_path / "other")).image)
        finally:
            os.umask(former)
        assert second == first

    def test_an_ext2_only_has_features_that_any_kernel_supports(
        self, modular: Kernel, store: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The host's mke2fs.conf has no influence."""
        tool("mke2fs")
        settings = tmp_path / "mke2fs.conf"
        settings.write_text(
            "[defaults]\n\tbase_features = sparse_super,filetype,metadata_csum,64bit,extent\n\tinode_size = 1024\n"
            "[fs_types]\n\text2 = {\n\t\tfeatures = has_journal\n\t}\n"
        )
        monkeypatch.setenv("MKE2FS_CONFIG", str(settings))
        image = DiskPlan("ext2", files=(("a", b"1"),)).make(modular, store).image
        told = subprocess.run([tool("dumpe2fs"), "-h", str(image)], capture_output=True, text=True, check=True).stdout
        found = dict(re.findall(r"^(Filesystem features|Inode size):\s*(.*)$", told, re.MULTILINE))
        assert set(found["Filesystem features"].split()) <= {"filetype", "sparse_super", "large_file"}
        assert found["Inode size"] == "256"

    def test_the_output_of_veritysetup_is_not_translated(
        self, modular: Kernel, store: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        tool("mksquashfs")
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
        tool("mksquashfs")
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


class TestModules:
    @pytest.mark.parametrize(
        ("suffix", "pack"), [("", bytes), (".xz", lzma.compress), (".gz", gzip.compress)], ids=["plain", "xz", "gz"]
    )
    def test_a_module_is_unpacked(
        self, modular: Kernel, tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
    ) -> None:
        (tmp_path / "modules" / f"packed.ko{suffix}").write_bytes(pack(b"content"))
        assert read_module(modular, "packed") == b"content"

    @pytest.mark.parametrize(
        ("suffix", "content"),
        [(".xz", b"\xfd7zXZ\0no"), (".xz", lzma.compress(b"content")[:-9]), (".gz", gzip.compress(b"content")[:-9])],
        ids=["no-xz", "half-of-xz", "half-of-gz"],
    )
    def test_a_damaged_module_is_named(self, modular: Kernel, tmp_path: Path, suffix: str, content: bytes) -> None:
        (tmp_path / "modules" / f"packed.ko{suffix}").write_bytes(content)
        with pytest.raises(KconformError, match=rf"packed\.ko\{suffix} is damaged: "):
            read_module(modular, "packed")

    def test_a_module_packed_by_zstd_is_unpacked(self, modular: Kernel, tmp_path: Path) -> None:
        packed = subprocess.run([tool("zstd"), "-c"], input=b"content", capture_output=True, check=True).stdout
        (tmp_path / "modules" / "packed.ko.zst").write_bytes(packed)
        assert read_module(modular, "packed") == b"content"

    def test_a_module_is_found_by_its_name_in_any_spelling(self, modular: Kernel, tmp_path: Path) -> None:
        folder = tmp_path / "modules"
        for name in ("dm-verity.ko", "dm-verity-loadpin.ko.xz", "dm_verity.ko.unsigned"):
            (folder / name).touch()
        found = find_module(modular, "dm_verity")
        assert found is not None
        assert found.name in {"dm-verity.ko", "dm_verity.ko.unsigned"}
        assert find_module(modular, "dm_verity_loadpin") == folder / "dm-verity-loadpin.ko.xz"

    @pytest.mark.parametrize("listed", ["drivers/md/dm-verity.o", "drivers/md/dm-verity.ko"], ids=["6.3", "6.2"])
    def test_a_tree_with_a_list_of_modules_is_not_searched(
        self, modular: Kernel, tmp_path: Path, listed: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A concurrent build creates and removes directories."""
        tree = tmp_path / "modules"
        (tree / "drivers" / "md").mkdir(parents=True)
        for name in ("dm-verity.o", "dm-verity.ko.zst", "dm-verity-loadpin.o"):
            (tree / "drivers" / "md" / name).touch()
        (tree / "modules.order").write_text(f"kernel/fs/ext2.ko\n{listed}\n")
        monkeypatch.delattr(Path, "rglob")
        assert find_module(modular, "dm_verity") == tree / "drivers" / "md" / "dm-verity.ko.zst"
        assert find_module(modular, "ext4") is None

    def test_a_module_that_the_kernel_lacks_is_named(self, modular: Kernel, tmp_path: Path) -> None:
        for one in (modular, fakes.kernel(tmp_path)):
            with pytest.raises(KconformError, match=r"fake-6\.12\.7/full has no module yama"):
                read_module(one, "yama")


VIRTIO = {
    "virtio_console": "virtio,virtio_ring",
    "virtio_pci": "virtio_ring,virtio_pci_modern_dev,virtio",
    "virtio_pci_modern_dev": "",
    "virtio": "virtio_ring",
    "virtio_ring": "",
}
"""Modules and their dependencies, as in v6.1."""
IN_ORDER = ["virtio_ring", "virtio_pci_modern_dev", "virtio", "virtio_pci", "virtio_console"]
MODULAR = "CONFIG_VIRTIO=m\nCONFIG_VIRTIO_PCI=m\nCONFIG_VIRTIO_CONSOLE=m\n"


class TestModulesForVirtio:
    """A guest uses virtio if it is built in, or if its modules may be loaded before the tests."""

    @staticmethod
    def kernel(tmp_path: Path, config: str, without: str = "") -> Kernel:
        (tmp_path / "modules" / "drivers").mkdir(parents=True)
        for name, depends in VIRTIO.items():
            if name != without:
                content = f"name={name}\0depends={depends}\0".encode()
                (tmp_path / "modules" / "drivers" / f"{name}.ko").write_bytes(b"\x7fELF\0" + content)
        return replace(fakes.kernel(tmp_path, config), modules=tmp_path / "modules")

    @pytest.mark.parametrize(
        ("config", "loaded"),
        [
            ("CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\n", []),
            ("CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=y\nCONFIG_SECURITY_LOADPIN=y\n", []),
            (MODULAR, IN_ORDER),
            ("CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=m\n", ["virtio_ring", "virtio", "virtio_console"]),
            ("CONFIG_VIRTIO_PCI=m\n", None),
            ("", None),
            (f"{MODULAR}CONFIG_SECURITY_LOADPIN=y\n", None),
            (f"{MODULAR}CONFIG_MODULE_SIG_FORCE=y\n", None),
        ],
        ids=[
            *("built-in", "built-in-with-loadpin", "modules", "one-of-both"),
            *("no-console", "neither", "loadpin", "only-signed"),
        ],
    )
    def test_the_modules_and_their_order(self, tmp_path: Path, config: str, loaded: list[str] | None) -> None:
        found = virtio_modules(self.kernel(tmp_path, config))
        assert (None if found is None else list(found)) == loaded

    @pytest.mark.parametrize("missing", ["virtio_pci", "virtio_console"])
    def test_missing_modules_are_not_loaded(self, tmp_path: Path, missing: str) -> None:
        assert virtio_modules(self.kernel(tmp_path, MODULAR, without=missing)) is None

    def test_a_missing_dependency_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(KconformError, match="has no module virtio_ring"):
            virtio_modules(self.kernel(tmp_path, MODULAR, without="virtio_ring"))

    def test_the_initramfs_contains_the_modules(self, tmp_path: Path) -> None:
        machines = clone_pool.Pool(Cache(tmp_path / "cache"))
        kernel = self.kernel(tmp_path, MODULAR)
        machine = machines._machine(kernel, clone_pool.DEFAULT_BOOT, kvm=False)
        assert machine.virtio
        found = re.findall(rb"modules/(\d)\.ko\0+\x7fELF\0name=(\w+)\0", machine.initramfs.read_bytes())
        assert found == [(b"%d" % number, name.encode()) for number, name in enumerate(IN_ORDER)]
        serial = machines._machine(replace(kernel, modules=None), clone_pool.DEFAULT_BOOT, kvm=False)
        assert not serial.virtio
        assert b"modules/" not in serial.initramfs.read_bytes()


class TestInitramfs:
    FILES: dict[str, tuple[bytes, int]] = {"init": (b"program", 0o755), "a": (b"12345", 0o600)}  # noqa: RUF012

    def test_the_same_files_give_the_same_bytes(self) -> None:
        again = dict(reversed(self.FILES.items()))
        assert initramfs.cpio(self.FILES) == initramfs.cpio(again)
        assert initramfs.cpio({**self.FILES, "a": (b"12346", 0o600)}) != initramfs.cpio(self.FILES)

    def test_cpio_reads_them(self, tmp_path: Path) -> None:
        archive = initramfs.cpio(self.FILES)
        listed = subprocess.run([tool("cpio"), "-tv", "--quiet"], input=archive, capture_output=True, check=True)
        rows = [line.split() for line in listed.stdout.decode().splitlines()]
        modes = {row[-1]: row[0] for row in rows}
        assert modes == {
            **dict.fromkeys(("dev", "proc", "sys", "tmp"), "drwxr-xr-x"),
            "init": "-rwxr-xr-x",
            "a": "-rw-------",
            "dev/console": "crw-------",
        }
        assert next(row[4:6] for row in rows if row[-1] == "dev/console") == ["5,", "1"]
        subprocess.run([tool("cpio"), "-i", "--quiet", "init", "a"], input=archive, cwd=tmp_path, check=True)
        assert [(tmp_path / name).read_bytes() for name in ("init", "a")] == [b"program", b"12345"]

    def test_init_is_the_agent_and_static(self, store: Cache) -> None:
        machine = platform.machine()
        program = initramfs.agent(machine, store)
        archive = initramfs.initramfs(machine, store)
        assert program.read_bytes() in archive.read_bytes()
        assert program.stat().st_mode & stat.S_IXUSR
        headers = subprocess.run([tool("readelf"), "-lW", str(program)], capture_output=True, text=True, check=True)
        assert "INTERP" not in headers.stdout
        assert "DYNAMIC" not in headers.stdout
        assert initramfs.agent(machine, store) == program

    def test_another_architecture_has_its_cross_compiler(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")
        command = initramfs.compile_command("aarch64", Path("/out/agent"))
        assert command[0] == "aarch64-linux-gnu-gcc"
        assert command[command.index("-o") + 1] == "/out/agent"
        assert {"-static", "-nostdlib", "-Wall", "-Wextra", "-Werror", "-mno-outline-atomics"} <= set(command)
        assert "-mno-red-zone" not in command
        assert initramfs.compile_command("x86_64", Path("x"))[0] == "cc"

    @fakes.x86_only
    def test_a_compiler_for_newer_processors_produces_the_same_agent(
        self, store: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """RHEL 10's compiler targets x86-64-v3 by default, and a guest's processor may be older."""
        usual = initramfs.agent("x86_64", store).read_bytes()
        wrapper = tmp_path / "bin" / "cc"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {tool("cc")} -march=x86-64-v3 "$@"\n')
        wrapper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        assert initramfs.agent("x86_64", Cache(tmp_path / "other")).read_bytes() == usual

    def test_every_source_of_the_agent_is_compiled(self) -> None:
        command = initramfs.compile_command("x86_64", Path("agent"))
        assert {Path(word).name for word in command if word.endswith(".c")} == {
            path.name for path in initramfs.AGENT.glob("*.c")
        }

    def test_an_architecture_without_entry_code_is_wrong_use(self) -> None:
        with pytest.raises(UsageError, match="no entry code for riscv64") as caught:
            initramfs.compile_command("riscv64", Path("agent"))
        assert "aarch64, x86_64" in caught.value.hint
        assert "arch_riscv64.h" in caught.value.hint

    def test_every_listed_architecture_has_entry_code(self) -> None:
        named = set(initramfs._ARCH_FLAGS)
        assert {path.stem.removeprefix("arch_") for path in initramfs.AGENT.glob("arch_*.h")} == named

    def test_a_missing_compiler_is_named(self, store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(initramfs, "compiler", lambda _: "no-such-gcc")
        initramfs._source_digest.cache_clear()
        with pytest.raises(KconformError, match="no C compiler for x86_64: no-such-gcc is not installed"):
            initramfs.agent("x86_64", store)
        initramfs._source_digest.cache_clear()

    def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(
        self, store: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        broken = fakes.quitter(tmp_path / "gcc", 1, "agent.c:7: error: no")
        monkeypatch.setattr(initramfs, "compiler", lambda _: str(broken))
        initramfs._source_digest.cache_clear()
        with pytest.raises(KconformError, match=r"does not compile:\n  agent\.c:7: error: no"):
            initramfs.agent("x86_64", store)
        initramfs._source_digest.cache_clear()
        assert store.entries() == []


BOOTABLE = "".join(f"CONFIG_{name}=y\n" for name in REQUIRED_OPTIONS)


class TestBootable:
    def test_a_kernel_with_all_required_options(self, tmp_path: Path) -> None:
        check_bootable(fakes.kernel(tmp_path, BOOTABLE))

    @pytest.mark.parametrize("name", REQUIRED_OPTIONS)
    @pytest.mark.parametrize("value", ["n", "m"])
    def test_a_missing_or_modular_option_is_named_with_its_purpose(
        self, tmp_path: Path, name: str, value: str
    ) -> None:
        config = BOOTABLE.replace(f"CONFIG_{name}=y\n", f"CONFIG_{name}={value}\n")
        with pytest.raises(UsageError) as caught:
            check_bootable(fakes.kernel(tmp_path, config))
        assert caught.value.message == (
            f"fake-6.12.7/full cannot be tested: it lacks CONFIG_{name} ({REQUIRED_OPTIONS[name]})"
        )
        assert caught.value.exit_status == 4

    def test_all_missing_options_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as caught:
            clone_pool.check_bootable(fakes.kernel(tmp_path))
        assert all(f"CONFIG_{name} " in caught.value.message for name in REQUIRED_OPTIONS)

    @pytest.mark.parametrize(
        ("config", "arguments"),
        [
            ("CONFIG_X86_X32=y\nCONFIG_IA32_EMULATION=y\n", ()),
            ("CONFIG_X86_X32=y\nCONFIG_X86_X32_DISABLED=y\n", ("syscall.x32=y",)),
            ("CONFIG_IA32_EMULATION=y\nCONFIG_IA32_EMULATION_DEFAULT_DISABLED=y\n", ("ia32_emulation=1",)),
        ],
        ids=["open", "x32", "int-0x80"],
    )
    def test_disabled_entries_are_enabled(self, tmp_path: Path, config: str, arguments: tuple[str, ...]) -> None:
        kernel = fakes.kernel(tmp_path, config)
        machine = clone_pool.Pool(Cache(tmp_path))._machine(
            kernel, clone_pool.Boot(arguments=("audit=1",)), kvm=False
        )
        assert machine.arguments == (*arguments, "audit=1")


def test_every_kind_of_disk_can_be_created() -> None:
    assert set(disk_images._MAKERS) == {"squashfs", "ext2", "9p"}
