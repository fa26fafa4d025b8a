# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel source trees: recognised, identified, mirrored.  Nothing is ever written into a tree."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from common import git
from common.errors import UsageError
from common.text import printable
from common.versions import Version
from kconfigs.architectures import ARCHITECTURES

# What a build leaves in its directory; Kbuild's own clean rule lists the same names.
_PRODUCT = re.compile(
    r".*\.(?:[aios]|ko|mod|mod\.c|cmd|dwo|gcno|ll|lst|order|rsi|symtypes|dtb|dtbo|lex\.c|tab\.[ch]|asn1\.[ch])"
    r"|\.config(?:\.old)?|\.version|\.tmp_.*|\.?vmlinux(?:\.(?:bin|elf|gz|map|objs|relocs|unstripped|export\.c).*)?"
    r"|System\.map|Module\.symvers|modules\.builtin.*|bzImage"
)
_PRODUCT_FOLDERS = re.compile(r"(?:include|arch/\w+/include)/(?:config|generated)|\.git|\.tmp_\w+")


@dataclass(frozen=True)
class Tree:
    path: Path
    version: Version
    """(6, 12, 117)"""
    text_version: str
    """`6.12.117`, or `6.13.0-rc3`."""

    @property
    def built_in_place(self) -> bool:
        """Whether it was built without O=, after which Kbuild refuses to build it anywhere else."""
        generated = (f"arch/{one.srcarch}/include/generated" for one in ARCHITECTURES.values())
        marks = [".config", "include/config", *generated]
        return any((self.path / mark).exists() for mark in marks)


def open_tree(path: Path) -> Tree:
    """UsageError if the directory is not a kernel tree."""
    fields = _version_fields(path)
    if not is_tree(path):
        raise UsageError(
            f"{printable(path)} is a directory, but not a kernel tree, and has no kernel image",
            hint="a kernel tree has a Makefile with VERSION and PATCHLEVEL, and a Kconfig file; an image is called"
            " vmlinuz, boot/vmlinuz-RELEASE or arch/x86/boot/bzImage",
        )
    numbers = [fields["VERSION"], fields["PATCHLEVEL"], fields.get("SUBLEVEL") or "0"]
    return Tree(
        path.resolve(),
        tuple(int(number) for number in numbers if number.isdigit()),
        ".".join(numbers) + fields.get("EXTRAVERSION", ""),
    )


def is_tree(path: Path) -> bool:
    fields = _version_fields(path)
    return bool(fields.get("VERSION") and fields.get("PATCHLEVEL") and (path / "Kconfig").is_file())


def _version_fields(path: Path) -> dict[str, str]:
    try:
        head = (path / "Makefile").read_text(encoding="utf-8", errors="replace")[:4096]
    except OSError:
        head = ""
    return dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)", head, re.MULTILINE))


def identify(path: Path) -> str:
    """A name for what is in the tree now: the same content has the same name.

    In a git repository, the commit and a digest of all changes since; otherwise a digest of the names, sizes and
    times of its files.
    """
    top = _git(path, "rev-parse", "--show-toplevel", "HEAD")
    if top is not None:
        root, commit = (line for line in os.fsdecode(top).splitlines()[:2])
        if Path(root).resolve() == path.resolve():
            changes = _git_changes(path)
            return commit[:12] + (f"-dirty-{changes}" if changes else "")
    digest = hashlib.sha256()
    for name in source_files(path):
        info = (path / name).lstat()
        digest.update(os.fsencode(f"{name}\0{info.st_size}\0{info.st_mtime_ns}\0{info.st_mode}\n"))
    return f"files-{digest.hexdigest()[:12]}"


def source_files(path: Path) -> Iterator[str]:
    """The files and links of a tree, by relative name, sorted; without what a build has made."""

    def walk(folder: str) -> Iterator[str]:
        with os.scandir(path / folder) as found:
            children = sorted(found, key=lambda child: child.name)
        for child in children:
            name = f"{folder}/{child.name}" if folder else child.name
            if child.is_dir(follow_symlinks=False):
                if not _PRODUCT_FOLDERS.fullmatch(name):
                    yield from walk(name)
            elif not _PRODUCT.fullmatch(child.name):
                yield name

    return walk("")


def mirror(path: Path, into: Path) -> None:
    """Lay out the sources of a tree again, as links: cheap, and Kbuild takes it for a tree that was never built."""
    tracked = _git(path, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    top = _git(path, "rev-parse", "--show-toplevel")
    if tracked and top and Path(os.fsdecode(top).strip()).resolve() == path.resolve():
        listed = os.fsdecode(tracked).split("\0")
        names = sorted(name for name in listed if name and os.path.lexists(path / name))
    else:
        names = list(source_files(path))
    made = set()
    for name in names:
        source, target = path / name, into / name
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif stat.S_ISREG(source.lstat().st_mode):
            target.symlink_to(source)


def _git_changes(path: Path) -> str:
    """A digest of everything that differs from the commit; empty if nothing does."""
    index = _git(path, "rev-parse", "--git-path", "index") or b""
    with tempfile.TemporaryDirectory(prefix="kconform-") as folder:
        # git diff writes what it learns about files into the index, which is the user's.
        copy = Path(folder, "index")
        if (path / os.fsdecode(index.strip())).is_file():
            shutil.copy2(path / os.fsdecode(index.strip()), copy)
        difference = ("diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD")
        tracked = _git(path, *difference, env={"GIT_INDEX_FILE": str(copy)}) or b""
    others = (_git(path, "ls-files", "-z", "--others", "--exclude-standard") or b"").split(b"\0")
    digest = hashlib.sha256(tracked)
    for name in sorted(filter(None, others)):
        other = path / os.fsdecode(name)
        digest.update(b"\0" + name + b"\0" + (other.read_bytes() if other.is_file() else b""))
    return digest.hexdigest()[:12] if tracked or any(others) else ""


def _git(path: Path, *arguments: str, env: Mapping[str, str] | None = None) -> bytes | None:
    """The output of git, which is kept from writing anything; None if it fails."""
    try:
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(path), *arguments],
            capture_output=True,
            check=True,
            env={**git.environment(), "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", **(env or {})},
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
