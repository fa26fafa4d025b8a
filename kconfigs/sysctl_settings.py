# SPDX-License-Identifier: GPL-2.0-or-later
"""The sysctl settings that a system makes when it boots, read as systemd-sysctl does (sysctl.d(5)).

Of all files with one name, the one of the first folder counts, and the files are read in the order of their names.
A key has the value that it is assigned last.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common import bounded
from common.errors import UsageError
from common.paths import users_path
from common.text import printable
from kconfigs.input_limits import SYSCTL, SYSCTL_FILES

WHAT = "file of sysctl settings"
_SEPARATOR = re.compile(r"[./]")
_GLOB = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Setting:
    """A value for a key."""

    key: str
    """With slashes, as below /proc/sys; may be a glob(7)."""
    value: str
    where: str
    """File and line, for messages."""

    @property
    def name(self) -> str:
        """The key as people write it, with dots."""
        return _swapped(self.key)

    def __str__(self) -> str:
        return f"{printable(self.name)} = {printable(self.value)} ({self.where})"


@dataclass(frozen=True)
class SysctlSettings:
    """What is set, in this order."""

    settings: tuple[Setting, ...] = ()
    """One for each key."""
    overridden: tuple[Setting, ...] = ()
    """What later lines assign other values."""
    kept: frozenset[str] = frozenset()
    """Keys that no glob sets (a line `-key` without `=`)."""
    remarks: tuple[str, ...] = ()
    """Lines that are ignored, and why."""

    def of(self, key: str) -> Setting | None:
        """What sets a key, by its name or by a glob; the last glob counts.  None if nothing does."""
        found: Setting | None = None
        for one in self.settings:
            if one.key == key:
                return one
            if _GLOB.search(one.key) and key not in self.kept and _matches(key, one.key):
                found = replace(one, key=key)
        return found

    def explicit(self) -> list[Setting]:
        """The settings of single keys."""
        return [one for one in self.settings if not _GLOB.search(one.key)]


def read(names: Sequence[str]) -> SysctlSettings:
    """The settings in these folders and files, the more important ones first.

    A file counts as a folder that has only this file, whatever its name ends in.  UsageError, with the place, for
    what cannot be read, and if there is no file of settings.
    """
    files: dict[str, Path] = {}
    for name in names:
        for path in _files(users_path(name)):
            files.setdefault(path.name, path)
    if not files:
        raise UsageError(
            f"{', '.join(map(printable, names))}: no file here has a name that ends in .conf",
            hint="name a sysctl.d folder, such as /usr/lib/sysctl.d, or a file of settings",
        )
    lines = (line for _, path in sorted(files.items()) for line in _lines(path))
    return _merged(lines)


def _files(path: Path) -> list[Path]:
    """Links to nothing are left out."""
    try:
        inside = path.iterdir() if path.is_dir() else None
        found = [path] if inside is None else [one for one in inside if one.name.endswith(".conf") and one.exists()]
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(found) > SYSCTL_FILES:
        raise UsageError(
            f"{printable(path)} has {len(found)} files of settings, which no sysctl.d folder has",
            hint="check that it is the folder you mean",
        )
    return found


@dataclass(frozen=True)
class _Line:
    text: str
    where: str


def _lines(path: Path) -> Iterator[_Line]:
    """The lines of a file that are neither empty nor comments.  A link to /dev/null masks files of the same name."""
    if path.is_symlink() and str(path.readlink()) == "/dev/null":
        return
    try:
        content = bounded.read(path, SYSCTL, WHAT)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    text = bounded.decoded(content, WHAT, printable(path))
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and line.strip()[0] not in "#;":
            yield _Line(line.strip(), f"{printable(path)}:{number}")


def _unreadable(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{printable(path)} cannot be read: {getattr(error, 'strerror', None) or error}",
        hint="name a sysctl.d folder, or a file of settings",
    )


def _merged(lines: Iterable[_Line]) -> SysctlSettings:
    assigned: dict[str, Setting | None] = {}
    overridden, remarks = [], []
    for line in lines:
        text, equals, value = line.text.removeprefix("-").partition("=")
        key, value = _normalized(text.strip()), value.strip()
        if not key or not (equals or line.text.startswith("-")):
            remarks.append(
                f"{line.where}: systemd-sysctl ignores this line, which is no assignment: {printable(line.text, 80)}"
            )
            continue
        setting = Setting(key, value, line.where) if equals else None
        former = assigned.get(key)
        if former is not None and setting is not None and former.value == value:
            continue
        # What is assigned again is set where that is written.
        assigned.pop(key, None)
        assigned[key] = setting
        if former is not None:
            overridden.append(former)
    return SysctlSettings(
        tuple(one for one in assigned.values() if one is not None),
        tuple(overridden),
        frozenset(key for key, one in assigned.items() if one is None),
        tuple(remarks),
    )


def _normalized(key: str) -> str:
    """With slashes.  If the first separator is a dot, dots and slashes change places."""
    first = _SEPARATOR.search(key)
    swapped = _swapped(key) if first and first[0] == "." else key
    return re.sub(r"/+", "/", swapped).strip("/")


def _swapped(key: str) -> str:
    return key.translate(str.maketrans("./", "/."))


def _matches(key: str, pattern: str) -> bool:
    """As glob(7): no wildcard matches a slash."""
    parts, patterns = key.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))
