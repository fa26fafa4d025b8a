# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths as people write them."""

from __future__ import annotations

import errno
from pathlib import Path

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
