# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks of guests: images that are created on the host from a description, once for each content."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from guests.errors import KconformError
from guests.syscalls.block_devices import Verity
from guests.vm import cache_checksums
from guests.vm.file_converters import run_host_tool
from guests.vm.kernel_modules import read_module
from guests.vm.qemu_command import Disk
from kconfigs.cache import Cache
from kconfigs.kernel import Kernel

_FORMAT = 4
"""Incremented when the way that images are created changes."""


@dataclass(frozen=True)
class DiskPlan:
    """A disk that a test requests with `@pytest.mark.boot(disks=...)`, created for the kernel under test."""

    filesystem: str
    """`squashfs`, `ext2`, or `9p`: a directory of the host; the mount tag of the first disk is disk0."""
    modules: tuple[tuple[str, str], ...] = ()
    """Modules of the kernel under test, each with the option that builds it, in the top directory as NAME.ko.  They
    are left out if the kernel lacks the option: tests that need them say so with `needs`."""
    files: tuple[tuple[str, bytes], ...] = ()
    """Paths and contents of further files."""
    kernel: str = ""
    """If not empty, the path of a file that contains the image of the kernel under test."""
    read_only: bool = False
    """Whether the guest's block device is read-only."""
    salt: str = ""
    """If not empty, a dm-verity hash tree with this salt, in hexadecimal, follows the file system."""
    trusts: tuple[DiskPlan, ...] = ()
    """If not empty, the file `digests` is LoadPin's list of these disks' root digests."""

    def make(self, kernel: Kernel, store: Cache) -> Disk:
        """The disk, with its image from the cache or newly created.  KconformError if something is missing."""
        contents = self._contents(kernel, store)
        digest = hashlib.sha256(f"{_FORMAT}\0{self.filesystem}\0{self.salt}".encode())
        for name in sorted(contents):
            digest.update(f"{name}\0{len(contents[name])}\0".encode() + contents[name])

        def build(directory: Path) -> None:
            with tempfile.TemporaryDirectory(prefix="kconform-disk-") as scratch:
                source = directory / "image" if self.filesystem == "9p" else Path(scratch)
                for name, content in contents.items():
                    path = source / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                _set_modes(source)
                _MAKERS[self.filesystem](source, directory / "image")
            if self.salt:
                verity = _add_hash_tree(directory / "image", self.salt)
                (directory / "verity.json").write_text(json.dumps(asdict(verity)), encoding="utf-8")

        entry = store.get(
            "disks",
            f"{self.filesystem}-{digest.hexdigest()[:24]}",
            cache_checksums.with_checksums(build),
            cache_checksums.check,
        )
        verity = Verity(**json.loads((entry / "verity.json").read_text(encoding="utf-8"))) if self.salt else None
        return Disk(entry / "image", self.read_only, verity, shared=self.filesystem == "9p")

    def _contents(self, kernel: Kernel, store: Cache) -> dict[str, bytes]:
        contents = dict(self.files)
        if kernel.config.enabled("MODULES"):
            present = [module for module, option in self.modules if kernel.config.enabled(option)]
            contents |= {f"{module}.ko": read_module(kernel, module) for module in present}
        if self.kernel:
            contents[self.kernel] = kernel.image.read_bytes()
        if self.trusts:
            digests = [disk.verity.root_digest for plan in self.trusts if (disk := plan.make(kernel, store)).verity]
            contents["digests"] = digest_list(*digests)
        return contents


def _set_modes(directory: Path) -> None:
    """Give all files and directories their modes in the guest, whatever the umask is."""
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


DIGESTS_HEADER = "# LOADPIN_TRUSTED_VERITY_ROOT_DIGESTS"


def digest_list(*digests: str) -> bytes:
    """A list of trusted root digests in LoadPin's format."""
    return "\n".join([DIGESTS_HEADER, *digests, ""]).encode()


def _squashfs(contents: Path, image: Path) -> None:
    # Every squashfs supports gzip, but nothing is compressed, because decompression is slow under emulation.  Times
    # and owners are fixed, so that the image is reproducible.
    run_host_tool(
        [
            *("mksquashfs", str(contents), str(image), "-quiet", "-no-progress", "-no-xattrs", "-comp", "gzip"),
            *("-noI", "-noD", "-noF", "-all-root", "-all-time", "0", "-mkfs-time", "0"),
        ]
    )


def _ext2(contents: Path, image: Path) -> None:
    size = sum(path.stat().st_size for path in contents.rglob("*"))
    blocks = max(1024, 2 * size // 1024 + 512)
    identity = ["-U", "00000000-0000-0000-0000-000000000001", "-E", "root_owner=0:0"]
    # The host's mke2fs.conf may enable features that old kernels do not support.
    layout = ["-b", "1024", "-I", "256", "-O", "none,filetype,sparse_super,large_file"]
    run_host_tool(["mke2fs", "-q", "-t", "ext2", *layout, *identity, "-d", str(contents), str(image), str(blocks)])


def _directory(contents: Path, image: Path) -> None:
    """Nothing to do: the directory itself is shared."""
    if contents != image:
        raise ValueError(f"{contents} is shared as it is, and {image} is another place")


_MAKERS = {"squashfs": _squashfs, "ext2": _ext2, "9p": _directory}


def _add_hash_tree(image: Path, salt: str) -> Verity:
    """Pad the image to whole blocks and append the hash tree, without veritysetup's superblock."""
    size = Verity.block_size
    blocks = -(-image.stat().st_size // size)
    with image.open("ab") as file:
        file.truncate(blocks * size)
    output = run_host_tool(
        [
            *("veritysetup", "format", str(image), str(image), "--no-superblock", "--hash", "sha256"),
            *("--data-block-size", str(size), "--hash-block-size", str(size), "--data-blocks", str(blocks)),
            *("--hash-offset", str(blocks * size), "--salt", salt),
        ]
    ).decode()
    root = re.search(r"^Root hash:\s*([0-9a-f]+)$", output, re.MULTILINE)
    if root is None:
        raise KconformError(f"veritysetup printed no root hash: {output.strip()}")
    return Verity(root[1], salt, blocks, hash_start=blocks)
