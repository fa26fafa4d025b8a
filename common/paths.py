# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths as people write them, and where the user's cache is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import platformdirs

from common.errors import UsageError
from common.text import printable

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def users_path(text: str | Path, folder: Path = Path()) -> Path:
    """The path that someone wrote, relative to `folder`; ~ and ~USER are home directories.

    It need not exist.  UsageError if the home directory does not exist, or if the system refuses to say whether the
    path does.
    """
    shown = printable(text)
    try:
        path = folder / Path(text).expanduser()
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"{shown} cannot be found: there is no such home directory", hint="write the whole path"
        ) from error
    try:
        path.stat()
    except OSError as error:
        if error.errno not in _ABSENT:
            raise UsageError(
                f"{shown} cannot be looked at: {error.strerror}", hint="give a path that you may read"
            ) from error
    except ValueError:  # a NUL in it: no file has such a name
        pass
    return path


def output_path(text: str | Path) -> Path:
    """The path of a file that is going to be written, after what may take hours.  UsageError if it cannot be."""
    path = users_path(text)
    folder = path.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK) or path.is_dir():
        why = "is a directory" if path.is_dir() else "needs a directory that exists and that you may write to"
        raise UsageError(f"{printable(path)} cannot be written: it {why}", hint="name another file")
    return path


def cache_folder() -> Path:
    """KCONFORM_CACHE, or our directory in the user's cache.  UsageError if there is neither."""
    if chosen := os.environ.get("KCONFORM_CACHE"):
        return Path(chosen).absolute()
    try:
        path = platformdirs.user_cache_path("kconform")
    except RuntimeError:
        path = Path("~")
    # Older versions of platformdirs return a ~ that cannot be expanded.
    if not path.is_absolute():
        raise UsageError(
            "there is no place for the cache: HOME is not set, and this user has no home in /etc/passwd",
            hint="set KCONFORM_CACHE to a directory that you may write to",
        )
    return path
