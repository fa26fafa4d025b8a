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

A kernel may make a promise that is younger than its version.  Three more keys, all optional, say how that is known:

    stable = ["6.1.188"]           # older stable series that got it: here 6.1, from this version on
    probe = "addfd-flag SEND"      # what an older kernel is asked, and says if it has it (guests/kernel_probes.py)
    successor = "yama.scope-4"     # with `until`: the promise that takes its place

Architectures differ, by their names in `uname -m`, and two more keys say how; each difference has its source:

    arches = ["x86_64"]            # the only ones that make the promise
    differs = ["aarch64: The result is ... (arch/arm64/kernel/syscall.c)."]

Nothing here knows which kernel is tested: `reports.judgement.kernel_promises` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common import toml
from common.text import did_you_mean, printable
from common.versions import SERIES, Version, VersionRange, dotted, parse_version

FILE_NAME = "requirements.toml"
REQUIRED = ("id", "text", "source", "since")
TEXTS = ("until", "note", "probe", "successor")
OPTIONAL = (*TEXTS, "stable", "arches", "differs")

_DIFFERENCE = re.compile(r"(\w+): (\S.*\(.+\)\.)")
"""An architecture, and a sentence that ends with its source."""
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
    probe: str = ""
    successor: str = ""
    stable: tuple[str, ...] = ()
    arches: tuple[str, ...] = ()
    """The only architectures that make it; empty for all."""
    differs: tuple[tuple[str, str], ...] = ()
    """What else is so on an architecture: its name, and a sentence."""

    @property
    def remarks(self) -> str:
        """The note, and what differs between architectures."""
        only = [f"Only on {' and '.join(self.arches)}."] if self.arches else []
        differences = [f"On {arch}: {sentence}" for arch, sentence in self.differs]
        return " ".join(filter(None, (self.note, *only, *differences)))

    @property
    def area(self) -> str:
        """The directory below suites/ that the promise is tested in."""
        return self.id.partition(".")[0]

    @property
    def versions(self) -> VersionRange:
        """The kernel versions that make the promise, without the older stable series."""
        return VersionRange.parse(self.since, self.until or "")

    @property
    def stable_versions(self) -> list[Version]:
        """The first version of each older stable series that makes the promise."""
        return [parse_version(text) for text in self.stable]

    @property
    def applicability(self) -> str:
        """The kernels that make the promise, for a reader: `since Linux 6.12.110, in 6.1 since 6.1.188`."""
        said = [f"since Linux {self.since}"]
        said += [f"in {dotted(first[:SERIES])} since {dotted(first)}" for first in self.stable_versions]
        said += [f"until Linux {self.until}"] if self.until else []
        said += [f"or where the kernel has {self.probe}"] if self.probe else []
        return ", ".join(said)


def load(suites: Path) -> dict[str, Requirement]:
    """Every requirement of suites/*/requirements.toml by its id, in the order of the files.

    UsageError, with the file and the place, for anything that is not as it should be.
    """
    found: dict[str, Requirement] = {}
    succeeded: dict[str, toml.Table] = {}
    for path in sorted(suites.glob(f"*/{FILE_NAME}")):
        file = toml.read(path, "list of requirements")
        file.check(optional=("requirement",))
        for table in file.tables("requirement"):
            requirement = _parse(table, area=path.parent.name)
            if requirement.id in found:
                raise table.error(f"there is another requirement with the id {requirement.id!r}", key="id")
            found[requirement.id] = requirement
            if requirement.successor:
                succeeded[requirement.successor] = table
    for successor, table in succeeded.items():
        if successor not in found:
            raise table.error(f"'successor' is no requirement: {printable(successor)!r}", key="successor")
    return found


def _parse(table: toml.Table, area: str) -> Requirement:
    table.check(required=REQUIRED, optional=OPTIONAL)
    versions = table.versions()
    texts = {key: table.sentence(key) for key in (*REQUIRED, *TEXTS) if key in table.content}
    requirement = Requirement(
        **texts,
        stable=tuple(table.texts("stable", [])),
        arches=tuple(table.texts("arches", [])),
        differs=tuple(_difference(table, text) for text in table.texts("differs", [])),
    )
    for text in requirement.stable:
        try:
            older = parse_version(text)
        except ValueError as error:
            raise table.error(f"'stable': {error}", key="stable") from None
        if len(older) <= SERIES or older[:SERIES] >= versions.since[:SERIES]:
            message = f"'stable': {text} is not of an older stable series than {requirement.since}"
            raise table.error(message, key="stable")
    if requirement.successor and not requirement.until:
        raise table.error("a requirement that has a 'successor' must have 'until'", key="successor")
    if not _ID.fullmatch(requirement.id) or requirement.area != area:
        raise table.error(
            f"'id' must look like {f'{area}.scope-1'!r}: the name of the directory, a dot, "
            "then letters, digits, dots, dashes and underscores",
            key="id",
        )
    return requirement


def _difference(table: toml.Table, text: str) -> tuple[str, str]:
    found = _DIFFERENCE.fullmatch(text)
    if found is None:
        raise table.error("'differs' must be like 'aarch64: The result is ... (the source).'", key="differs")
    return found[1], found[2]


def unknown_message(place: str, identifier: str, known: Iterable[str]) -> str:
    """The sentence for a test or a waiver that names a requirement which does not exist."""
    known = list(known)
    meant = did_you_mean(identifier, known) or f"; no {FILE_NAME} has it"
    return f"{place}: unknown requirement {printable(identifier)!r}{meant}"
