# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a kernel makes a promise.  Whoever wants to know asks here.

Its version decides first: a promise is made from the version `since` on.  Vendors backport, so an older kernel makes
the promise too

- if its stable series has got it (the requirement's `stable`);
- if the kernel's profile lists it ([[backport]], kconfigs/profile.py);
- if the kernel itself says so, when it is asked what the requirement's `probe` names (guests/kernel_probes.py).

Nothing of that takes away a promise that the version makes, with two exceptions: if the profile lists a promise that
takes the place of another one (`successor`), the kernel no longer makes the former; and some promises are of certain
architectures alone (`arches`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.versions import Version, VersionRange, at_or_after_in_series, dotted
from reports.model.requirements import Requirement


@dataclass(frozen=True)
class Standing:
    """What a kernel has to do with a promise."""

    excluded: str = ""
    """Why it does not make the promise; empty if it does."""
    backported: str = ""
    """How it is known that it makes the promise, although it is older; empty if the version says so."""


class KernelPromises:
    """The promises of one kernel.

    `listed` returns who lists a promise as backported, empty if nobody does; `says` asks the kernel a probe.
    """

    def __init__(
        self,
        known: Mapping[str, Requirement],
        version: Version,
        *,
        arch: str = "x86_64",
        listed: Callable[[str], str],
        says: Callable[[str], bool],
    ) -> None:
        self._known = known
        self._version = version
        self._arch = arch
        self._listed = listed
        self._says = says

    def standing(self, identifier: str, *, ask: bool = True) -> Standing:
        """What the kernel has to do with a promise.  Without `ask`, the kernel itself is not asked."""
        requirement = self._known[identifier]
        if requirement.arches and self._arch not in requirement.arches:
            return Standing(f"{identifier} is about {' and '.join(requirement.arches)}, and this is {self._arch}")
        excluded = requirement.versions.excludes(self._version)
        if not excluded:
            return Standing(self._superseded(requirement))
        if VersionRange(until=requirement.versions.until).excludes(self._version):
            return Standing(excluded)
        if source := self._series(requirement) or self._listed(identifier):
            return Standing(backported=f"{excluded}, but {source}")
        if requirement.probe and ask:
            if self._says(requirement.probe):
                return Standing(backported=f"{excluded}, but the kernel says that it has {requirement.probe}")
            excluded += f", which does not say that it has {requirement.probe}"
        return Standing(excluded)

    def makes(self, identifier: str) -> bool:
        """Whether the kernel makes the promise."""
        return not self.standing(identifier).excluded

    def _series(self, requirement: Requirement) -> str:
        """Since when the kernel's stable series makes the promise; empty if it does not."""
        for first in requirement.stable_versions:
            if at_or_after_in_series(self._version, first):
                return f"stable kernels have it since {dotted(first)}"
        return ""

    def _superseded(self, requirement: Requirement) -> str:
        """Why the promise no longer applies, although the version makes it; empty if it does apply."""
        if requirement.successor and (source := self._listed(requirement.successor)):
            return f"{requirement.successor} takes its place: {source}"
        return ""
