# SPDX-License-Identifier: GPL-2.0-or-later
"""Checksums of cache entries that a guest uses: the agent, its initramfs, and disks.

The kernel under test would be blamed for a flipped bit in one of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from guests.errors import KconformError

FILE = "checksums.json"


class DamagedError(KconformError):
    """An entry of the cache has changed since it was made."""


def with_checksums(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """`make`, and then note the checksums of all files in the directory."""

    def make_and_note(directory: Path) -> None:
        make(directory)
        (directory / FILE).write_text(json.dumps(_checksums(directory)), encoding="utf-8")

    return make_and_note


def check(directory: Path) -> None:
    """Raise DamagedError unless all files are as they were made."""
    try:
        noted = json.loads((directory / FILE).read_text(encoding="utf-8"))
        found = _checksums(directory)
    except (OSError, ValueError) as error:
        raise DamagedError(f"{directory} is unreadable: {error}") from error
    if noted != found:
        raise DamagedError(f"{directory} has changed since it was made")


def _checksums(directory: Path) -> dict[str, str]:
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path != directory / FILE:
            with path.open("rb") as file:
                found[str(path.relative_to(directory))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
