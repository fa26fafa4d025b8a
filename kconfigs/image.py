# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel image says about itself: architecture, release, whether it is complete, and its configuration.

The x86 layout is that of Documentation/arch/x86/boot.rst; other images are recognised by their magic numbers.
Everything is read from the bytes; no image is ever run or trusted.  A kernel is unpacked piece by piece, and what
takes more than kconfigs.input_limits allows is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from common import bounded
from common.errors import UsageError
from common.text import printable
from common.versions import Version, release_version
from kconfigs import input_limits, s390_image, zimage
from kconfigs.decompression import (
    DamagedDataError,
    MissingProgramError,
    Pieces,
    TooLargeError,
    format_of,
    pieces_of,
    unpacked,
)
from kconfigs.efi_program import read_program
from kconfigs.elf_image import pvh_memory
from kconfigs.image_magic import bootable_elf, elf_machine, other_arch
from kconfigs.kconfig import Config

HEAD = 0x11000
"""Bytes at the beginning of a file that are enough to know what it is."""
_X86_SECTOR = 512
_BANNER = re.compile(rb"Linux version ([!-~]{1,64}) ")
_RELEASE = re.compile(r"[!-~]{0,64}")
"""No release is longer (__NEW_UTS_LEN in uapi/linux/utsname.h)."""
_CONFIG_MARK = b"IKCFG_ST"
_BANNER_SIZE = 512
"""It has about 200 bytes: the release, who built it with which compiler, and when."""
_OVERLAP = 256
"""Bytes that two pieces of an unpacked kernel share when they are searched: more than the banner or the mark has."""
_DEBIAN = re.compile(rb" Debian (\d+\.\d+\.\d+)-")
"""In the banner of Debian's kernels: before 6.12, `uname -r` has the number of their ABI, not the stable version."""


class NoUnpackerError(UsageError):
    """The program that would unpack an image is not installed."""


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
        with bounded.open_file(path) as file:
            head = file.read(HEAD)
            size = os.fstat(file.fileno()).st_size
            elf_arch = "x86_64" if pvh_memory(file) > 0 else bootable_elf(head)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}", hint="name a file that you may read") from error
    # An ELF file is not packed, and may have debugging information.
    limit = input_limits.UNPACKED_IMAGE if elf_arch else input_limits.IMAGE
    if size > limit:
        raise bounded.too_large(name, limit, "kernel image")
    return _elf(path, elf_arch) if elf_arch else image_of(path, head, size)


def _elf(path: Path, arch: str) -> Image:
    announced = banner(Image(path, arch, ""))
    if not announced:
        raise UsageError(f"{printable(path)} is an ELF file, but not a Linux kernel", hint=_WANTED)
    return Image(path, arch, announced.split()[2], banner_version(announced.encode()))


def image_of(path: Path, head: bytes, size: int) -> Image:
    """The image that begins with these bytes (HEAD of them, or all) and has that size.  UsageError as from `inspect`.

    `path` is what messages name, and what the image says its path is.
    """
    name = printable(path)
    if head[0x202:0x206] == b"HdrS":
        return Image(path, *_x86(name, head, size))
    if not head:
        raise UsageError(f"{name} is empty", hint=_WANTED)
    if head[:4] == b"\x7fELF":
        what = f"an ELF file for {elf_machine(head)}"
        raise UsageError(
            f"{name} is {what}, not a bootable image",
            hint="pass the bzImage that was built with it (arch/x86/boot/bzImage), or a vmlinux with CONFIG_PVH",
        )
    arch = other_arch(head)
    if arch is None:
        program = read_program(head)
        what = f"an EFI program for {program.machine} that contains no kernel" if program else "not a kernel image"
        raise UsageError(f"{name} is {what}", hint=_WANTED)
    return Image(path, arch, "")


def memory_to_start(path: Path) -> int:
    """How many bytes of memory the kernel in an x86 image needs to unpack itself and to start; 0 if it does not say.

    init_size in Documentation/arch/x86/boot.rst, since protocol 2.10.
    """
    with contextlib.suppress(OSError), bounded.open_file(path) as file:
        if end := pvh_memory(file):
            return min(end, input_limits.UNPACKED_IMAGE)
        file.seek(0)
        head = file.read(0x264)
        if len(head) == 0x264 and head[0x202:0x206] == b"HdrS" and struct.unpack_from("<H", head, 0x206) >= (0x20A,):
            return min(int.from_bytes(head[0x260:0x264], "little"), input_limits.UNPACKED_IMAGE)
    return 0


_WANTED = "pass a bzImage or vmlinuz, a kernel tree, a package file, deb:PACKAGE, source or running"


def embedded_config(image: Image) -> Config | None:
    """The configuration that CONFIG_IKCONFIG puts into an image, or None if there is none.

    UsageError, as from `banner_release`, for a kernel that does not unpack.
    """
    with contextlib.closing(_kernel(image)) as pieces:
        rest = b""
        for piece in pieces:
            before, mark, rest = (rest + piece).partition(_CONFIG_MARK)
            if mark:
                return _config_in(image, rest, pieces)
            rest = before[-_OVERLAP:]
    return None


def _config_in(image: Image, packed: bytes, pieces: Iterator[bytes]) -> Config | None:
    """The configuration that begins here and goes on in the next pieces."""
    inflate = zlib.decompressobj(wbits=31)
    text = b""
    with contextlib.suppress(zlib.error):  # the kernel has the mark somewhere else too
        while packed and not inflate.eof:
            text += inflate.decompress(packed, input_limits.CONFIG + 1 - len(text))
            if len(text) > input_limits.CONFIG:
                raise UsageError(
                    f"the configuration inside {printable(image.path)} is larger than"
                    f" {bounded.size(input_limits.CONFIG)}, which no configuration is",
                    hint="copy or build the image again",
                )
            packed = inflate.unconsumed_tail or next(pieces, b"")
    return Config.parse(text.decode(errors="replace")) if inflate.eof else None


def banner_release(image: Image) -> str:
    """The release that the unpacked kernel announces; empty if it does not."""
    return "".join(banner(image).split()[2:3])


def banner(image: Image) -> str:
    """The line with which the unpacked kernel announces itself, from `Linux version` on; empty if it has none."""
    if image.arch == "s390x":
        with contextlib.suppress(OSError), bounded.open_file(image.path) as file:
            line = b"Linux version " + s390_image.version_line(file)
            return line.decode("ascii", "replace") if _BANNER.match(line) else ""
    with contextlib.closing(_kernel(image)) as pieces:
        rest = b""
        for piece in pieces:
            window = rest + piece
            if match := _BANNER.search(window):
                line = window[match.start() : match.start() + _BANNER_SIZE] + next(pieces, b"")[:_BANNER_SIZE]
                return re.split(rb"[\n\0]", line[:_BANNER_SIZE])[0].decode("ascii", "replace")
            rest = window[-_OVERLAP:]
    return ""


def _kernel(image: Image) -> Pieces:
    """The kernel itself, in pieces, without the code that unpacks it at boot.

    UsageError if the compressed part is damaged, if it never ends, or if no program here can unpack it.
    """
    name = printable(image.path)
    try:
        with bounded.open_file(image.path) as file:
            start, end = _payload(file)
            file.seek(start)
            packing = format_of(file.read(16))
            if packing is None:
                yield from pieces_of(file, start, end - start)
                return
            with contextlib.closing(
                unpacked(packing, pieces_of(file, start, end - start), input_limits.UNPACKED_IMAGE, has_tail=True)
            ) as kernel:
                yield from kernel
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}", hint="name a file that you may read") from error
    except DamagedDataError as error:
        raise UsageError(
            f"{name} is damaged: its {packing} payload does not unpack ({error})", hint="copy or build it again"
        ) from error
    except TooLargeError as error:
        raise UsageError(
            f"{name} unpacks to more than {bounded.size(input_limits.UNPACKED_IMAGE)}, which no kernel does",
            hint="copy or build it again",
        ) from error
    except MissingProgramError as error:
        raise NoUnpackerError(
            f"the kernel image is packed with {error.name}, and that program is not installed",
            hint=f"install {error.name}, or give the configuration with --kernel-config",
        ) from error


def _payload(file: BinaryIO) -> tuple[int, int]:
    """Where the kernel is in the image: its first byte, and the one after its last."""
    head, size = file.read(_X86_SECTOR * 2), os.fstat(file.fileno()).st_size
    if head[:2] == b"MZ" and head[4:8] == b"zimg":
        offset, length = struct.unpack_from("<II", head, 8)
        return offset, min(offset + length, size)
    if zimage.is_zimage(head):
        return zimage.payload(file, size)
    if head[0x202:0x206] != b"HdrS" or len(head) < 0x250:
        return 0, size
    offset, length = struct.unpack_from("<II", head, 0x248)
    start = ((head[0x1F1] or 4) + 1) * _X86_SECTOR + offset
    file.seek(start)
    # Some unpackers take what Kbuild appends for damage.
    return start, min(start + length - zimage.appended(format_of(file.read(16))), size)


def stable_version(image: Image) -> Version:
    """The stable version that it was made from, if that is not what the release says; `()` if it is unknown.

    A header that has no release has no version either: then it is that of the unpacked kernel's banner.
    """
    if image.release:
        return image.stable
    with contextlib.suppress(UsageError):
        return banner_version(banner(image).encode())
    return ()


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
    if not _RELEASE.fullmatch(release):
        raise UsageError(
            f"{name} is damaged: its header has no valid release, but {printable(release, 80)}",
            hint="copy or build it again",
        )
    return ("x86_64" if load_flags & 1 else "i386"), release, banner_version(version)


def banner_version(banner: bytes) -> Version:
    """The stable version that a kernel was made from, if its banner, or `uname -v`, has one."""
    debian = _DEBIAN.search(banner)
    return release_version(debian[1].decode()) if debian else ()
