# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths as people write them, and the one that nobody writes: the user's cache."""

from __future__ import annotations

import errno
from pathlib import Path

import platformdirs

from kconfigs.errors import UsageError

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def users_path(text: str | Path, folder: Path = Path()) -> Path:
    """The path, which starts at the folder; ~ and ~USER are homes.

    It need not be there.  UsageError if the system would not even say whether it is.
    """
    try:
        path = folder / Path(text).expanduser()
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"{text} cannot be found: nobody here has such a home", hint="write the whole path"
        ) from error
    try:
        path.stat()
    except OSError as error:
        if error.errno not in _ABSENT:
            raise UsageError(
                f"{text} cannot be looked at: {error.strerror}", hint="give a path that you may read"
            ) from error
    except ValueError:  # it holds a NUL: nothing is called so
        pass
    return path


def user_cache() -> Path:
    """Our directory in the user's cache.  UsageError for a user who has no home that it could be in."""
    try:
        path = platformdirs.user_cache_path("kconform")
    except RuntimeError:
        path = Path("~")
    # Older versions of platformdirs leave a ~ that nobody can expand as it is.
    if not path.is_absolute():
        raise UsageError(
            "there is no place for the cache: HOME is not set, and this user has no home in /etc/passwd",
            hint="set KCONFORM_CACHE to a directory that may be written to",
        )
    return path
