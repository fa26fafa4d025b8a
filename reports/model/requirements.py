# SPDX-License-Identifier: GPL-2.0-or-later
"""The promises: one numbered sentence each, with its source and the kernel versions that make it.

They are kept beside the tests, in suites/<area>/requirements.toml:

    [[requirement]]
    id = "yama.scope-1"
    text = "At scope 1 a task may attach only to its descendants."
    source = "security/yama/yama_lsm.c: yama_ptrace_access_check()"
    since = "3.4"
    until = "6.5"   # optional: the last version that makes the promise
    note = "..."    # optional

Nothing here knows which kernel is tested; `Requirement.applies` is asked about a version.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FILE_NAME = "requirements.toml"
REQUIRED = ("id", "text", "source", "since")
OPTIONAL = ("until", "note")

_ID = re.compile(r"\w+\.\w+(?:[.-]\w+)*", re.ASCII)
_VERSION = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True)
class Versions:
    """A range of kernel versions, its ends included; `until` is open if it is None."""

    since: str
    until: str | None = None

    def applies(self, version: tuple[int, ...]) -> str | None:
        """None if the version is in the range, otherwise the reason to skip.

        An unknown version, `()`, is tested: a skip needs a reason.
        """
        if not version:
            return None
        this = ".".join(map(str, version))
        first = numbers(self.since)
        if _padded(version, first) < first:
            return f"since Linux {self.since}, this is {this}"
        # `until = "6.5"` includes 6.5.13: only the places that `until` has are compared.
        if self.until is not None and version[: len(numbers(self.until))] > numbers(self.until):
            return f"until Linux {self.until}, this is {this}"
        return None


@dataclass(frozen=True)
class Requirement:
    """One promise of the kernel."""

    id: str
    text: str
    source: str
    since: str
    until: str | None = None
    note: str = ""

    @property
    def area(self) -> str:
        """The folder below suites/ that the promise is tested in."""
        return self.id.partition(".")[0]

    def applies(self, version: tuple[int, ...]) -> str | None:
        """None if a kernel of this version makes the promise, otherwise the reason to skip."""
        return Versions(self.since, self.until).applies(version)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _padded(version: tuple[int, ...], like: tuple[int, ...]) -> tuple[int, ...]:
    """6.5 is 6.5.0, so that it is not older than a promise made since 6.5.0."""
    return version + (0,) * (len(like) - len(version))


def load(suites: Path) -> dict[str, Requirement]:
    """Every requirement of suites/*/requirements.toml by its id, in the order of the files.

    Raises pytest.UsageError, with the file and the place, for anything that is not as it should be.
    """
    found: dict[str, Requirement] = {}
    for path in sorted(suites.glob(f"*/{FILE_NAME}")):
        for requirement in _load_file(path):
            if requirement.id in found:
                raise pytest.UsageError(f"{path}: requirement {requirement.id!r} is there twice")
            found[requirement.id] = requirement
    return found


def _load_file(path: Path) -> list[Requirement]:
    return [_parse(path, place, table) for place, table in read_tables(path, "requirement")]


def read_tables(path: Path, name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The tables of that name in a TOML file that holds no others, each with words for its place in the file."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise pytest.UsageError(f"{path}:{line}: this is no text in UTF-8, and TOML has to be") from error
    except OSError as error:
        raise pytest.UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise pytest.UsageError(f"{path}: this is no TOML: {error}") from error
    unknown = sorted(set(document) - {name})
    if unknown:
        raise pytest.UsageError(f"{path}: {unknown[0]!r} is not known here; {name}s are [[{name}]]")
    tables = document.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise pytest.UsageError(f"{path}: write [[{name}]], with two brackets, for each {name}")
    heads = [
        number for number, line in enumerate(text.splitlines(), 1) if line.split("#")[0].strip() == f"[[{name}]]"
    ]
    # A text of several lines may have one too, and a file may do without: then no line is better than a wrong one.
    starts = [f"{path}:{line}" for line in heads] if len(heads) == len(tables) else [str(path)] * len(tables)
    return [
        (_place(start, name, number, table), table)
        for number, (start, table) in enumerate(zip(starts, tables, strict=True), 1)
    ]


def _place(start: str, name: str, number: int, table: Mapping[str, Any]) -> str:
    identifier = table.get("id")
    return f"{start}: {name} {number}" + (f" ({identifier})" if isinstance(identifier, str) else "")


def check_keys(place: str, table: Mapping[str, Any], required: Sequence[str], optional: Sequence[str]) -> None:
    """UsageError unless the table has these keys, and words behind each of them."""
    for key in required:
        if key not in table:
            raise pytest.UsageError(f"{place}: {key!r} is missing")
    for key, value in table.items():
        if key not in (*required, *optional):
            near = nearest(key, (*required, *optional))
            raise pytest.UsageError(f"{place}: unknown key {key!r}{suggestion(near)}")
        if not isinstance(value, str) or not value.strip():
            raise pytest.UsageError(f"{place}: {key!r} must be a string that says something, not {value!r}")
        if key in ("since", "until") and not _VERSION.fullmatch(value):
            raise pytest.UsageError(f"{place}: {key!r} must be a version such as '4.14', not {value!r}")
    since, until = str(table.get("since", "")), str(table.get("until", ""))
    if since and until and Versions("0", until).applies(numbers(since)):
        raise pytest.UsageError(f"{place}: since {since}, until {until}: no version is in between")


def _parse(path: Path, place: str, table: Mapping[str, Any]) -> Requirement:
    check_keys(place, table, REQUIRED, OPTIONAL)
    requirement = Requirement(**{key: " ".join(str(value).split()) for key, value in table.items()})
    if not _ID.fullmatch(requirement.id) or requirement.area != path.parent.name:
        raise pytest.UsageError(
            f"{place}: an id here looks like {path.parent.name + '.scope-1'!r}: the folder's name, a dot, "
            "then letters, digits, dots, dashes and underscores"
        )
    return requirement


def nearest(word: str, words: Iterable[str]) -> list[str]:
    """Up to three of `words` that someone who wrote `word` may have meant, the likeliest first."""
    return difflib.get_close_matches(word, list(words), n=3, cutoff=0.5)


def suggestion(near: Sequence[str]) -> str:
    """What to add to a sentence about a word that is unknown."""
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def unknown_message(nodeid: str, identifier: str, known: Iterable[str]) -> str:
    """The sentence for a test that names a requirement which nobody wrote down."""
    meant = suggestion(nearest(identifier, known))
    return f"{nodeid}: unknown requirement {identifier!r}{meant or f'; no {FILE_NAME} has it'}"
