# SPDX-License-Identifier: GPL-2.0-or-later
"""From the files of a package to a kernel: what all formats have in common.

A format is read by a function that yields the regular files of a package as `Files`.  Those that make a kernel are
put into a folder, always in the same layout:

    boot/vmlinuz-RELEASE   boot/config-RELEASE   boot/System.map-RELEASE   modules/RELEASE/
"""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import tarfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, TypeAlias, TypeVar

from common import bounded
from common.errors import UsageError
from common.text import printable
from kconfigs import input_limits
from kconfigs.decompression import PIECE, DamagedDataError, MissingProgramError, TooLargeError
from kconfigs.kernel_names import clean

T = TypeVar("T")

_DISORDER = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
"""What writing fails with for paths that no file system could have had."""

# Where packages have what we want, as (path in the package, folder in our directory).
_WANTED = (
    (re.compile(r"boot/vmlinu[xz]-[!-.0-~]+"), "boot"),
    (re.compile(r"boot/config-[!-.0-~]+"), "boot"),
    (re.compile(r"boot/System\.map-[!-.0-~]+"), "boot"),
    (re.compile(r"(?:usr/)?lib/modules/[!-.0-~]+/.+"), "modules"),
)
_WITH_MODULES = {"vmlinuz": "vmlinuz", "config": "config", "System.map": "System.map", "build/.config": "config"}
"""What newer packages keep among the modules.  Arch's have the configuration only with the headers, in build/."""
_HEADERS = ("build/", "source/")
"""The folders with headers, thousands of files."""


class Content(Protocol):
    """The content of a file in a package."""

    def read(self, size: int = -1, /) -> bytes: ...


Files: TypeAlias = Generator[tuple[str, Content], None, None]
"""The regular files of a package, as name and content; the content must be read before the next one is asked for.

Close it if you stop before its end."""


@dataclass(frozen=True, kw_only=True)
class PackageInfo:
    """What a package says about itself, before it is unpacked."""

    name: str
    version: str
    arch: str
    """As in kconfigs/architectures.py; `all` for any architecture; empty if it does not say."""
    kernel_name: str
    """What test ids call its kernel."""
    linux: str
    """The version of Linux that it holds, if it says: `6.12.7`, or with anything after that."""
    holds_kernel: bool = True
    """Whether it may have an image, and not just modules or headers."""
    needs: tuple[str, ...] = ()
    """Packages that may have what it lacks."""

    @property
    def identity(self) -> str:
        return f"{self.name} {self.version}".rstrip()


_FIELD = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~^_:-]{0,200}")
"""Names, versions and architectures; they become file names and test ids."""
_OF_EVERY_KERNEL = {"kernel", "linux", "core", "image", "modules", "extra", "internal"}
"""Words in names of packages that do not tell one kernel from another."""


def checked_field(what: str, text: str) -> str:
    """The text of a field, which is a name, a version or an architecture.  ValueError if it makes no sense."""
    if not _FIELD.fullmatch(text):
        raise ValueError(f"{what} is {printable(repr(text), 80)}" if text else f"{what} is missing")
    return text


def name_of_kernel(vendor: str, version: str, package: str) -> str:
    """What test ids call the kernel in a package: `fedora-6.11.4-301.fc41`, `alpine-6.12.8-r0-lts`."""
    variant = [word for word in package.split("-") if word not in _OF_EVERY_KERNEL]
    return clean("-".join([vendor, version, *variant]))


def unpack_files(files: Files, into: Path) -> None:
    """Put the kernel, its configuration and its modules below `into`, as boot/ and modules/<release>/.

    Nothing is put there if the package has none of them, and nothing but regular files: a link or a device in a
    package is never made.  DamagedDataError for a path that leads outside.
    """
    with contextlib.closing(files):
        for name, content in files:
            target = _target(name, into)
            if target is None:
                continue
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                out = target.open("wb")
            except OSError as error:
                if error.errno in _DISORDER:
                    raise DamagedDataError(f"no file can be called {printable(name, 80)} there") from error
                raise
            with out:
                shutil.copyfileobj(content, out, PIECE)


def _target(name: str, into: Path) -> Path | None:
    """Where a file of a package belongs; None if it is unwanted.  DamagedDataError for a path that leads outside."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise DamagedDataError(f"it has the path {printable(name, 80)}")
    # As the kernel does, take a/./b and a//b for a/b: what follows a second slash would be an absolute path.
    name = str(path)
    for pattern, folder in _WANTED:
        if pattern.fullmatch(name):
            if folder == "boot":
                return into / "boot" / path.name
            release, inner = name.split("lib/modules/", 1)[1].split("/", 1)
            if inner in _WITH_MODULES:
                return into / "boot" / f"{_WITH_MODULES[inner]}-{release}"
            return None if inner.startswith(_HEADERS) else into / "modules" / release / inner
    return None


@contextlib.contextmanager
def opened(path: Path, what: str, reader: Callable[[BinaryIO], T], hint: str = "download it again") -> Iterator[T]:
    """What `reader` makes of the open file.  UsageError, at any time, if it is not `what`, or is damaged."""
    name = printable(path)
    try:
        file = bounded.open_file(path)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}", hint="name a file that you may read") from error
    try:
        with file:
            yield reader(file)
    except (DamagedDataError, tarfile.TarError, ValueError) as error:
        raise UsageError(f"{name} is not {what}, or is damaged ({error})", hint=hint) from error
    except TooLargeError as error:
        raise UsageError(
            f"{name} unpacks to more than {bounded.size(input_limits.PACKAGE)}, which no package with a kernel does",
            hint="name the package with the image, without debugging symbols",
        ) from error
    except MissingProgramError as error:
        raise UsageError(
            f"{name} is packed with {error.name}, and that program is not installed", hint=f"install {error.name}"
        ) from error
