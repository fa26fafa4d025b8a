# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel image says about itself: architecture, release, whether it is complete, and its configuration.

The x86 layout is that of Documentation/arch/x86/boot.rst; other images are recognised by their magic numbers.
Everything is read from the bytes; no image is ever run or trusted.
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
from common.text import printable
from common.versions import Version, release_version
from kconfigs.kconfig import Config

_PE_MACHINES = {0x8664: "x86_64", 0x014C: "i386", 0xAA64: "aarch64", 0x5064: "riscv64", 0x01C2: "arm"}
_ELF_MACHINES = {3: "i386", 62: "x86_64", 183: "aarch64", 243: "riscv64", 40: "arm", 21: "ppc64", 22: "s390x"}
_X86_SECTOR = 512
_BANNER = re.compile(rb"Linux version (\S+) ")
_DEBIAN = re.compile(rb" Debian (\d+\.\d+\.\d+)-")
"""In the banner of Debian's kernels: before 6.12, `uname -r` has the number of their ABI, not the stable version."""


@dataclass(frozen=True)
class Image:
    """A file whose header is that of a kernel image."""

    path: Path
    arch: str
    """`uname -m`."""
    release: str
    """`uname -r`, or empty where the header does not say."""
    stable: Version = ()
    """The stable version that it was made from, if the header has it and the release does not."""


def inspect(path: Path) -> Image:
    """Read the header.  UsageError if this is not a kernel image that can be booted, or if it is cut short."""
    name = printable(path)
    try:
        with path.open("rb") as file:
            head = file.read(0x10000)
        size = path.stat().st_size
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error
    if head[0x202:0x206] == b"HdrS":
        return Image(path, *_x86(name, head, size))
    if not head:
        raise UsageError(f"{name} is empty", hint=_WANTED)
    if head[:4] == b"\x7fELF":
        machine = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0] if len(head) > 20 else 0
        what = f"an ELF file for {_ELF_MACHINES.get(machine, 'an unknown architecture')}"
        raise UsageError(
            f"{name} is {what}, not a bootable image",
            hint="pass the bzImage that was built along with it (arch/x86/boot/bzImage), not vmlinux",
        )
    arch = _other_arch(head)
    if arch is None:
        raise UsageError(f"{name} is not a kernel image", hint=_WANTED)
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
    """The kernel itself, without the code that unpacks it at boot.

    UsageError if the compressed part is damaged, or if no program here can unpack it.
    """
    try:
        data = image.path.read_bytes()
    except OSError as error:
        raise UsageError(f"{printable(image.path)} cannot be read: {error.strerror}") from error
    payload = _x86_payload(data) if data[0x202:0x206] == b"HdrS" else data
    for magic, name in _COMPRESSIONS.items():
        if payload.startswith(magic):
            try:
                return _decompress(name, payload)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                raise UsageError(
                    f"{printable(image.path)} is damaged: its {name} payload does not unpack ({error})",
                    hint="copy or build it again",
                ) from error
    return payload


def _x86(name: str, head: bytes, size: int) -> tuple[str, str, Version]:
    if len(head) < 0x250:
        raise UsageError(f"{name} is cut short: it ends in the header", hint="copy or build it again")
    setup_sectors = head[0x1F1] or 4
    (paragraphs,) = struct.unpack_from("<I", head, 0x1F4)
    whole = (setup_sectors + 1) * _X86_SECTOR + paragraphs * 16
    if size < whole:
        raise UsageError(
            f"{name} is cut short: it has {size} bytes of the {whole} that its header announces",
            hint="copy or build it again",
        )
    (protocol,) = struct.unpack_from("<H", head, 0x206)
    (load_flags,) = struct.unpack_from("<H", head, 0x236) if protocol >= 0x20C else (0,)
    (offset,) = struct.unpack_from("<H", head, 0x20E)
    version = head[offset + 0x200 :].split(b"\0", 1)[0] if offset else b""
    release = version.split(b" ", 1)[0].decode("ascii", errors="replace")
    debian = _DEBIAN.search(version)
    stable = release_version(debian[1].decode()) if debian else ()
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
"""The first bytes of a payload, and the name of the program that unpacks it."""


def _decompress(name: str, payload: bytes) -> bytes:
    # Kbuild appends the unpacked size, which each unpacker has to ignore.
    if name == "gzip":
        return zlib.decompressobj(wbits=31).decompress(payload)
    if name in {"xz", "lzma"}:
        return lzma.LZMADecompressor().decompress(payload)
    if name == "bzip2":
        return bz2.BZ2Decompressor().decompress(payload)
    if shutil.which(name) is None:
        raise UsageError(
            f"the kernel image is packed with {name}, and that program is not installed",
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
