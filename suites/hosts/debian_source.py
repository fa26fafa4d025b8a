# SPDX-License-Identifier: GPL-2.0-or-later
"""The source package that packaging/debian describes: its upstream tarballs, and the unpacked source.

Layout of a folder, as dpkg-buildpackage needs it:

    kconform_VERSION.orig.tar.gz                 the files of a checkout
    kconform_VERSION.orig-system-calls.tar.gz    a component: the source distribution of system-calls
    kconform-VERSION/                            both, unpacked, and packaging/debian as debian/
"""

from __future__ import annotations

import email.utils
import gzip
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

from debian.changelog import ChangeBlock, Changelog, ChangelogParseError

from common.errors import KconformError

PACKAGING = Path("packaging/debian")
COMPONENT = "system-calls"
"""A dependency that is in no package of Debian; its files are a directory of this name."""


def version(changelog: str) -> str:
    """The upstream version of the newest entry of a debian/changelog."""
    return str(_newest(changelog).version.upstream_version)


def date(changelog: str) -> int:
    """The time of the newest entry, in seconds since 1970."""
    return int(email.utils.parsedate_to_datetime(str(_newest(changelog).date)).timestamp())


def _newest(changelog: str) -> ChangeBlock:
    try:
        return Changelog(changelog, max_blocks=1, strict=True)[0]
    except (ChangelogParseError, IndexError) as error:
        raise KconformError(f"{PACKAGING}/changelog cannot be read: {error}") from error


def requirement(pyproject: str) -> str:
    """The line in pyproject.toml that says which version of the component is needed."""
    dependencies: list[str] = tomllib.loads(pyproject)["project"]["dependencies"]
    return next(line for line in dependencies if line.startswith(COMPONENT))


def fetch(needed: str, folder: Path) -> list[str]:
    """The command that downloads the component's source distribution into a folder."""
    options = ["--quiet", "--no-deps", "--no-binary=:all:", f"--dest={folder}"]
    return [sys.executable, "-m", "pip", "download", *options, needed]


def make(checkout: Path, folder: Path) -> Path:
    """Make the source package of a checkout's files, and return the unpacked source.

    KconformError if the component cannot be downloaded or unpacked.
    """
    changelog = (checkout / PACKAGING / "changelog").read_text(encoding="utf-8")
    name = f"kconform-{version(changelog)}"
    prefix = name.replace("-", "_")
    source = folder / name
    pack(checkout, folder / f"{prefix}.orig.tar.gz", name, date(changelog))
    component = folder / f"{prefix}.orig-{COMPONENT}.tar.gz"
    _download(requirement((checkout / "pyproject.toml").read_text(encoding="utf-8")), folder / "download", component)
    shutil.copytree(checkout, source, symlinks=True)
    _unpack(component, source / COMPONENT)
    shutil.rmtree(folder / "download")
    shutil.copytree(checkout / PACKAGING, source / "debian")
    return source


def pack(checkout: Path, archive: Path, top: str, seconds: int) -> None:
    """Pack a checkout's files into an archive below the directory `top`; the same files make the same bytes."""

    def uniform(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = seconds
        member.mode = 0o755 if member.mode & 0o100 else 0o644
        return member

    with (
        archive.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=seconds) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as made,
    ):
        for path in sorted(checkout.rglob("*")):
            made.add(path, f"{top}/{path.relative_to(checkout)}", recursive=False, filter=uniform)


def _download(needed: str, folder: Path, component: Path) -> None:
    done = subprocess.run(fetch(needed, folder), capture_output=True, encoding="utf-8", errors="replace", check=False)
    found = sorted(folder.glob("*.tar.gz"))
    if done.returncode or len(found) != 1:
        lines = done.stderr.strip().splitlines() or ["pip left no source distribution"]
        raise KconformError(
            f"{needed} could not be downloaded: {lines[-1]}", hint="check the network and pip's settings"
        )
    found[0].rename(component)


def _unpack(archive: Path, target: Path) -> None:
    """Unpack an archive with one directory in it as `target`, as dpkg-source does with a component."""
    target.mkdir()
    command = ["tar", "--extract", f"--file={archive}", f"--directory={target}", "--strip-components=1"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        raise KconformError(f"{archive.name} could not be unpacked: {done.stderr.strip()}")
