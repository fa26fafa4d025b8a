# SPDX-License-Identifier: GPL-2.0-or-later
"""The coverage of promises: which tests are about which requirement, and what `--requirements` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.model.requirements import Requirement

KERNEL_AREAS = ("boot", "ptrace", "yama", "loadpin", "seccomp")
"""Areas in which each test must name a requirement."""


@dataclass(frozen=True)
class Coverage:
    """Which test functions are about which promise."""

    entries: Sequence[tuple[Requirement, Sequence[str]]]
    unclaimed: Sequence[str]
    """Test functions of KERNEL_AREAS that name no promise."""

    @property
    def gaps(self) -> list[str]:
        """One sentence for each thing that is missing."""
        untested = [f"no test: {requirement.id}" for requirement, tests in self.entries if not tests]
        return untested + [f"no requirement: {test}" for test in self.unclaimed]

    def lines(self) -> list[str]:
        """What --requirements prints."""
        lines: list[str] = []
        for requirement, tests in self.entries:
            lines.append(f"{requirement.id}: {requirement.text}")
            lines.append(f"    {requirement.source}; {requirement.applicability}")
            lines += [f"    {test}" for test in tests] or ["    NO TEST"]
        if self.gaps:
            lines += ["", "gaps:", *(f"    {gap}" for gap in self.gaps)]
        lines.append(f"requirements: {len(self.entries)}, gaps: {len(self.gaps)}")
        return lines


def cover(known: Mapping[str, Requirement], tests: Iterable[tuple[str, Sequence[str]]]) -> Coverage:
    """Sort test functions, each given with the ids that it names, under the requirements."""
    found: dict[str, dict[str, None]] = {identifier: {} for identifier in known}
    unclaimed: dict[str, None] = {}
    for name, identifiers in tests:
        for identifier in identifiers:
            found.setdefault(identifier, {})[name] = None
        if not identifiers and name.startswith(tuple(f"suites/{area}/" for area in KERNEL_AREAS)):
            unclaimed[name] = None
    return Coverage([(each, list(found[each.id])) for each in known.values()], list(unclaimed))
