# SPDX-License-Identifier: GPL-2.0-or-later
"""Unified kernel images: EFI programs that contain a kernel, an initramfs and a command line.

Only the kernel is taken out; a guest gets our own initramfs and command line.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from common import bounded
from common.text import printable
from common.versions import release_version
from kconfigs import input_limits
from kconfigs.decompression import PIECE, DamagedDataError, pieces_of
from kconfigs.efi_program import is_whole, read_program, read_section
from kconfigs.image import HEAD, image_of
from kconfigs.kernel_names import clean
from kconfigs.packages.kernel_files import Files, PackageInfo
from kconfigs.packages.tar_archive import PieceStream

_KERNEL = ".linux"


def is_unified_image(path: Path) -> bool:
    """Whether the file is an EFI program that contains a kernel."""
    try:
        with bounded.open_file(path) as file:
            program = read_program(file.read(HEAD))
    except OSError:
        return False
    return program is not None and _KERNEL in program.sections


class UnifiedImage:
    """An EFI program with a kernel, in an open file.  DamagedDataError if it is cut short."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        program = read_program(file.read(HEAD))
        if program is None or _KERNEL not in program.sections:
            raise DamagedDataError("it contains no kernel")
        self._kernel = program.sections[_KERNEL]
        if self._kernel.size > input_limits.IMAGE:
            raise bounded.too_large(f"the kernel in {printable(path)}", input_limits.IMAGE, "kernel image")
        if not is_whole(file, self._kernel):
            raise DamagedDataError("it ends in the middle of its kernel")

    def info(self) -> PackageInfo:
        """What the kernel's own header says.  UsageError if that is no kernel."""
        image = image_of(self._path, read_section(self._file, self._kernel, HEAD), self._kernel.size)
        name = self._path.stem
        return PackageInfo(
            name=name,
            version=image.release,
            arch=image.arch,
            kernel_name=clean(name if image.release in name else f"{name}-{image.release}"),
            linux=image.release if release_version(image.release) else "",
        )

    def files(self) -> Files:
        """The kernel alone."""
        pieces = pieces_of(self._file, self._kernel.start, self._kernel.size)
        yield "boot/vmlinuz-linux", io.BufferedReader(PieceStream(pieces), PIECE)
