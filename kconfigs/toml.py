# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings that people write: TOML files, read with the place of whatever is wrong in them."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kconfigs.errors import UsageError

Table = Mapping[str, Any]


def read(path: Path, what: str) -> Table:
    """The file's content.  UsageError if it is no TOML; `what` says what it should have been."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: no {what}: {error}") from error


def check_keys(where: str, table: Table, *, required: Sequence[str], optional: Sequence[str] = ()) -> None:
    """UsageError if a key is missing, or is none that is known."""
    missing = [key for key in required if key not in table]
    unknown = [key for key in table if key not in (*required, *optional)]
    if missing:
        raise UsageError(f"{where}: {missing[0]!r} is missing")
    if unknown:
        near = difflib.get_close_matches(unknown[0], (*required, *optional), 1) or (*required, *optional)
        raise UsageError(f"{where}: unknown key {unknown[0]!r}", hint=f"there is {', '.join(near)}")


def tables(where: str, table: Table, kind: str) -> list[tuple[str, Table]]:
    """The tables that are written as [[kind]], each with its place."""
    entries = table.get(kind, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"{where}: {kind} has to be written as [[{kind}]]")
    return [(f"{where}: [[{kind}]] {number}", entry) for number, entry in enumerate(entries, 1)]
