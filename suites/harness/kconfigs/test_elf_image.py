# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels as ELF files: those that QEMU can boot are images, all others are refused."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest

from common.errors import UsageError
from kconfigs import input_limits
from kconfigs.cache import Cache
from kconfigs.elf_image import pvh_memory
from kconfigs.image import inspect, memory_to_start
from kconfigs.kconfig import Config
from suites.harness import hostile_files as hostile
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.kconfigs.fake_kernels import CONFIG, RELEASE

pytestmark = pytest.mark.usefixtures("_x86_64")

PVH = struct.pack("<III", 4, 8, 18) + b"Xen\0" + bytes(8)
OTHER = struct.pack("<III", 4, 6, 6) + b"Xen\0" + b"linux\0\0\0"
BANNER = f"Linux version {RELEASE} (us@here) (gcc 12) #1 SMP Debian 6.12.117-1 (2026-11-12)\n".encode()


def segment(kind: int, offset: int, address: int, size: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, 0, offset, 0, address, size, size, 0)


def vmlinux(notes: bytes = OTHER + PVH, content: bytes = BANNER, **lies: int) -> bytes:
    """A kernel of two segments and notes; `lies` are what the header says instead of the truth."""
    fields = {"bits": 2, "machine": 62, "segments": 64, "size": 56, "count": 3, "where": 0x200, **lies}
    header = struct.pack(
        "<4sBB12xH12xQ14xHH6x", b"\x7fELF", fields["bits"], 1, *(fields[one] for one in ("machine", "segments")),
        *(fields[one] for one in ("size", "count")),
    )  # fmt: skip
    table = segment(1, 0x400, 16 << 20, 20 << 20) + segment(1, 0x400, 40 << 20, 5 << 20)
    table += segment(4, fields["where"], 0, len(notes))
    return (header + table).ljust(0x200, b"\0") + notes.ljust(0x200, b"\0") + content


def test_a_kernel_with_an_entry_for_pvh_is_an_image(tmp_path: Path) -> None:
    (tmp_path / "vmlinux").write_bytes(vmlinux())
    (tmp_path / "config").write_text(CONFIG)
    kernel = fakes.resolved(str(tmp_path), cache=Cache(tmp_path / "cache")).kernel()
    assert (kernel.image, kernel.config) == (tmp_path / "vmlinux", Config.parse(CONFIG))
    assert (kernel.arch, kernel.release, kernel.version) == ("x86_64", RELEASE, (6, 12, 117))
    assert memory_to_start(kernel.image) == 45 << 20


def test_a_banner_across_pieces_is_whole(tmp_path: Path) -> None:
    """The stable version is near its end."""
    (tmp_path / "vmlinux").write_bytes(vmlinux(content=bytes((1 << 20) - 0x400 - 40) + BANNER))
    assert inspect(tmp_path / "vmlinux").stable == (6, 12, 117)


def test_a_kernel_of_ppc64le_is_one(tmp_path: Path) -> None:
    """QEMU boots it without such an entry, if the byte order is right."""
    path = tmp_path / "vmlinux"
    path.write_bytes(vmlinux(notes=b"", machine=21))
    image = inspect(path)
    assert (image.arch, image.release, image.stable) == ("ppc64le", RELEASE, (6, 12, 117))
    path.write_bytes(vmlinux(notes=b"", machine=21, content=b"a program"))
    with pytest.raises(UsageError, match="is an ELF file, but not a Linux kernel"):
        inspect(path)
    content = bytearray(vmlinux(notes=b"", machine=21))
    content[5] = 2
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"is an ELF file for .*, not a bootable image"):
        inspect(path)


@pytest.mark.parametrize(
    "content",
    [
        vmlinux(notes=OTHER),
        vmlinux(notes=b""),
        vmlinux(notes=PVH.replace(b"Xen", b"GNU")),
        vmlinux(notes=struct.pack("<III", 0xFFFFFFFF, 0xFFFFFFFF, 1) + PVH),
        vmlinux(where=0x7FFFFFFFFFFFFFFF),
        vmlinux(where=1 << 40),
        vmlinux(bits=1),
        vmlinux(machine=183),
        vmlinux(size=0),
        vmlinux(size=57),
        vmlinux(segments=1 << 63),
        vmlinux(count=0),
        vmlinux(count=0xFFFF),
        vmlinux()[:63],
    ],
    ids=[
        "no-entry", "no-notes", "a-note-of-another", "a-note-without-end", "notes-beyond-all", "notes-outside",
        "32-bits", "arm64", "no-size", "another-size", "segments-outside", "no-segments", "many-segments", "cut",
    ],
)  # fmt: skip
def test_one_that_qemu_cannot_boot_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vmlinux").write_bytes(content)
    with pytest.raises(UsageError, match=r"is an ELF file for .*, not a bootable image") as caught:
        inspect(tmp_path / "vmlinux")
    assert "CONFIG_PVH" in caught.value.hint


def test_another_program_for_pvh_is_refused(tmp_path: Path) -> None:
    """Such as a firmware or another system's kernel."""
    (tmp_path / "kernel").write_bytes(vmlinux(content=b"NetBSD 10.0"))
    with pytest.raises(UsageError, match="is an ELF file, but not a Linux kernel"):
        inspect(tmp_path / "kernel")


def test_a_huge_one_is_refused(tmp_path: Path) -> None:
    """Debugging information makes it much larger than an image, but not without end."""
    path = hostile.sparse(tmp_path / "vmlinux", input_limits.IMAGE + 1, vmlinux())
    assert inspect(path).release == RELEASE
    hostile.sparse(path, 1 << 40, vmlinux())
    with pytest.raises(UsageError, match="is larger than 1 GiB, which no kernel image is"):
        inspect(path)


def test_the_memory_that_it_claims_is_bounded(tmp_path: Path) -> None:
    content = bytearray(vmlinux())
    struct.pack_into("<Q", content, 64 + 40, (1 << 64) - 1)
    assert pvh_memory(io.BytesIO(bytes(content))) > 1 << 60
    (tmp_path / "vmlinux").write_bytes(content)
    assert memory_to_start(tmp_path / "vmlinux") == input_limits.UNPACKED_IMAGE
