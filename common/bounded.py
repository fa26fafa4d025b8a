# SPDX-License-Identifier: GPL-2.0-or-later
"""Files from outside, read without waiting for anybody and without more memory than the caller allows.

Opening a pipe may wait forever, and /dev/zero never ends: only a regular file is read.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from common.errors import UsageError
from common.text import printable


def open_file(path: Path) -> BinaryIO:
    """A regular file, opened for reading.  OSError for anything else, and if it cannot be opened."""
    # Without O_NONBLOCK, opening a FIFO waits for a writer.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "Not a regular file", str(path))


def read(path: Path, limit: int, what: str, *, shown: str = "") -> bytes:
    """The content of a regular file.  UsageError if it has more than `limit` bytes, which no `what` has.

    OSError as from `open_file`.  `shown` is what messages call the file, without it the path.
    """
    with open_file(path) as file:
        # The size that the system reports is 0 for files in /proc, and grows while somebody writes.
        content = file.read(limit + 1)
    if len(content) > limit:
        raise too_large(shown or printable(path), limit, what)
    return content


def decoded(content: bytes, what: str, shown: str) -> str:
    """The text of a file, which may begin with a byte order mark.  UsageError, with the line, if it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{shown}:{line}: not a {what}: the file is not UTF-8 text") from error


def too_large(shown: str, limit: int, what: str) -> UsageError:
    """The error to raise for a file of more than `limit` bytes."""
    return UsageError(
        f"{shown} is larger than {size(limit)}, which no {what} is", hint=f"check that it is the {what} you mean"
    )


def size(count: int) -> str:
    """A number of bytes for a reader: `64 KiB`, `4 MiB`, `1 GiB`."""
    units = ("bytes", "KiB", "MiB", "GiB")
    power = 0
    while power < len(units) - 1 and count >= 1024 and count % 1024 == 0:
        count, power = count // 1024, power + 1
    return f"{count} {units[power]}"
