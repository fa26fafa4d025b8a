# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes on disk, and how directories are removed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from common.errors import UsageError


def allocated(path: Path) -> int:
    """Bytes of disk that a file or a directory takes; a file with several links counts once."""
    total, seen = 0, set()
    for folder, _, names in os.walk(path):
        for name in [".", *names]:
            with contextlib.suppress(FileNotFoundError):
                stat = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - a kernel tree has 90000 of these
                if (stat.st_dev, stat.st_ino) not in seen:
                    seen.add((stat.st_dev, stat.st_ino))
                    total += stat.st_blocks * 512
    return total or path.lstat().st_blocks * 512


def parse_size(text: str) -> int:
    """Bytes, from a text such as 5G or 512 MiB.  UsageError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not match:
        raise UsageError(f"{text!r} is not a size", hint="write a number of bytes, or a number with K, M, G or T")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def remove(path: Path) -> None:
    """Remove a directory, even one with read-only directories in it, or a file that is in its place."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        for folder, names, _ in os.walk(path):
            for name in names:
                child = Path(folder, name)
                if not child.is_symlink():
                    child.chmod(0o700)
        path.chmod(0o700)
        shutil.rmtree(path)
