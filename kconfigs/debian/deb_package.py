# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels in Debian packages, which are read and never installed."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import lzma
import re
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from debian.arfile import ArError
from debian.deb822 import PkgRelation
from debian.debfile import DebError, DebFile

from common.errors import KconformError, UsageError
from common.text import printable

_KERNEL_PACKAGE = re.compile(r"linux-(?:image|binary)-(?:unsigned-)?(\d\S*)")
_PART = re.compile(r"linux-(?:image|binary|modules|base)-(?!extra-).*")
_VENDORS = {"debian.org": "debian", "ubuntu.com": "ubuntu", "canonical.com": "ubuntu"}
_DAMAGED = (ArError, DebError, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError, KeyError)

# Where packages have what we want, as (path in the package, folder in our directory).
_WANTED = (
    (re.compile(r"boot/vmlinu[xz]-[^/]+"), "boot"),
    (re.compile(r"boot/config-[^/]+"), "boot"),
    (re.compile(r"boot/System\.map-[^/]+"), "boot"),
    (re.compile(r"(?:usr/)?lib/modules/[^/]+/.+"), "modules"),
)


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
    def kernel_name(self) -> str:
        """A short name, always the same for the same kernel: `debian-6.1.192-cloud-amd64`."""
        version = re.sub(r"^\d+:", "", self.version)
        upstream = re.split(r"[-~+]", version)[0]
        rest = self.release or self.name
        if not rest.startswith(upstream):
            rest = "-".join([upstream, *re.findall(r"-([A-Za-z].*)", rest)])
        return clean(f"{self.vendor}-{rest}")


def clean(text: str) -> str:
    """The text with only those characters that a test id may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "kernel"


def parse_control(control: dict[str, str]) -> Package:
    needed = ", ".join(filter(None, (control.get(field, "") for field in ("Pre-Depends", "Depends"))))
    relations = PkgRelation.parse_relations(needed) if needed else []  # python-debian warns about an empty text
    maintainer = control.get("Maintainer", "")
    vendor = next((name for domain, name in _VENDORS.items() if domain in maintainer), "deb")
    return Package(
        name=control.get("Package", ""),
        version=control.get("Version", ""),
        arch=control.get("Architecture", ""),
        vendor=vendor,
        depends={either[0]["name"]: _exact(either[0]["version"]) for either in relations if either},
    )


def _exact(version: tuple[str, str] | None) -> str:
    return version[1] if version and version[0] == "=" else ""


def read_control(path: Path) -> Package:
    """UsageError if the file is not a Debian package, or is damaged."""
    with _opened(path) as deb:
        return parse_control({key: str(value) for key, value in deb.debcontrol().items()})


def unpack_kernel(path: Path, into: Path) -> None:
    """Put the kernel, its configuration and its modules below `into`, as boot/ and modules/<release>/.

    Nothing is put there if the package has none of them.  UsageError if the package is damaged.
    """
    with _opened(path) as deb, deb.data.tgz() as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            target = _target(name, into)
            if target is None or not member.isreg():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            source = archive.extractfile(member)
            assert source is not None
            with source, target.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)


@contextlib.contextmanager
def _source_archive(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with _opened(path) as deb, deb.data.tgz() as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            if member.isreg() and re.fullmatch(r"linux-source-.*\.tar\.\w+", name):
                content = archive.extractfile(member)
                assert content is not None
                yield name, content
                return
        raise UsageError(f"{printable(path.name)} has no kernel source in it")


def _target(name: str, into: Path) -> Path | None:
    if ".." in PurePosixPath(name).parts:
        return None
    for pattern, folder in _WANTED:
        if pattern.fullmatch(name):
            if folder == "boot":
                return into / "boot" / PurePosixPath(name).name
            release, inner = name.split("lib/modules/", 1)[1].split("/", 1)
            # Newer packages keep the image and its configuration among the modules.
            if inner in {"vmlinuz", "config", "System.map"}:
                return into / "boot" / f"{inner}-{release}"
            return into / "modules" / release / inner
    return None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[DebFile]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(
            f"{printable(path)} cannot be read: {error.strerror}", hint="name a .deb file that you may read"
        ) from error
    try:
        with file:
            yield DebFile(fileobj=file)
    except _DAMAGED as error:
        raise UsageError(
            f"{printable(path)} is not a Debian package, or is damaged ({error})", hint="download it again"
        ) from error


def unpack_source(package: Path, into: Path) -> None:
    """Unpack the tree in a linux-source package, and remove the package."""
    into.mkdir()
    with _source_archive(package) as (name, packed):
        content = _UNPACKERS[PurePosixPath(name).suffix](packed)
        tar = subprocess.Popen(
            ["tar", "--extract", "--strip-components=1", "--no-same-owner", "--file=-"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=into,
        )
        assert tar.stdin is not None
        assert tar.stderr is not None
        with tar.stdin, contextlib.suppress(BrokenPipeError):
            # tar itself says why it ended.
            shutil.copyfileobj(content, tar.stdin, 1 << 20)
        complaint = tar.stderr.read().decode(errors="replace").strip()
        tar.stderr.close()
        if tar.wait() != 0:
            if "No space left" in complaint:
                raise OSError(errno.ENOSPC, "No space left on device", str(into))
            first = complaint.splitlines()[0] if complaint else "tar failed"
            raise KconformError(f"{printable(name)} does not unpack: {printable(first)}")
    package.unlink()


_UNPACKERS: Mapping[str, Callable[[IO[bytes]], IO[bytes]]] = {
    ".xz": lambda packed: cast("IO[bytes]", lzma.LZMAFile(packed)),  # noqa: SIM115 - its owner closes what it reads
    ".bz2": lambda packed: cast("IO[bytes]", bz2.BZ2File(packed)),
    ".gz": lambda packed: cast("IO[bytes]", gzip.GzipFile(fileobj=packed)),
}
