# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are replaced as a whole or not at all: a reader sees either the old or the new content."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_numbers = itertools.count(1)


def write(path: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Replace the file, or leave it as it was and raise OSError.

    Text becomes UTF-8, and its line ends stay as they are.  `durable` also survives a power failure, at the price of
    waiting for the disk.
    """
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(_encoded(content))


def create(path: Path, content: str | bytes) -> None:
    """As `write`, but FileExistsError if there is such a file already."""
    temporary = _temporary(path)
    try:
        temporary.write_bytes(_encoded(content))
        # Unlike rename(2), link(2) replaces nothing.
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A name beside `path` at which to make a file, a symbolic link or a directory; at the end it becomes `path`.

    An exception in the block removes what was made, and `path` stays as it was.  A directory can take the place of
    nothing but an empty directory.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        if durable:
            _sync(temporary)
        temporary.replace(path)
        if durable:
            _sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            _remove(temporary)
        raise


def _temporary(path: Path) -> Path:
    """In the same directory, because a rename works only within a file system; hidden, and unique."""
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}.tmp")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _encoded(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", errors="backslashreplace")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
