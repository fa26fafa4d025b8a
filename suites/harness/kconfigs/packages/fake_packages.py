# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of every format, as small as they can be and still look right."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from suites.harness.hostile_files import member, packed, tar
from suites.harness.kconfigs.fake_kernels import CONFIG, RELEASE, bzimage

MODULES = f"lib/modules/{RELEASE}"
IMAGE = bzimage()

INSTALLED = {f"boot/vmlinuz-{RELEASE}": IMAGE, f"boot/config-{RELEASE}": CONFIG.encode()}
"""An image and its configuration, as Debian, Ubuntu, `make tarxz-pkg` and others have them."""
WITH_MODULES = {f"{MODULES}/vmlinuz": IMAGE, f"{MODULES}/config": CONFIG.encode()}
"""The same as Fedora, openSUSE and `make binrpm-pkg` have them."""
MODULE = {f"{MODULES}/kernel/fs/a.ko": b"module", f"{MODULES}/modules.order": b"kernel/fs/a.ko\n"}


# Tar archives


def tar_of(files: Mapping[str, bytes]) -> bytes:
    return tar(*(member(name, content) for name, content in files.items()))


def pkginfo(**fields: str) -> bytes:
    return b"# Generated\n" + "".join(f"{name} = {value}\n" for name, value in fields.items()).encode()


ARCH_INFO = pkginfo(pkgname="linux", pkgver="6.12.7.arch1-1", arch="x86_64", packager="Us <us@archlinux.org>")
ALPINE_INFO = pkginfo(pkgname="linux-lts", pkgver="6.12.7-r0", arch="x86_64", packager="Us <us@alpinelinux.org>")


def pax(**fields: str) -> bytes:
    """An extended header for the member that follows."""
    content = b""
    for name, value in fields.items():
        text = f" {name.replace('__', '.')}={value}\n".encode()
        size = len(text)
        while size != len(text) + len(str(size)):
            size = len(text) + len(str(size))
        content += str(size).encode() + text
    return member("PaxHeaders/x", content, type=b"x")


def arch_package(files: Mapping[str, bytes], info: bytes = ARCH_INFO, packing: str = "zstd") -> bytes:
    return packed(packing, tar_of({".BUILDINFO": b"", ".MTREE": b"", ".PKGINFO": info, **files}))


def apk(*data: bytes, info: bytes = ALPINE_INFO) -> bytes:
    """Three archives, the first two without an end."""
    signature = member(".SIGN.RSA.us.rsa.pub", b"signature")
    control = member(".PKGINFO", info)
    return b"".join(gzip.compress(part, mtime=0) for part in (signature, control, tar(*data)))


def apk_files(files: Mapping[str, bytes]) -> list[bytes]:
    """Each file has its checksum in an extended header, as abuild writes it."""
    checksum = pax(APK_TOOLS__checksum__SHA1="0")
    return [part for name, content in files.items() for part in (checksum, member(name, content))]


# RPM packages


def cpio(name: str, content: bytes = b"", *, mode: int = 0o100644, links: int = 1, **lies: int) -> bytes:
    """A file of a cpio archive; `lies` are what the header says instead of the truth."""
    raw = name.encode() + b"\0"
    fields = {"size": len(content), "name_size": len(raw), **lies}
    numbers = [1, mode, 0, 0, links, 0, fields["size"], 0, 0, 0, 0, fields["name_size"], 0]
    header = b"070701" + b"".join(b"%08x" % number for number in numbers)
    head = header + raw
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


def cpio_of(files: Mapping[str, bytes]) -> bytes:
    return b"".join(cpio(f"./{name}", content) for name, content in files.items()) + LAST


LAST = cpio("TRAILER!!!")

_TAGS = {"name": 1000, "version": 1001, "release": 1002, "vendor": 1011, "arch": 1022, "files": 1117}
FEDORA = {"name": "kernel-core", "version": "6.12.7", "release": "200.fc41", "arch": "x86_64"}


def rpm_header(entries: Sequence[tuple[int, int, int, int]], store: bytes, **lies: int) -> bytes:
    counts = {"count": len(entries), "size": len(store), **lies}
    index = b"".join(struct.pack(">IIII", *entry) for entry in entries)
    return struct.pack(">4s4xII", b"\x8e\xad\xe8\x01", counts["count"], counts["size"]) + index + store


def rpm(payload: bytes, *, kind: int = 0, lies: Mapping[str, int] | None = None, **fields: str | list[str]) -> bytes:
    """A package with that payload, and these fields beside FEDORA's."""
    entries, store = [], b""
    for field, value in ({**FEDORA, "vendor": "Fedora Project"} | fields).items():
        texts = value if isinstance(value, list) else [value]
        entries.append((_TAGS[field], 8 if isinstance(value, list) else 6, len(store), len(texts)))
        store += b"".join(text.encode() + b"\0" for text in texts)
    lead = struct.pack(">4sBBH88x", b"\xed\xab\xee\xdb", 3, 0, kind)
    signature = rpm_header([(1000, 7, 0, 5)], b"12345") + bytes(3)
    return lead + signature + rpm_header(entries, store, **(lies or {})) + payload


def kernel_rpm(files: Mapping[str, bytes], packing: str = "zstd", **fields: Any) -> bytes:
    names = [name.rsplit("/", 1)[1] for name in files]
    return rpm(packed(packing, cpio_of(files)), files=names, **fields)


# EFI programs


def efi(sections: Mapping[str, bytes], machine: int = 0x8664, **lies: int) -> bytes:
    """A program with these sections; `lies` are what the headers say instead of the truth."""
    table, where = b"", 0x1000
    for name, content in sections.items():
        size, start = lies.get("size", len(content)), lies.get("start", where)
        table += struct.pack("<8sIIII16x", name.encode(), size, 0, -(-size // 512) * 512 & 0xFFFFFFFF, start)
        where += -(-len(content) // 512) * 512
    count = lies.get("count", len(sections))
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", lies.get("header", 0x80))
    head = head.ljust(0x80, b"\0") + struct.pack("<4sHH12xHH", b"PE\0\0", machine, count, 240, 0)
    head = (head + bytes(240) + table).ljust(0x1000, b"\0")
    return head + b"".join(content.ljust(-(-len(content) // 512) * 512, b"\0") for content in sections.values())


STUB = {".text": b"stub", ".osrel": b"ID=arch\n", ".cmdline": b"root=/dev/sda1 quiet\n"}
