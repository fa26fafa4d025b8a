# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings that people write: TOML files, read with the place of whatever is wrong in them."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UsageError

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Toml:
    """A file's content."""

    where: str
    """What messages call the file."""
    table: Table
    text: str

    def tables(self, kind: str) -> list[tuple[str, Table]]:
        """The tables that are written as [[kind]], each with its place: `file:LINE: [[kind]] NUMBER`."""
        entries: Any = self.table
        for part in kind.split("."):
            entries = entries.get(part, []) if isinstance(entries, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UsageError(f"{self.where}: {kind} has to be written as [[{kind}]]")
        lines = enumerate(self.text.splitlines(), 1)
        heads = [number for number, line in lines if line.split("#")[0].strip() == f"[[{kind}]]"]
        places = [f"{self.where}:{head}" for head in heads]
        if len(heads) != len(entries):
            # A text of several lines may have one too, and a file may do without: rather no line than a wrong one.
            places = [self.where] * len(entries)
        return [
            (f"{place}: [[{kind}]] {number}", entry)
            for number, (place, entry) in enumerate(zip(places, entries, strict=True), 1)
        ]


def read(path: Path, what: str, *, shown: str = "") -> Toml:
    """The file's content.  UsageError if it is no TOML; `what` says what it should have been."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
        return Toml(shown or str(path), tomllib.loads(text), text)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: no {what}: this is no text in UTF-8") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: no {what}: {getattr(error, 'strerror', None) or error}") from error


def check_keys(where: str, table: Table, *, required: Sequence[str], optional: Sequence[str] = ()) -> None:
    """UsageError if a key is missing, or is none that is known."""
    known = (*required, *optional)
    missing = [key for key in required if key not in table]
    unknown = [key for key in table if key not in known]
    if missing:
        raise UsageError(f"{where}: {missing[0]!r} is missing")
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{where}: unknown key {unknown[0]!r}{meant}", hint=f"there is {', '.join(known)}")
