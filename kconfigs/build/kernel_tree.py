# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel source trees: recognised, identified, mirrored.  Nothing is ever written into a tree."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from common.project_files import REPORTS_BESIDE_USER
from common.text import printable
from common.versions import Version
from kconfigs.architectures import ARCHITECTURES
from kconfigs.build import git_tree

# What a build leaves in its directory; Kbuild's own clean rule lists the same names.
_PRODUCT = re.compile(
    r".*\.(?:[aios]|ko|mod|mod\.c|cmd|dwo|gcno|ll|lst|order|rsi|symtypes|dtb|dtbo|lex\.c|tab\.[ch]|asn1\.[ch])"
    r"|\.config(?:\.old)?|\.version|\.tmp_.*|\.?vmlinux(?:\.(?:bin|elf|gz|map|objs|relocs|unstripped|export\.c).*)?"
    r"|System\.map|Module\.symvers|modules\.builtin.*|bzImage"
)
_PRODUCT_FOLDERS = re.compile(
    rf"(?:include|arch/\w+/include)/(?:config|generated)|\.git|\.tmp_\w+|{REPORTS_BESIDE_USER}"
)

_REFUSED = re.compile(r"[^\w@+=,./~-]")
"""Kbuild refuses white space and colons (Makefile: "source directory cannot contain spaces or colons").  Others have
a meaning for make, or for the shell of its recipes, which do not quote paths (`if [ -f $(srctree)/.config ...`)."""


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

    @property
    def needs_mirror(self) -> bool:
        """Whether Kbuild refuses to build it where it is."""
        return self.built_in_place or bool(refused_by_kbuild(self.path))


def refused_by_kbuild(path: Path) -> str:
    """The first character of a path that Kbuild or make does not accept there; empty if there is none."""
    found = _REFUSED.search(str(path))
    return found[0] if found else ""


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
    """UsageError if the Makefile must not be read."""
    makefile = path / "Makefile"
    try:
        head = makefile.read_text(encoding="utf-8", errors="replace")[:4096]
    except PermissionError as error:
        raise UsageError(
            f"{printable(makefile)} cannot be read: {error.strerror}",
            hint="a kernel tree must be readable by the user who tests it, with all of its files",
        ) from error
    except OSError:
        head = ""
    return dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)", head, re.MULTILINE))


def identify(path: Path) -> str:
    """A name for what is in the tree now: the same content has the same name.

    If it is the top of a git work tree, the commit and a digest of all changes since; otherwise a digest of the
    names, sizes and times of its files.  UsageError if something in it cannot be read.
    """
    try:
        return _identify(path)
    except PermissionError as error:
        raise UsageError(
            f"{printable(error.filename)} cannot be read: {error.strerror}",
            hint="a kernel tree must be readable by the user who tests it, with all of its files",
        ) from error


def _identify(path: Path) -> str:
    commit = git_tree.commit(path)
    difference = None if commit is None else git_tree.difference(path)
    if commit is None or difference is None:
        return f"files-{_digest(path, follow=True)}"
    changes = difference.digest
    if behind := "".join(_behind(_real(path), name) for name in difference.leading_elsewhere):
        changes = hashlib.sha256(os.fsencode(changes + behind)).hexdigest()[:12]
    return commit[:12] + (f"-dirty-{changes}" if changes else "")


def _digest(path: Path, *, follow: bool) -> str:
    """Of the names, sizes and times of the files in a directory, and with `follow`, of what its links lead to."""
    digest, top = hashlib.sha256(), _real(path)
    for name in source_files(path):
        info = (path / name).lstat()
        digest.update(os.fsencode(f"{name}\0{_about(info)}\0{info.st_mode}\n"))
        if follow and stat.S_ISLNK(info.st_mode):
            # A file in the tree may count twice; to find out where each link leads takes long where all are links.
            target = _target(path / name)
            plain = target and stat.S_ISREG(target.st_mode)
            digest.update(os.fsencode(_about(target) if target and plain else _behind(top, name)))
    return digest.hexdigest()[:12]


def _about(info: os.stat_result) -> str:
    return f"{info.st_size}\0{info.st_mtime_ns}"


def _target(link: Path) -> os.stat_result | None:
    """None if the link leads nowhere, or to itself."""
    try:
        return link.stat()
    except OSError:
        return None


def _behind(top: Path, name: str) -> str:
    """A line about what a link, a submodule or another repository leads to; empty if that is identified anyway.

    `top` is the real path of the tree.
    """
    found = top / name
    if not found.is_symlink():
        inner = _identify(found) if found.is_dir() and any(found.iterdir()) else ""
        # git's difference to the commit tells which commit a submodule has; another repository is not in it.
        return f"{name}\0{inner}\n" if name.endswith("/") or "-" in inner else ""
    info, target = _target(found), _real(found)
    if info is None or target.is_relative_to(top) or top.is_relative_to(target) or _is_output(target, top):
        return ""
    return f"{name}\0{_digest(target, follow=False) if target.is_dir() else _about(info)}\n"


def _is_output(folder: Path, tree: Path) -> bool:
    """Whether it has the objects of a build of the tree with O=, which makes a link to the tree there."""
    source = folder / "source"
    return source.is_symlink() and _real(source) == tree


def _real(path: Path) -> Path:
    """Path.resolve() raises RuntimeError for a link that leads to itself (before Python 3.13)."""
    return Path(os.path.realpath(path))


def source_files(path: Path) -> Iterator[str]:
    """The files and links of a tree, by relative name, sorted; without what a build and our runs have made."""
    top = _real(path)

    def walk(folder: str) -> Iterator[str]:
        with os.scandir(path / folder) as found:
            children = sorted(found, key=lambda child: child.name)
        for child in children:
            name = f"{folder}/{child.name}" if folder else child.name
            if child.is_dir(follow_symlinks=False):
                if not _PRODUCT_FOLDERS.fullmatch(name) and not _is_output(path / name, top):
                    yield from walk(name)
            elif not _PRODUCT.fullmatch(child.name) and name != ".git":
                yield name

    return walk("")


def mirror(path: Path, into: Path) -> None:
    """Lay out the sources of a tree again, as links: cheap, and Kbuild takes it for a tree that was never built."""
    names = git_tree.files(path)
    made = set()
    for name in source_files(path) if names is None else names:
        source, target = path / name, into / name
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        if source.is_symlink():
            # A relative link that leaves the tree would lead to another place from there.
            stays = _real(source).is_relative_to(_real(path))
            target.symlink_to(source.readlink() if stays else source)
        elif source.is_dir():
            mirror(source, target)
        elif stat.S_ISREG(source.lstat().st_mode):
            target.symlink_to(source)
