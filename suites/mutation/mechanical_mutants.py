# SPDX-License-Identifier: GPL-2.0-or-later
"""Mechanical mutants: faults that nobody chose, drawn from the functions of an area's kernel files.

A sample is the same for the same seed and source, and changes little if the source does: functions take turns, in
each function the kinds of faults take turns, and all are in the order of digests of the seed and their ids.  An id
does not depend on line numbers, so what an area's argued.toml says of it outlasts changes elsewhere in the file:

    [[argued]]
    id = "yama_task_free-without-yama_ptracer_del-3f01c2"
    why = "..."                         # why no test can detect it
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from common.toml import read
from suites.mutation.c_source import functions
from suites.mutation.fault_places import Place, places
from suites.mutation.mutant import Edit, Mutant
from suites.mutation.mutant_table import SUITES

FILES: Mapping[str, Sequence[str]] = {
    "loadpin": ("security/loadpin/loadpin.c", "drivers/md/dm-verity-loadpin.c"),
    "ptrace": ("kernel/ptrace.c",),
    "seccomp": ("kernel/seccomp.c",),
    "yama": ("security/yama/yama_lsm.c",),
}
"""The kernel's files that an area is about."""

ARGUED = "argued.toml"

T = TypeVar("T")


def draw(area: str, tree: Path, seed: int, live: Callable[[str], set[int]]) -> Iterator[Mutant]:
    """All mechanical mutants of an area's files, in the order of the seed; those that are argued say why.

    `live(file)` has the numbers of the lines that are compiled; it is called once for each file.
    """
    why = arguments(area)
    queues: list[tuple[str, list[Mutant]]] = []
    for file in FILES[area]:
        source = (tree / file).read_bytes()
        for function, found in _grouped(_named(file, source, live(file)), lambda place: place.function).items():
            mutants = [_mutant(file, source, name, place) for name, place in _mixed(found, seed)]
            queues.append((_rank(seed, file, function), mutants))
    for mutant in _in_turns([mutants for _, mutants in sorted(queues, key=lambda queue: queue[0])]):
        yield replace(mutant, argued=why.get(mutant.id, ""))


def _mixed(found: Iterable[tuple[str, Place]], seed: int) -> Iterator[tuple[str, Place]]:
    """The places of one function: the kinds take turns."""
    kinds = _grouped(found, lambda place: place.kind)
    order = sorted(kinds, key=lambda kind: _rank(seed, kinds[kind][0][1].function, kind))
    return _in_turns([sorted(kinds[kind], key=lambda each: _rank(seed, each[0])) for kind in order])


def arguments(area: str) -> dict[str, str]:
    """Why no test can detect some mechanical mutants of an area, by id.  UsageError if the table is invalid."""
    path = SUITES / area / ARGUED
    if not path.exists():
        return {}
    file = read(path, "table of arguments")
    file.check(optional=("argued",))
    found: dict[str, str] = {}
    for entry in file.tables("argued"):
        entry.check(required=("id", "why"))
        if entry.text("id") in found:
            raise entry.error(f"{entry.text('id')!r} is argued twice", key="id")
        found[entry.text("id")] = entry.sentence("why")
    return found


def stale_arguments(area: str, tree: Path) -> list[str]:
    """The ids in the table of arguments that no place in this source has."""
    names = {name for file in FILES[area] for name, _ in _named(file, (tree / file).read_bytes(), None)}
    return [name for name in arguments(area) if name not in names]


def _named(file: str, source: bytes, live: set[int] | None) -> list[tuple[str, Place]]:
    """The places of a file with their ids, in the order of the file.  Without `live`, all lines count."""
    found, times = [], Counter[str]()
    for function in functions(source):
        for place in places(function, live):
            start, end = _lines(source, place.start, place.end)
            context = [source[start : place.start], source[start:end], place.replacement.encode()]
            digest = _rank(file, *(b" ".join(part.split()) for part in context))[:6]
            name = f"{place.function}-{place.name}-{digest}"
            times[name] += 1
            found.append((name if times[name] == 1 else f"{name}-{times[name]}", place))
    return found


def _mutant(file: str, source: bytes, name: str, place: Place) -> Mutant:
    start, end = _lines(source, place.start, place.end)
    while source.count(source[start:end]) > 1:
        start, end = _lines(source, max(0, start - 1), end + 1)
    find = source[start:end]
    edited = source[start : place.start] + place.replacement.encode() + source[place.end : end]
    line = source.count(b"\n", 0, place.start) + 1
    return Mutant(
        name,
        f"{file}:{line}, {place.function}(): {place.text}.",
        (Edit(file, find.decode(), edited.decode()),),
    )


def _lines(source: bytes, start: int, end: int) -> tuple[int, int]:
    """The range, widened to whole lines, with the last newline."""
    newline = source.find(b"\n", max(start, end - 1))
    return source.rfind(b"\n", 0, start) + 1, len(source) if newline < 0 else newline + 1


def _rank(*words: object) -> str:
    return hashlib.sha256("\0".join(map(str, words)).encode()).hexdigest()


def _grouped(found: Iterable[tuple[str, Place]], key: Callable[[Place], str]) -> dict[str, list[tuple[str, Place]]]:
    groups: dict[str, list[tuple[str, Place]]] = {}
    for name, place in found:
        groups.setdefault(key(place), []).append((name, place))
    return groups


def _in_turns(queues: Sequence[Sequence[T]]) -> Iterator[T]:
    """The first of each queue, then the second of each, and so on."""
    for turn in itertools.count():
        at_turn = [queue[turn] for queue in queues if turn < len(queue)]
        if not at_turn:
            return
        yield from at_turn
