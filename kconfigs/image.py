# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel image says about itself: architecture, release, whether it is whole, and its configuration.

The x86 layout is that of Documentation/arch/x86/boot.rst, the others are told apart by their magic
numbers.  Everything is read from the bytes; no image is ever run or trusted.
"""

from __future__ import annotations

import bz2
import lzma
import re
import shutil
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from kconfigs.fragments import Config
from kconfigs.kernel import version_of

_PE_MACHINES = {0x8664: "x86_64", 0x014C: "i386", 0xAA64: "aarch64", 0x5064: "riscv64", 0x01C2: "arm"}
_ELF_MACHINES = {3: "i386", 62: "x86_64", 183: "aarch64", 243: "riscv64", 40: "arm", 21: "ppc64", 22: "s390x"}
_X86_SECTOR = 512
_BANNER = re.compile(rb"Linux version (\S+) ")
_DEBIAN = re.compile(rb" Debian (\d+\.\d+\.\d+)-")
"""In the version of Debian's kernels: before 6.12 `uname -r` had their ABI's number instead of the stable one."""


@dataclass(frozen=True)
class Image:
    """An image that looks like a kernel, as far as its header tells."""

    path: Path
    arch: str
    """`uname -m`."""
    release: str
    """`uname -r`, or empty where the header does not say."""
    stable: tuple[int, ...] = ()
    """The stable version that it was made from, where the release does not tell and the header does."""


def inspect(path: Path) -> Image:
    """Read the header.  UsageError if it is no kernel image that can be booted, or one that is cut short."""
    try:
        with path.open("rb") as file:
            head = file.read(0x10000)
        size = path.stat().st_size
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if head[0x202:0x206] == b"HdrS":
        return Image(path, *_x86(path, head, size))
    if not head:
        raise UsageError(f"{path} is empty", hint=_WANTED)
    if head[:4] == b"\x7fELF":
        machine = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0] if len(head) > 20 else 0
        what = f"an ELF file for {_ELF_MACHINES.get(machine, 'an unknown architecture')}"
        raise UsageError(
            f"{path} is {what}, not a bootable image",
            hint="pass the bzImage that was built with it (arch/x86/boot/bzImage), not vmlinux",
        )
    arch = _other_arch(head)
    if arch is None:
        raise UsageError(f"{path} is not a kernel image", hint=_WANTED)
    return Image(path, arch, "")


_WANTED = "pass a bzImage or vmlinuz, a kernel tree, a .deb file, deb:PACKAGE, source or running"


def embedded_config(image: Image) -> Config | None:
    """The configuration that CONFIG_IKCONFIG puts into an image, or None if there is none."""
    content = unpack(image)
    start = content.find(b"IKCFG_ST")
    if start < 0:
        return None
    text = _inflate(content[start + 8 :])
    return Config.parse(text.decode(errors="replace")) if text else None


def banner_release(image: Image) -> str:
    """The release that the unpacked kernel announces; empty if it does not."""
    match = _BANNER.search(unpack(image))
    return match[1].decode(errors="replace") if match else ""


def unpack(image: Image) -> bytes:
    """The kernel proper, without its self-extracting shell.

    UsageError if the compressed part is damaged, or if there is no program here to unpack it.
    """
    try:
        data = image.path.read_bytes()
    except OSError as error:
        raise UsageError(f"{image.path} cannot be read: {error.strerror}") from error
    payload = _x86_payload(data) if data[0x202:0x206] == b"HdrS" else data
    for magic, name in _COMPRESSIONS.items():
        if payload.startswith(magic):
            try:
                return _decompress(name, payload)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                raise UsageError(
                    f"{image.path} is damaged: its {name} payload does not unpack ({error})",
                    hint="copy or build it again",
                ) from error
    return payload


def _x86(path: Path, head: bytes, size: int) -> tuple[str, str, tuple[int, ...]]:
    if len(head) < 0x250:
        raise UsageError(f"{path} is cut short: it ends in the header", hint="copy or build it again")
    setup_sectors = head[0x1F1] or 4
    (paragraphs,) = struct.unpack_from("<I", head, 0x1F4)
    whole = (setup_sectors + 1) * _X86_SECTOR + paragraphs * 16
    if size < whole:
        raise UsageError(
            f"{path} is cut short: {size} bytes of the {whole} that its header announces",
            hint="copy or build it again",
        )
    (protocol,) = struct.unpack_from("<H", head, 0x206)
    (load_flags,) = struct.unpack_from("<H", head, 0x236) if protocol >= 0x20C else (0,)
    (offset,) = struct.unpack_from("<H", head, 0x20E)
    version = head[offset + 0x200 :].split(b"\0", 1)[0] if offset else b""
    release = version.split(b" ", 1)[0].decode("ascii", errors="replace")
    debian = _DEBIAN.search(version)
    stable = version_of(debian[1].decode()) if debian else ()
    return ("x86_64" if load_flags & 1 else "i386"), release, stable


def _x86_payload(data: bytes) -> bytes:
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = ((data[0x1F1] or 4) + 1) * _X86_SECTOR + offset
    return data[start : start + length]


def _other_arch(head: bytes) -> str | None:
    if head[56:60] == b"ARM\x64":
        return "aarch64"
    if head[56:60] == b"RSC\x05":
        return "riscv64"
    if head[0x24:0x28] == b"\x18\x28\x6f\x01":
        return "arm"
    if head[:2] == b"MZ" and len(head) > 0x40:
        (where,) = struct.unpack_from("<I", head, 0x3C)
        if head[where : where + 4] == b"PE\0\0":
            return _PE_MACHINES.get(struct.unpack_from("<H", head, where + 4)[0])
    return None


_COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x02\x21\x4c\x18": "lz4",
    b"BZh": "bzip2",
    b"\x5d\x00\x00": "lzma",
    b"\x89LZO": "lzop",
}
"""The first bytes of a payload, by the name of the program that unpacks it."""


def _decompress(name: str, payload: bytes) -> bytes:
    # Kbuild appends the unpacked size, and each unpacker must put up with such a tail.
    if name == "gzip":
        return zlib.decompressobj(wbits=31).decompress(payload)
    if name in {"xz", "lzma"}:
        return lzma.LZMADecompressor().decompress(payload)
    if name == "bzip2":
        return bz2.BZ2Decompressor().decompress(payload)
    if shutil.which(name) is None:
        raise UsageError(
            f"the kernel image is packed with {name}, and there is no program of that name here",
            hint=f"install {name}, or give the configuration with --kernel-config",
        )
    done = subprocess.run([name, "-dc"], input=payload[:-4], capture_output=True, check=False)
    if not done.stdout:
        raise ValueError(done.stderr.decode(errors="replace").strip())
    return done.stdout


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(data)
    except zlib.error:
        return b""
