# SPDX-License-Identifier: GPL-2.0-or-later
"""From the path of a package file to the reader of its format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from common.errors import UsageError
from common.text import printable
from kconfigs.debian import deb_package
from kconfigs.debian.deb_file import DebFile
from kconfigs.packages.kernel_files import Files, PackageInfo, opened, unpack_files
from kconfigs.packages.rpm_file import RpmFile
from kconfigs.packages.tar_package import AlpinePackage, ArchPackage, KernelTarball
from kconfigs.packages.unified_image import UnifiedImage, is_unified_image


class PackageReader(Protocol):
    """An open file of one format.  DamagedDataError or ValueError, at any time, if it is none or is damaged."""

    def info(self) -> PackageInfo: ...
    def files(self) -> Files: ...


@dataclass(frozen=True)
class PackageFormat:
    """A family of packages."""

    what: str
    """Its name in messages, with its article."""
    reader: Callable[[BinaryIO, Path], PackageReader]
    hint: str = "download it again"
    """What to do about one that cannot be read."""


class _Deb(DebFile):
    def info(self) -> PackageInfo:
        return deb_package.parse_control(self.control()).info


_TAR = PackageFormat(
    "a tar archive with a kernel", KernelTarball, "unpack it, and name the folder, if it has the source of a kernel"
)
_FORMATS: Mapping[str, PackageFormat] = {
    ".deb": PackageFormat("a Debian package", lambda file, _: _Deb(file)),
    ".rpm": PackageFormat("an RPM package", lambda file, _: RpmFile(file)),
    ".apk": PackageFormat("a package of Alpine Linux", AlpinePackage),
    ".pkg.tar": PackageFormat("a package of Arch Linux", ArchPackage),
    ".tar": _TAR,
    ".tgz": _TAR,
    ".txz": _TAR,
}
"""By how the name of a file ends, but for the packing of a .tar; the first that fits counts."""
_UNIFIED = PackageFormat("a unified kernel image", UnifiedImage)
_PACKINGS = (".gz", ".xz", ".zst", ".bz2", ".lzma")


def format_of_package(path: Path) -> PackageFormat | None:
    """The format of a package, by its name, or of a unified kernel image, by its content; None for anything else."""
    name = path.stem if path.suffix in _PACKINGS and path.stem.endswith(".tar") else path.name
    found = next((kind for suffix, kind in _FORMATS.items() if name.endswith(suffix)), None)
    return _UNIFIED if found is None and is_unified_image(path) else found


def read_info(path: Path) -> PackageInfo:
    """UsageError if the file is no package, or is damaged."""
    kind = _format(path)
    with opened(path, kind.what, lambda file: kind.reader(file, path), kind.hint) as package:
        return package.info()


def unpack(path: Path, into: Path) -> None:
    """Put what the package has of a kernel below `into`, as `unpack_files` says.  UsageError if it is damaged."""
    kind = _format(path)
    with opened(path, kind.what, lambda file: kind.reader(file, path), kind.hint) as package:
        unpack_files(package.files(), into)


def _format(path: Path) -> PackageFormat:
    kind = format_of_package(path)
    if kind is None:
        raise UsageError(
            f"{printable(path)} is not a package file", hint=f"its name ends in one of {', '.join(_FORMATS)}"
        )
    return kind
