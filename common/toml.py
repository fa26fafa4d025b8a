# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings that people write: TOML files, read such that every complaint names file, line, table and key.

file = read(path, "matrix")                      # UsageError if it cannot be read or is not TOML
file.check(required=("kernel",))                 # UsageError for a key that is missing or unknown
for entry in file.tables("kernel"):
    entry.check(required=("spec",), optional=("flavors", "since", "until"))
    spec, flavors = entry.text("spec"), entry.texts("flavors", ["full"])
    if not versions_known(entry.versions()):
        raise entry.error("'since' is too early", key="since")   # kernels.toml:7: [[kernel]] 2: 'since' is ...
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import bounded
from common.errors import UsageError
from common.text import did_you_mean, printable
from common.toml_lines import Path as KeyPath
from common.toml_lines import lines_of
from common.versions import VersionRange, parse_version


@dataclass(frozen=True)
class Table:
    """A table of a file: its content, and where it is written."""

    file: str
    """What messages call the file."""
    content: Mapping[str, Any]
    name: str = ""
    """`[[kernel]] 2`; empty for the file's own top level.  An id that the table has is added in brackets."""
    path: KeyPath = ()
    lines: Mapping[KeyPath, int] = field(default_factory=dict, repr=False)

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def place(self, key: str = "") -> str:
        """For messages: `FILE:LINE: [[kernel]] 2`.  With a key, the line is the key's."""
        line = self._line((*self.path, key) if key else self.path)
        return ": ".join(filter(None, [f"{self.file}:{line}" if line else self.file, self.name]))

    def error(self, message: str, *, key: str = "", hint: str = "") -> UsageError:
        """The error to raise for something in this table, with its place in front."""
        return UsageError(f"{self.place(key)}: {message}", hint=hint)

    def _line(self, path: KeyPath) -> int | None:
        """The line of the nearest enclosing path that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    # Keys

    def check(self, *, required: Collection[str] = (), optional: Collection[str] = ()) -> None:
        """UsageError for a key that is missing, or that is not among these."""
        known = (*required, *optional)
        for key in self.content:
            if key not in known:
                meant = did_you_mean(key, known)
                raise self.error(f"unknown key {_shown(key)}{meant}", key=key, hint=f"known keys: {', '.join(known)}")
        for key in required:
            if key not in self.content:
                raise self.error(f"{key!r} is missing")

    def tables(self, kind: str) -> list[Table]:
        """The tables that are written as [[kind]] in this one; `kind` may have dots.  None is no error."""
        entries: Any = self.content
        for part in kind.split("."):
            if isinstance(entries, dict) and part not in entries:
                return []
            entries = entries[part] if isinstance(entries, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            first = kind.partition(".")[0]
            raise self.error(f"{kind!r} must be written as [[{kind}]], with two brackets", key=first)
        path = (*self.path, *kind.split("."))
        return [
            Table(self.file, entry, f"[[{kind}]] {number + 1}{_identity(entry)}", (*path, number), self.lines)
            for number, entry in enumerate(entries)
        ]

    # Values.  Each is a UsageError if it is not of the kind asked for, or if it is missing and has no default.

    def text(self, key: str, default: str | None = None, *, blank: bool = False) -> str:
        """A string, which may be blank only where `blank` says so."""
        value = self._value(key, default)
        if not isinstance(value, str) or (key in self and not blank and not value.strip()):
            raise self.error(f"{key!r} must be a non-empty string in quotes, not {_shown(value)}", key=key)
        return value

    def sentence(self, key: str, default: str | None = None) -> str:
        """As `text`, with line breaks and runs of blanks made one blank each."""
        return " ".join(self.text(key, default).split())

    def texts(self, key: str, default: Sequence[str] | None = None) -> list[str]:
        """A list of strings that are not blank; the list has at least one."""
        value = self._value(key, default)
        if key in self and (
            not isinstance(value, list) or not value or not all(isinstance(one, str) and one.strip() for one in value)
        ):
            raise self.error(f"{key!r} must be a list of strings in quotes, not {_shown(value)}", key=key)
        return list(value)

    def choice(self, key: str, known: Collection[str], default: str | None = None) -> str:
        """One of the known words."""
        value = self.text(key, default)
        if key in self:
            self._check_known(key, value, known)
        return value

    def choices(self, key: str, known: Collection[str], default: Sequence[str] | None = None) -> list[str]:
        """A list of known words, each once, in its order."""
        values = list(dict.fromkeys(self.texts(key, default)))
        if key in self:
            for value in values:
                self._check_known(key, value, known)
        return values

    def date(self, key: str) -> datetime.date:
        """A date, which TOML writes without quotes."""
        value = self._value(key, None)
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            raise self.error(
                f"{key!r} must be a date such as 2027-06-30, without quotes, not {_shown(value)}", key=key
            )
        return value

    def pattern(self, key: str, default: str | None = None) -> re.Pattern[str]:
        """A regular expression."""
        text = self.text(key, default)
        try:
            return re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise self.error(f"{key!r} is not a regular expression: {_shown(error)}", key=key) from error

    def versions(self) -> VersionRange:
        """The range that the optional keys `since` and `until` give, both ends included."""
        texts = {key: self.text(key, "") for key in ("since", "until")}
        for key, text in texts.items():
            try:
                parse_version(text or "0")
            except ValueError:
                raise self.error(
                    f"{key!r} must be a kernel version such as '6.12', not {_shown(text)}", key=key
                ) from None
        try:
            return VersionRange.parse(**texts)
        except ValueError as error:
            raise self.error(str(error), key="until") from None

    def _value(self, key: str, default: Any) -> Any:
        value = self.content.get(key, default)
        if value is None:
            raise self.error(f"{key!r} is missing")
        return value

    def _check_known(self, key: str, value: str, known: Collection[str]) -> None:
        if value not in known:
            meant = did_you_mean(value, known)
            raise self.error(f"{key!r} cannot be {_shown(value)}{meant}", key=key, hint=f"known: {', '.join(known)}")


SIZE = 512 << 10
"""Bytes of a file.  The largest of ours, the mutants of seccomp, has 88 kB."""
KEY_PARTS = 32
"""Names that a key may have with dots between them.  Ours have three; tomllib takes the square of their number."""
_LONG_KEY = re.compile(
    r"""(?<![\w.-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){%d}""" % KEY_PARTS  # noqa: UP031 - braces
)

_AT_END = " (at end of document)"


def read(path: Path, what: str, *, shown: str = "") -> Table:
    """The file's top level.  UsageError, with the line where there is one, if it cannot be read or is not TOML.

    `what` says what the file should be (`profile`); `shown` is what messages call it, without it the path.
    """
    name = printable(shown or path)
    try:
        text = bounded.decoded(bounded.read(path, SIZE, what, shown=name), what, name).replace("\r\n", "\n")
        if long := _LONG_KEY.search(text):
            line = text.count("\n", 0, long.start()) + 1
            raise UsageError(
                f"{name}:{line}: not a {what}: a key has more than {KEY_PARTS} names with dots between them",
                hint=f"check that it is the {what} you mean",
            )
        return Table(name, tomllib.loads(text), lines=lines_of(text))
    except tomllib.TOMLDecodeError as error:
        message, place = _without_line(str(error), text)
        raise UsageError(f"{name}{place}: not a {what}: this is not TOML: {message}") from error
    except RecursionError as error:
        raise UsageError(f"{name}: not a {what}: the values are nested too deeply") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{name}: the {what} cannot be read: {reason}") from error


def _without_line(message: str, text: str) -> tuple[str, str]:
    """What tomllib says, and the line that it names, as `:7`."""
    if message.endswith(_AT_END):
        return message.removesuffix(_AT_END), f":{len(text.splitlines()) or 1}"
    found = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", message)
    return (found[1], f":{found[2]}") if found else (message, "")


def _identity(entry: Mapping[str, Any]) -> str:
    identifier = entry.get("id")
    return f" ({printable(identifier, 80)})" if isinstance(identifier, str) and identifier else ""


def _shown(value: object) -> str:
    """What a message quotes of a value."""
    return printable(repr(value), 80)
