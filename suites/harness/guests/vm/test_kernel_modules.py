# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules of a kernel: how they are found and unpacked, and those that virtio needs."""

from __future__ import annotations

import gzip
import lzma
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from guests.errors import KconformError
from guests.vm.boot_request import DEFAULT_BOOT, Boot
from guests.vm.clone_pool import Pool
from guests.vm.kernel_modules import find_module, read_module, virtio_modules
from kconfigs.architectures import ARCHITECTURES
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from suites.harness.guests import fakes


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
        packed = subprocess.run([fakes.tool("zstd"), "-c"], input=b"content", capture_output=True, check=True).stdout
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
            (fakes.MODULAR_VIRTIO, IN_ORDER),
            ("CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_CONSOLE=m\n", ["virtio_ring", "virtio", "virtio_console"]),
            ("CONFIG_VIRTIO_PCI=m\n", None),
            ("", None),
            (f"{fakes.MODULAR_VIRTIO}CONFIG_SECURITY_LOADPIN=y\n", None),
            (f"{fakes.MODULAR_VIRTIO}CONFIG_MODULE_SIG_FORCE=y\n", None),
        ],
        ids=[
            *("built-in", "built-in-with-loadpin", "modules", "one-of-both"),
            *("no-console", "neither", "loadpin", "only-signed"),
        ],
    )
    def test_the_modules_and_their_order(self, tmp_path: Path, config: str, loaded: list[str] | None) -> None:
        found = virtio_modules(self.kernel(tmp_path, config))
        assert (None if found is None else list(found)) == loaded

    @pytest.mark.parametrize(
        ("config", "arguments", "refused"),
        [
            ("CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY=y\n", "", True),
            ("CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY=y\n", "", True),
            ("", "lockdown=integrity", True),
            ("", "quiet lockdown=confidentiality", True),
            ("", "module.sig_enforce=1", True),
            ("", "module.sig-enforce", True),
            ('CONFIG_CMDLINE_BOOL=y\nCONFIG_CMDLINE="quiet lockdown=integrity"\n', "", True),
            ("", "lockdown=none module.sig_enforce=0 lsm=lockdown", False),
        ],
    )
    def test_what_a_kernel_would_refuse_is_not_loaded(
        self, tmp_path: Path, config: str, arguments: str, refused: bool
    ) -> None:
        """Unless it is signed, as modules of distributions are."""
        kernel = self.kernel(tmp_path, fakes.MODULAR_VIRTIO + config)
        words = tuple(arguments.split())
        assert (virtio_modules(kernel, words) is None) == refused
        pool = Pool(Cache(tmp_path / "cache"))
        machine = pool._machine(kernel, Boot(arguments=words), kvm=False)
        assert machine.virtio != refused
        for module in (tmp_path / "modules" / "drivers").iterdir():
            module.write_bytes(module.read_bytes() + b"signature~Module signature appended~\n")
        virtio_modules.cache_clear()
        assert list(virtio_modules(kernel, words) or ()) == IN_ORDER

    def test_without_another_port_the_arguments_do_not_count(self, tmp_path: Path) -> None:
        option = ARCHITECTURES["s390x"].virtio_option
        kernel = self.kernel(tmp_path, f"CONFIG_{option}=y\nCONFIG_VIRTIO_CONSOLE=m\n")
        assert virtio_modules(replace(kernel, arch="s390x"), ("lockdown=integrity",))

    @pytest.mark.parametrize("missing", ["virtio_pci", "virtio_console"])
    def test_missing_modules_are_not_loaded(self, tmp_path: Path, missing: str) -> None:
        assert virtio_modules(self.kernel(tmp_path, fakes.MODULAR_VIRTIO, without=missing)) is None

    def test_a_missing_dependency_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(KconformError, match="has no module virtio_ring"):
            virtio_modules(self.kernel(tmp_path, fakes.MODULAR_VIRTIO, without="virtio_ring"))

    def test_the_initramfs_contains_the_modules(self, tmp_path: Path) -> None:
        machines = Pool(Cache(tmp_path / "cache"))
        kernel = self.kernel(tmp_path, fakes.MODULAR_VIRTIO)
        machine = machines._machine(kernel, DEFAULT_BOOT, kvm=False)
        assert machine.virtio
        found = re.findall(rb"modules/(\d)\.ko\0+\x7fELF\0name=(\w+)\0", machine.initramfs.read_bytes())
        assert found == [(b"%d" % number, name.encode()) for number, name in enumerate(IN_ORDER)]
        serial = machines._machine(replace(kernel, modules=None), DEFAULT_BOOT, kvm=False)
        assert not serial.virtio
        assert b"modules/" not in serial.initramfs.read_bytes()
