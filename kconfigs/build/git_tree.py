# SPDX-License-Identifier: GPL-2.0-or-later
"""What git knows of a directory that is the top of a work tree.  Nothing is ever written into the repository.

Without git, or where git refuses, every answer is None: the caller then looks at the files instead.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from common import git
from common.project_files import REPORTS_BESIDE_USER

_LINK_OR_SUBMODULE = (b"120000", b"160000")
"""Modes of entries of the index."""

_UNTRACKED = ("--others", "--exclude-standard", f"--exclude=/{REPORTS_BESIDE_USER}/")
"""What git would add; a run's own reports are no part of the tree that it tests."""

_PIECE = 1 << 20
"""Bytes that are read at a time: a tree may have an image of a disk beside its sources."""


def commit(path: Path) -> str | None:
    """The commit that is checked out, if the directory is the top of a work tree."""
    found = _git(path, "rev-parse", "--verify", "HEAD") if _is_top(path) else None
    return None if found is None else found.decode().strip()


def files(path: Path) -> list[str] | None:
    """What is there of the files and links that git tracks or would add, by relative name, sorted.

    A submodule is among them, and so is another repository, which ends in a slash.
    """
    listed = _git(path, "ls-files", "-z", "--cached", *_UNTRACKED) if _is_top(path) else None
    if listed is None:
        return None
    names = set(map(os.fsdecode, listed.split(b"\0"))) - {""}  # after a conflict, the index has a name several times
    return sorted(name for name in names if os.path.lexists(path / name))


@dataclass(frozen=True)
class Difference:
    """What a work tree has beside its commit."""

    digest: str
    """Of everything that differs from the commit; empty if nothing does."""
    leading_elsewhere: tuple[str, ...]
    """The names of links, submodules and other repositories: git does not compare what is behind them."""


def difference(path: Path) -> Difference | None:
    """None if git cannot tell.  OSError if a new file cannot be read."""
    index = _git(path, "rev-parse", "--git-path", "index")
    entries = _git(path, "ls-files", "-z", "--stage")
    listed = _git(path, "ls-files", "-z", *_UNTRACKED)
    if index is None or entries is None or listed is None:
        return None
    with tempfile.TemporaryDirectory(prefix="kconform-") as folder:
        # git diff writes what it learns about files into the index, which is the user's.
        original, copy = path / os.fsdecode(index.removesuffix(b"\n")), Path(folder, "index")
        if original.is_file():
            shutil.copy2(original, copy)
        options = ("--no-ext-diff", "--no-textconv", "--binary", "--ignore-submodules=none")
        tracked = _git(path, "diff", *options, "HEAD", env={"GIT_INDEX_FILE": str(copy)})
    if tracked is None:
        return None
    digest = hashlib.sha256(tracked)
    special = {
        name
        for mode, _, name in (entry.partition(b"\t") for entry in entries.split(b"\0"))
        if mode.startswith(_LINK_OR_SUBMODULE)
    }
    others = sorted(filter(None, listed.split(b"\0")))
    for name in others:
        other = path / os.fsdecode(name)
        digest.update(b"\0" + name + b"\0")
        for piece in _content(other):
            digest.update(piece)
        if name.endswith(b"/") or other.is_symlink():
            special.add(name)
    return Difference(digest.hexdigest()[:12] if tracked or others else "", tuple(sorted(map(os.fsdecode, special))))


def _content(path: Path) -> Iterator[bytes]:
    """The content of a file in pieces; nothing of what is no file."""
    if path.is_file():
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


def changed_since(path: Path, revision: str) -> list[str] | None:
    """The files that differ now from what a revision has, by relative name; None if git does not know it."""
    known = _git(path, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    if known is None:
        return None
    listed = _git(
        path, "diff", "--name-only", "-z", "--no-ext-diff", "--no-renames", known.decode().strip(), "--", "."
    )
    return None if listed is None else sorted(filter(None, map(os.fsdecode, listed.split(b"\0"))))


def content_at(path: Path, revision: str, name: str) -> bytes:
    """A file as a revision has it; empty if it has none of that name."""
    return _git(path, "show", "--no-textconv", "--end-of-options", f"{revision}:{name}") or b""


def _is_top(path: Path) -> bool:
    top = _git(path, "rev-parse", "--show-toplevel")
    return top is not None and Path(os.fsdecode(top.removesuffix(b"\n"))).resolve() == path.resolve()


def _git(path: Path, *arguments: str, env: Mapping[str, str] | None = None) -> bytes | None:
    """The output of git, which is kept from writing anything; None if it fails."""
    # Without lazy fetches, a partial clone whose diff needs an object that is not there fails instead.
    ours = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            # The tree may belong to somebody else; git 2.35 to 2.37 refuses it all the same.
            ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(path), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            env=git.environment() | ours | dict(env or {}),
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
