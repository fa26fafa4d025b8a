# SPDX-License-Identifier: GPL-2.0-or-later
"""The object directory that the kernels of one source share, and whether the next build may go on with its objects.

It always may if the source is a package, which never changes.  In a user's tree, Kbuild compiles again what depends
on a file that is newer than its object.  It would miss a file that changed without becoming newer, such as one that
was moved there with its old time, and a new header that takes precedence over another.  So all files are remembered,
and the objects are used again only if the tree still has the same files, and all that differ are newer than the end
of the last build.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from common import atomic
from common.errors import KconformError
from kconfigs.build.build_job import RECIPE, Job
from kconfigs.build.kernel_tree import source_files
from kconfigs.kernel_names import clean


@contextlib.contextmanager
def unless_killed(finish: Callable[[], None]) -> Iterator[None]:
    """Call `finish` at the end of a build, also of a failed one: make has ended by itself, and removed what is not
    complete.  It is not called if the build is killed, which leaves half-written files.
    """
    try:
        yield
    except KconformError:
        finish()
        raise
    finish()


TreeState = dict[str, list[int]]
"""Of each file: size, time of the last change, that of its inode, inode, mode."""

_MTIME = 1
_OF_AN_EDITOR = re.compile(r"(?:^|/)\.[^/]*$|~$|\.(?:orig|rej|patch|diff)$")
"""Files that come and go while somebody edits, and that no build reads."""
_OF_KCONFIG = re.compile(r"(?:^|/)(?:Kconfig[^/]*|Makefile[^/]*|Kbuild)$|^scripts/|\.config$")
"""Kconfig's files, and what its probes of the compiler depend on."""


def objects_key(job: Job) -> str:
    """The key of an object directory: the same for all flavors of one source that are built by one toolchain.

    A user's tree is the same source, whatever changes in it.
    """
    source = str(job.tree.path) if job.is_users_tree else job.identity
    content = "\0".join([RECIPE, source, job.toolchain.identity(), job.arch])
    return f"{clean(job.name)}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def remember(tree: Path) -> TreeState | None:
    """The state of a tree, before a build of it; None if a link leads out of it, where anything may change."""
    top = os.path.realpath(tree)
    found = {}
    for name in source_files(tree):
        info = (tree / name).lstat()
        if stat.S_ISLNK(info.st_mode) and not os.path.realpath(tree / name).startswith(f"{top}/"):
            return None
        if not _OF_AN_EDITOR.search(name):
            found[name] = [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_mode]
    return found


def save(path: Path, state: TreeState | None) -> None:
    """Keep the state that a tree had before a build that has ended now."""
    path.unlink(missing_ok=True)
    if state is not None:
        atomic.write(path, json.dumps(state))


def changed(path: Path, now: TreeState | None) -> list[str] | None:
    """The files in which a tree differs from the state kept at `path`; None if make would not see them all."""
    try:
        # The end of that build, by the clock that the times of its objects come from.
        ended = path.stat().st_mtime_ns
        before: TreeState = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if now is None or now.keys() != before.keys():
        return None
    found = [name for name, each in now.items() if each != before[name]]
    return found if all(now[name][_MTIME] > ended for name in found) else None


def decide_configuration(names: Iterable[str]) -> bool:
    """Whether a change of these files may give the same options another .config."""
    return any(_OF_KCONFIG.search(name) for name in names)
