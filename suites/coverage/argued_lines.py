# SPDX-License-Identifier: GPL-2.0-or-later
"""suites/coverage/argued.toml: why no test of a guest can execute some lines and branches.

    [[argued]]
    file = "kernel/seccomp.c"
    find = "	if (ret < 0)\n		goto out;"   # in the file exactly once; the lines that it is in
    why = "One sentence."

An argument is about the branches of its lines, too.  It does not depend on line numbers, so it outlasts changes
elsewhere in the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.toml import read

ARGUED = Path(__file__).with_name("argued.toml")


@dataclass(frozen=True)
class ArguedPlace:
    file: str
    find: str
    why: str

    def lines(self, source: str) -> range:
        """The lines that it is about; none unless the source has it exactly once."""
        if source.count(self.find) != 1:
            return range(0)
        first = source.count("\n", 0, source.index(self.find)) + 1
        return range(first, first + self.find.rstrip("\n").count("\n") + 1)


def load_arguments(path: Path = ARGUED) -> list[ArguedPlace]:
    """UsageError, with the place, if the file is wrong."""
    file = read(path, "arguments")
    file.check(optional=("argued",))
    found = []
    for entry in file.tables("argued"):
        entry.check(required=("file", "find", "why"))
        found.append(ArguedPlace(entry.text("file"), entry.text("find"), entry.sentence("why")))
    return found


def argued_lines(arguments: Sequence[ArguedPlace], sources: Mapping[str, str]) -> dict[str, dict[int, str]]:
    """Of each file, the lines that are argued, each with the reason."""
    found: dict[str, dict[int, str]] = {file: {} for file in sources}
    for one in arguments:
        for line in one.lines(sources.get(one.file, "")):
            found[one.file][line] = one.why
    return found


def without_place(arguments: Sequence[ArguedPlace], sources: Mapping[str, str]) -> list[str]:
    """The arguments that the sources do not have exactly once, each as a line for a user."""
    return [
        f"{one.file} has {one.find.strip()!r} {sources[one.file].count(one.find)} times"
        for one in arguments
        if one.file in sources and sources[one.file].count(one.find) != 1
    ]
