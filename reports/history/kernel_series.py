# SPDX-License-Identifier: GPL-2.0-or-later
"""Puts the kernels of many runs into series: one for each name, flavor, architecture and set of options.

A series goes on across versions, as a tree or a package does.  But where one run has two kernels of a name, such as a
matrix with Debian's 6.1 and 6.12, each minor version is a series of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.versions import SERIES, Version, dotted
from reports.history.history_file import Build
from reports.history.kept_runs import KeptColumn
from reports.model.result import KernelRecord

_VERSION_PART = re.compile(r"\d.*|rc\d+|g[0-9a-f]{7,}|dirty")
DIGEST = 8
"""Characters of a digest that tell two builds of a version apart."""

Key = tuple[str, str, str, str, str]


@dataclass
class KernelSeries:
    """The columns of a kernel, in the order in which their runs began."""

    id: str
    columns: list[KeptColumn]
    builds: list[Build]
    build_of: list[int]
    """The build of each column, as a place in `builds`."""


def series(columns: Iterable[KeptColumn]) -> list[KernelSeries]:
    """All series, by their ids."""
    by_key: dict[Key, list[KeptColumn]] = {}
    for column in columns:
        by_key.setdefault(_key(column.kernel), []).append(column)
    found = []
    for key, some in by_key.items():
        for line, same in _lines(some).items():
            same.sort(key=_order)
            builds, build_of = _builds(same)
            found.append(KernelSeries(_title(key, line), same, builds, build_of))
    return sorted(found, key=lambda each: each.id)


def family(name: str) -> str:
    """The name of a kernel without its version: `debian-cloud-amd64` for debian-6.1.192-cloud-amd64."""
    return "-".join(part for part in name.split("-") if not _VERSION_PART.fullmatch(part)) or name


def _key(kernel: KernelRecord) -> Key:
    name, _, flavor = kernel.id.partition("/")
    return (
        family(kernel.name or name),
        kernel.flavor or flavor,
        kernel.arch or "",
        kernel.machine_options or "",
        kernel.target or "",
    )


def _title(key: Key, line: str) -> str:
    name, flavor, _, options, target = key
    named = f"{name}/{flavor}" if flavor else name
    return " ".join(filter(None, (named, line, options, f"on {target}" if target else "")))


def _lines(columns: Sequence[KeptColumn]) -> dict[str, list[KeptColumn]]:
    """The columns by minor version if a run has more than one of them, otherwise all together."""
    minors: dict[int, set[str]] = {}
    for column in columns:
        minors.setdefault(id(column.run), set()).add(_minor(column))
    if all(len(some) == 1 for some in minors.values()):
        return {"": list(columns)}
    found: dict[str, list[KeptColumn]] = {}
    for column in columns:
        found.setdefault(_minor(column), []).append(column)
    return found


def _minor(column: KeptColumn) -> str:
    return dotted(_numbers(column.kernel)[:SERIES])


def _order(column: KeptColumn) -> tuple[object, ...]:
    return column.run.started, column.run.path, _numbers(column.kernel), column.kernel.id


def _builds(columns: Sequence[KeptColumn]) -> tuple[list[Build], list[int]]:
    numbers: dict[str | None, int] = {}
    kernels: list[KernelRecord] = []
    build_of = []
    for column in columns:
        kernel = column.kernel
        if kernel.digest not in numbers:
            numbers[kernel.digest] = len(kernels)
            kernels.append(kernel)
        build_of.append(numbers[kernel.digest])
    labels = [_label(kernel) for kernel in kernels]
    used = Counter(labels)
    builds = [
        Build(
            label=f"{label} {kernel.digest[:DIGEST]}" if kernel.digest and used[label] > 1 else label,
            release=kernel.release,
            identity=kernel.identity,
            digest=kernel.digest,
        )
        for kernel, label in zip(kernels, labels, strict=True)
    ]
    return builds, build_of


def _label(kernel: KernelRecord) -> str:
    parts = (kernel.name or kernel.id.partition("/")[0]).split("-")
    version = "-".join(part for part in parts if _VERSION_PART.fullmatch(part))
    return version or kernel.release or dotted(_numbers(kernel)) or kernel.id


def _numbers(kernel: KernelRecord) -> Version:
    try:
        return kernel.numbers
    except ValueError:  # more digits than Python makes a number of
        return ()
