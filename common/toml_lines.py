# SPDX-License-Identifier: GPL-2.0-or-later
"""The line of each table and each key in a TOML file, which tomllib does not report."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

_TOKEN = re.compile(
    r'''#[^\n]*|"""(?:\\.|[^\\])*?"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[][{}\n]''', re.DOTALL
)
"""What has to be told apart to see where a statement of a valid text ends: comments, strings, brackets, newlines."""

_NAME_AND_DOT = re.compile(r"""\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[\w-]+)\s*\.""", re.ASCII)

Path = tuple[str | int, ...]
"""The way to a value: ("kernel", 1, "spec") is the key `spec` in the second [[kernel]]."""


def lines_of(text: str) -> dict[Path, int]:
    """The lines, counted from 1, of all tables and keys in a valid TOML text.

    What is inside an inline value has no entry: it is on the line of the nearest enclosing path that has one.
    """
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, statement in _statements(text):
        path = _path(statement)
        if statement.lstrip().startswith("[["):
            table = _in_last(path[:-1], counts)
            count = counts[(*table, path[-1])] = counts.get((*table, path[-1]), -1) + 1
            found.setdefault((*table, path[-1]), number)
            table = (*table, path[-1], count)
            found[table] = number
        elif statement.lstrip().startswith("["):
            table = _in_last(path, counts)
            found.setdefault(table, number)
        else:
            for length in range(1, len(path) + 1):
                found.setdefault((*table, *path[:length]), number)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each head and each `key = value`, which may take several lines, with the line that it begins on."""
    number, start, depth = 1, 0, 0
    for token in _TOKEN.finditer(text + "\n"):
        word = token[0]
        if word in "[{":
            depth += 1
        elif word in "]}":
            depth -= 1
        elif word == "\n" and depth == 0:
            statement = text[start : token.start()]
            # A comment alone is a statement of no effect.
            if statement.strip() and not statement.lstrip().startswith("#"):
                yield number, statement + "\n"
            number += statement.count("\n") + 1
            start = token.end()


def _path(statement: str) -> tuple[str, ...]:
    """The names in the statement's head, or in front of its equals sign."""
    path: list[str] = []
    value: Any = tomllib.loads(statement)
    depth = _depth(statement)
    while len(path) < depth:
        if isinstance(value, list):
            value = value[0]
        ((name, value),) = value.items()
        path.append(name)
    return tuple(path)


def _depth(statement: str) -> int:
    """How many names, with dots between them, the head or the key is made of."""
    rest, depth = statement.lstrip().lstrip("["), 1
    while match := _NAME_AND_DOT.match(rest):
        rest, depth = rest[match.end() :], depth + 1
    return depth


def _in_last(path: tuple[str, ...], counts: Mapping[Path, int]) -> Path:
    """The path, by way of the last element of every array of tables on it."""
    resolved: Path = ()
    for name in path:
        resolved = (*resolved, name)
        if resolved in counts:
            resolved = (*resolved, counts[resolved])
    return resolved
