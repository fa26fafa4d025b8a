# SPDX-License-Identifier: GPL-2.0-or-later
"""What the system refuses to the cache, in one sentence with a hint."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from common.errors import KconformError, UsageError
from common.project_files import COMMAND
from common.text import printable

FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
HINT = "set KCONFORM_CACHE to a directory that you may write to"


@contextlib.contextmanager
def explained(path: Path, root: Path) -> Iterator[None]:
    """Name `path`, of the cache at `root`, in an error if the system does not let the block use it."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(path, root) from error
        name = error.filename  # shutil.rmtree() leaves out the folder
        is_ours = isinstance(name, str) and (not name.startswith("/") or Path(name).is_relative_to(root))
        if error.errno in _REFUSED and is_ours:
            raise UsageError(f"{printable(path)} cannot be used: {error.strerror}", hint=HINT) from error
        if error.errno == errno.EFBIG:
            raise KconformError(
                f"a file of {path.parent.name}/{path.name} is larger than files may be here",
                hint="raise the limit (ulimit -f), or set KCONFORM_CACHE to a file system for larger files",
            ) from error
        raise


def disk_full(path: Path, root: Path) -> KconformError:
    return KconformError(
        f"the disk is full: there is no room in {printable(root)} for {path.parent.name}/{path.name}",
        hint=f"free some space, empty the cache ({COMMAND} cache clear) or set KCONFORM_CACHE",
    )
