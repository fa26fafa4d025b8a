# SPDX-License-Identifier: GPL-2.0-or-later
"""The mutants of an area: small edits of the kernel, each with a sentence, from suites/<area>/mutants.toml.

[[mutant]]
id = "any-is-ignored"
text = "PR_SET_PTRACER_ANY admits nobody."
file = "security/yama/yama_lsm.c"
find = "(parent == NULL || "        # in the file exactly once
replace = "(parent != NULL && "
first = "test_set_ptracer.py"       # optional: the tests to try before all of the area's
equivalent = "..."                  # optional: why no test can notice it; then it is not built
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

SUITES = Path(__file__).parents[1]


class BadTable(Exception):
    """A table that cannot be used; the message says where and why."""


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
        """The file's content with the edit.  BadTable unless there is exactly one place for it."""
        places = content.count(self.find)
        if places != 1:
            raise BadTable(f"{self.id}: {self.file} has {places} places for the edit, not one")
        return content.replace(self.find, self.replace)


def areas() -> list[str]:
    return sorted(path.parent.name for path in SUITES.glob("*/mutants.toml"))


def load(area: str) -> list[Mutant]:
    """The mutants of an area, in the order of the file."""
    path = SUITES / area / "mutants.toml"
    if not path.exists():
        raise BadTable(f"there are no mutants for {area!r}, only for {', '.join(areas())}")
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    mutants = []
    for entry in entries:
        try:
            mutants.append(Mutant(**entry))
        except TypeError as error:
            raise BadTable(f"{path}: {entry.get('id', entry)}: {error}") from error
    twice = {mutant.id for mutant in mutants if sum(other.id == mutant.id for other in mutants) > 1}
    if twice:
        raise BadTable(f"{path}: {', '.join(sorted(twice))} is there twice")
    return mutants
