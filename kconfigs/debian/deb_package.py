# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels in Debian packages, which are read and never installed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import stat
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from debian.deb822 import Deb822, PkgRelation

from common.errors import KconformError, UsageError
from common.text import printable
from kconfigs import input_limits
from kconfigs.architectures import from_debian
from kconfigs.debian.deb_file import DebFile
from kconfigs.decompression import PIECE, DamagedDataError, TooLargeError, format_of, unpacked
from kconfigs.kernel_names import clean
from kconfigs.packages.kernel_files import PackageInfo, opened, unpack_files

_KERNEL_PACKAGE = re.compile(r"linux-(?:image|binary)-(?:unsigned-)?(\d\S*)")
_PART = re.compile(r"linux-(?:image|binary|modules|base)-(?!extra-).*")
_SOURCE_ARCHIVE = re.compile(r"linux-source-.*\.tar\.\w+")
_VENDORS = {"debian.org": "debian", "ubuntu.com": "ubuntu", "canonical.com": "ubuntu"}
_WHAT = "a Debian package"
_GRAMMAR = {
    "Package": re.compile(r"[a-z0-9][a-z0-9+.-]{1,200}"),
    "Version": re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~:-]{0,200}"),
    "Architecture": re.compile(r"[a-z0-9][a-z0-9-]{1,40}"),
}
"""What these fields may be, from deb-control(5); their values become file names, test ids and arguments of apt."""


@dataclass(frozen=True)
class Package:
    """What the control file of a package says."""

    name: str
    version: str
    arch: str
    vendor: str
    """`debian`, `ubuntu`, or `deb` for a package from anyone else."""
    depends: Mapping[str, str]
    """The packages that it depends on (of alternatives, the first), each with the exact version it needs or ''."""

    @property
    def release(self) -> str:
        """The release of the kernel that it holds, from the package's name; empty for a package of another name."""
        match = _KERNEL_PACKAGE.fullmatch(self.name)
        return match[1] if match else ""

    @property
    def holds_kernel(self) -> bool:
        return self.release != ""

    def belongs_to(self, kernel: Package) -> bool:
        """Whether it is a part of that kernel, as linux-modules-6.8.0-45-generic of linux-image-6.8.0-45-generic."""
        return kernel.holds_kernel and self.name.endswith(f"-{kernel.release}")

    @property
    def parts(self) -> dict[str, str]:
        """Those of `depends` that may hold the kernel, its configuration or its modules."""
        return {name: version for name, version in self.depends.items() if _PART.fullmatch(name)}

    @property
    def info(self) -> PackageInfo:
        """The same, as all formats have it."""
        return PackageInfo(
            name=self.name,
            version=self.version,
            arch=from_debian(self.arch),
            kernel_name=self.kernel_name,
            linux=self.release,
            holds_kernel=self.holds_kernel,
            needs=tuple(self.parts),
        )

    @property
    def kernel_name(self) -> str:
        """A short name, always the same for the same kernel: `debian-6.1.192-cloud-amd64`."""
        version = re.sub(r"^\d+:", "", self.version)
        upstream = re.split(r"[-~+]", version)[0]
        rest = self.release or self.name
        if not rest.startswith(upstream):
            rest = "-".join([upstream, *re.findall(r"-([A-Za-z].*)", rest)])
        return clean(f"{self.vendor}-{rest}")


def parse_control(text: str) -> Package:
    """What the paragraph of a control file, or of an archive's list, says.  ValueError if a field makes no sense."""
    # str.splitlines() would end a line at a form feed too, and so take a part of a value for a field.
    control = {name: str(value) for name, value in Deb822(text.split("\n")).items()}
    for field, grammar in _GRAMMAR.items():
        value = control.get(field, "")
        if not grammar.fullmatch(value):
            raise ValueError(f"{field} is {printable(repr(value), 80)}" if value else f"{field} is missing")
    maintainer = control.get("Maintainer", "")
    return Package(
        name=control["Package"],
        version=control["Version"],
        arch=control["Architecture"],
        vendor=next((name for domain, name in _VENDORS.items() if domain in maintainer), "deb"),
        depends=_depends(control),
    )


def _depends(control: Mapping[str, str]) -> dict[str, str]:
    needed = ", ".join(filter(None, (control.get(field, "") for field in ("Pre-Depends", "Depends"))))
    # python-debian takes minutes for a megabyte of blanks, and logs what it does not understand as it is.
    needed = " ".join(needed.split())
    if not needed:
        return {}
    if not needed.isprintable() or len(needed) > input_limits.DEPENDS:
        raise ValueError("Depends has characters that do not print, or is too long")
    try:
        relations = PkgRelation.parse_relations(needed)
    except IndexError as error:
        raise ValueError("Depends does not follow its grammar") from error
    return {either[0]["name"]: _exact(either[0]["version"]) for either in relations if either}


def _exact(version: tuple[str, str] | None) -> str:
    return version[1] if version and version[0] == "=" else ""


def unpack_kernel(path: Path, into: Path) -> None:
    """Put what the package has of a kernel below `into`, as `unpack_files` says.  UsageError if it is damaged."""
    with opened(path, _WHAT, DebFile) as deb:
        unpack_files(deb.files(), into)


# Packages with kernel source


def unpack_source(package: Path, into: Path) -> None:
    """Unpack the tree in a linux-source package, and remove the package.  KconformError if it does not unpack."""
    into.mkdir()
    with opened(package, _WHAT, DebFile) as deb, contextlib.closing(deb.files()) as files:
        found = next((file for file in files if _SOURCE_ARCHIVE.fullmatch(PurePosixPath(file[0]).name)), None)
        if found is None:
            raise UsageError(
                f"{printable(package.name)} has no kernel source in it", hint="name a linux-source package"
            )
        name, content = found
        packed = iter(lambda: content.read(PIECE), b"")
        try:
            _untar(packed, into)
        except (DamagedDataError, TooLargeError) as error:
            raise KconformError(f"{printable(name)} does not unpack: {error}", hint=_SOURCE_HINT) from error
    package.unlink()


_COMPLAINT = 4096
"""Bytes of tar's complaints that are kept."""
_SOURCE_HINT = "try again; if the archive has a newer package, get its lists (apt-get update)"


def _untar(packed: Iterator[bytes], into: Path) -> None:
    """Unpack a tarball; tar itself takes care of paths and links that lead outside."""
    first = next(packed, b"")
    packing = format_of(first)
    if packing is None:
        raise DamagedDataError("its format is unknown")
    content = unpacked(packing, _chain(first, packed), input_limits.SOURCE)
    said: list[bytes] = []

    def listen(errors: BinaryIO) -> None:
        # On a full disk, tar complains of each file.  It would wait for a reader, and we would wait for it; a file of
        # its complaints might have no room, either.
        while piece := errors.read(_COMPLAINT):
            if not said:
                said.append(piece)

    with (
        contextlib.closing(content),
        subprocess.Popen(
            ["tar", "--extract", "--strip-components=1", "--no-same-owner", "--file=-"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=into,
        ) as tar,
    ):
        # For a name, tar allocates whatever size the archive claims; it has read nothing yet.
        resource.prlimit(tar.pid, resource.RLIMIT_AS, (input_limits.TAR_MEMORY, input_limits.TAR_MEMORY))
        assert tar.stdin is not None
        assert tar.stderr is not None
        listener = threading.Thread(target=listen, args=(tar.stderr,), daemon=True)
        listener.start()
        with tar.stdin, contextlib.suppress(BrokenPipeError):
            # tar itself says why it ended.
            for piece in content:
                tar.stdin.write(piece)
        listener.join()
    complaint = b"".join(said).decode(errors="replace").strip()
    if tar.returncode != 0:
        if "No space left" in complaint:
            raise OSError(errno.ENOSPC, "No space left on device", str(into))
        raise DamagedDataError(printable(complaint.splitlines()[0]) if complaint else "tar failed")
    for folder, _, files in os.walk(into):
        for file in files:
            mode = os.lstat(os.path.join(folder, file)).st_mode  # noqa: PTH118 - 90,000 files
            if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                raise DamagedDataError(f"{printable(file)} in it is a device or a pipe")


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
