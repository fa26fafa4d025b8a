# SPDX-License-Identifier: GPL-2.0-or-later
"""The promises: one sentence each, with its source and the kernel versions that make it.

They are kept beside the tests, in suites/<area>/requirements.toml:

    [[requirement]]
    id = "yama.scope-1"
    text = "At scope 1 a task may attach only to its descendants."
    source = "security/yama/yama_lsm.c: yama_ptrace_access_check()"
    since = "3.4"
    until = "6.5"   # optional: the last version that makes the promise
    note = "..."    # optional

Nothing here knows which kernel is tested; `Requirement.excludes` is asked about a version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common import toml
from common.text import did_you_mean, printable
from common.versions import Version, VersionRange

FILE_NAME = "requirements.toml"
REQUIRED = ("id", "text", "source", "since")
OPTIONAL = ("until", "note")

_ID = re.compile(r"\w+\.\w+(?:[.-]\w+)*", re.ASCII)


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
        """The directory below suites/ that the promise is tested in."""
        return self.id.partition(".")[0]

    @property
    def versions(self) -> VersionRange:
        """The kernel versions that make the promise."""
        return VersionRange.parse(self.since, self.until or "")

    def excludes(self, version: Version) -> str:
        """Why a kernel of this version does not make the promise; empty if it does."""
        return self.versions.excludes(version)


def load(suites: Path) -> dict[str, Requirement]:
    """Every requirement of suites/*/requirements.toml by its id, in the order of the files.

    UsageError, with the file and the place, for anything that is not as it should be.
    """
    found: dict[str, Requirement] = {}
    for path in sorted(suites.glob(f"*/{FILE_NAME}")):
        file = toml.read(path, "list of requirements")
        file.check(optional=("requirement",))
        for table in file.tables("requirement"):
            requirement = _parse(table, area=path.parent.name)
            if requirement.id in found:
                raise table.error(f"there is another requirement with the id {requirement.id!r}", key="id")
            found[requirement.id] = requirement
    return found


def _parse(table: toml.Table, area: str) -> Requirement:
    table.check(required=REQUIRED, optional=OPTIONAL)
    table.versions()
    requirement = Requirement(**{key: table.sentence(key) for key in table.content})
    if not _ID.fullmatch(requirement.id) or requirement.area != area:
        raise table.error(
            f"'id' must look like {f'{area}.scope-1'!r}: the name of the directory, a dot, "
            "then letters, digits, dots, dashes and underscores",
            key="id",
        )
    return requirement


def unknown_message(place: str, identifier: str, known: Iterable[str]) -> str:
    """The sentence for a test or a waiver that names a requirement which does not exist."""
    known = list(known)
    meant = did_you_mean(identifier, known) or f"; no {FILE_NAME} has it"
    return f"{place}: unknown requirement {printable(identifier)!r}{meant}"
