# SPDX-License-Identifier: GPL-2.0-or-later
"""The mutants of an area: small edits of the kernel, each with a sentence, from suites/<area>/mutants.toml.

[[mutant]]
id = "any-is-ignored"
text = "PR_SET_PTRACER_ANY admits nobody."
file = "security/yama/yama_lsm.c"
find = "(parent == NULL || "        # in the file exactly once
replace = "(parent != NULL && "
first = "test_set_ptracer.py"       # optional: the tests to run before all others of the area
equivalent = "..."                  # optional: why no test can detect it; then it is not built
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

SUITES = Path(__file__).parents[1]


class MutantTableError(Exception):
    """An invalid table; the message says where and why."""


@dataclass(frozen=True)
class Mutant:
    """One edit of one file of the kernel's source."""

    id: str
    text: str
    file: str
    find: str
    replace: str
    first: str = ""
    equivalent: str = ""

    def apply(self, content: str) -> str:
        """The file's content with the edit.  BadTable unless exactly one place matches."""
        places = content.count(self.find)
        if places != 1:
            raise MutantTableError(f"{self.id}: {self.file} has {places} places that match the edit, expected one")
        return content.replace(self.find, self.replace)


def areas() -> list[str]:
    return sorted(path.parent.name for path in SUITES.glob("*/mutants.toml"))


def load(area: str) -> list[Mutant]:
    """The mutants of an area, in the order of the file."""
    path = SUITES / area / "mutants.toml"
    if not path.exists():
        raise MutantTableError(f"there are no mutants for {area!r}, only for {', '.join(areas())}")
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    mutants = []
    for entry in entries:
        try:
            mutants.append(Mutant(**entry))
        except TypeError as error:
            raise MutantTableError(f"{path}: {entry.get('id', entry)}: {error}") from error
    twice = {mutant.id for mutant in mutants if sum(other.id == mutant.id for other in mutants) > 1}
    if twice:
        raise MutantTableError(f"{path}: {', '.join(sorted(twice))} is defined twice")
    return mutants
