# SPDX-License-Identifier: GPL-2.0-or-later
"""Waivers: known failures, each with its reason and the last day on which it is excused.

Those of kernels that the suites have been run on are kept beside the tests, in suites/<area>/waivers.toml; --waivers
adds a file of one's own:

    [[waiver]]
    test = "suites/yama/test_log.py::test_rate"   # or with its parameters, without the kernel: ...::test_rate[many]
    requirement = "yama.log-rate"                  # instead of `test`: any test of this promise
    splat = "WARNING: .* at drivers/base"          # instead of both: a complaint in the log, by a regular expression
    since = "6.1"                                  # optional: the first and the last kernel version that it is for
    until = "6.12"
    flavor = "full"                                # optional
    arches = ["arm"]                               # optional, by `uname -m`, as promises have it
    reason = "the second line comes late"
    upstream = "https://..."                       # optional: where it is being fixed
    expires = 2027-06-30

A waived failure does not fail the run until its waiver has expired.  A waived test that passes is an
`unexpected-pass`, which fails the run under --strict-waivers.  Waivers excuse failures of the kernel, never errors.
A waived splat is treated as if it had not been logged.  A waiver of a promise excuses only that promise: neither the
others that a failure breaks, nor a kernel that crashes, hangs or complains.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common import toml
from common.errors import UsageError
from common.text import did_you_mean
from common.versions import VersionRange
from reports.judgement.verdict import Judgement
from reports.model.requirements import unknown_message
from reports.model.result import KernelRecord, Result

FILE_NAME = "waivers.toml"
SUBJECTS = ("test", "requirement", "splat")
REQUIRED = ("reason", "expires")
OPTIONAL = (*SUBJECTS, "since", "until", "flavor", "arches", "upstream")
ANY_VERSION = VersionRange()
OWN_REASON = "; the failure: "
"""What stands between the reason of a waiver and that of the failure which it excuses."""


@dataclass(frozen=True)
class Waiver:
    """One known failure.  `place` says where it is written."""

    place: str
    reason: str
    expires: datetime.date
    test: str = ""
    requirement: str = ""
    splat: re.Pattern[str] | None = None
    versions: VersionRange = ANY_VERSION
    flavor: str = ""
    arches: tuple[str, ...] = ()
    """Empty for all."""

    def covers(self, nodeid: str, requirements: Iterable[str], kernel: KernelRecord | None) -> bool:
        """Whether it is for this test on this kernel."""
        named = self.requirement in requirements if self.requirement else self.names(nodeid, kernel)
        return named and self.splat is None and self.is_for(kernel)

    def is_for(self, kernel: KernelRecord | None) -> bool:
        """Whether it is for this kernel."""
        version, flavor = (kernel.numbers, kernel.flavor or "") if kernel else ((), "")
        if self.arches and (kernel is None or kernel.arch not in self.arches):
            return False
        # A waiver for a flavor is also for the flavor with changes, `full+SECURITY_YAMA=n`.
        return version in self.versions and self.flavor in ("", flavor, flavor.partition("+")[0])

    def names(self, nodeid: str, kernel: KernelRecord | None) -> bool:
        """Whether it names this very test."""
        name, _, parameters = nodeid.partition("[")
        parameters = parameters.removesuffix("]").removeprefix(kernel.id if kernel else "").removeprefix("-")
        return self.test in {name, f"{name}[{parameters}]"}

    def excuse(self, judgement: Judgement, today: datetime.date) -> Judgement:
        """The judgement on a test that this waiver covers."""
        if judgement.verdict == "fail" and today > self.expires:
            expired = f"its waiver expired on {self.expires}: {self.reason}"
            return replace(judgement, reason=f"{judgement.reason} ({expired})")
        if judgement.verdict == "fail":
            own = judgement.reason and f"{OWN_REASON}{judgement.reason}"
            return replace(judgement, verdict="waived", reason=f"{self.reason}, waived until {self.expires}{own}")
        # Of the tests of one promise some pass, and that is no surprise.
        if judgement.verdict == "pass" and self.test:
            return replace(judgement, verdict="unexpected-pass", reason=f"passes, though waived: {self.reason}")
        return judgement


def load(path: Path) -> list[Waiver]:
    """The waivers of a file, in its order.  UsageError, with the place, for what is not as it should be."""
    file = toml.read(path, "list of waivers")
    file.check(optional=("waiver",))
    return [_parse(table) for table in file.tables("waiver")]


def _parse(table: toml.Table) -> Waiver:
    if "expires" not in table:
        raise table.error("'expires' is missing: no failure is excused forever")
    table.check(required=REQUIRED, optional=OPTIONAL)
    if sum(key in table for key in SUBJECTS) != 1:
        raise table.error("exactly one of 'test', 'requirement' and 'splat' is needed")
    test = table.sentence("test", "")
    if "test" in table and "::" not in test:
        raise table.error("'test' must be the name of a test, such as suites/yama/test_log.py::test_rate", key="test")
    return Waiver(
        place=table.place(),
        reason=table.sentence("reason"),
        expires=table.date("expires"),
        test=test,
        requirement=table.sentence("requirement", ""),
        splat=table.pattern("splat") if "splat" in table else None,
        versions=table.versions(),
        flavor=table.sentence("flavor", ""),
        arches=tuple(table.texts("arches", [])),
    )


def waiver_for(
    waivers: Iterable[Waiver], nodeid: str, requirements: Collection[str], kernel: KernelRecord | None
) -> Waiver | None:
    """The waiver that covers the test, by its name or by one of these promises: the one that expires last."""
    found = [each for each in waivers if each.covers(nodeid, requirements, kernel)]
    return max(found, key=lambda each: each.expires, default=None)


def waiver_for_failure(
    waivers: Iterable[Waiver],
    nodeid: str,
    requirements: Collection[str],
    kernel: KernelRecord | None,
    judgement: Judgement,
) -> Waiver | None:
    """The waiver that covers a failure of the test, which is about these promises.

    All promises that it breaks must be waived: of their waivers, the one that expires first is returned.
    What is beyond promises needs a waiver that names the test.
    """
    waivers = list(waivers)
    broken = () if judgement.beyond_promises else judgement.breaks or requirements
    if not broken:
        return waiver_for(waivers, nodeid, (), kernel)
    each_ones = [waiver_for(waivers, nodeid, (promise,), kernel) for promise in broken]
    covering = [each for each in each_ones if each is not None]
    return min(covering, key=lambda each: each.expires) if len(covering) == len(each_ones) else None


def without_own_reason(reason: str) -> str:
    """What the waiver says, of the reason of a waived result: it is the same for all that the waiver excuses."""
    return reason.partition(OWN_REASON)[0]


class SplatWaivers:
    """Says which complaints of a kernel are waived, and keeps those that were."""

    def __init__(self, waivers: Iterable[Waiver], kernel: KernelRecord, today: datetime.date) -> None:
        self._waivers = [each for each in waivers if each.splat and today <= each.expires and each.is_for(kernel)]
        self.known: list[str] = []
        """The complaints that were waived, each with its reason."""

    def __call__(self, line: str) -> bool:
        for waiver in self._waivers:
            if waiver.splat and waiver.splat.search(line):
                self.known.append(f"{line}\n    {waiver.reason}, waived until {waiver.expires} ({waiver.place})\n")
                return True
        return False


def check_subjects(
    waivers: Iterable[Waiver], nodeids: Iterable[str], known: Collection[str], root: Path, *, whole: bool
) -> None:
    """UsageError for a waiver of a test or of a promise that does not exist.

    Of a file whose tests were not collected, or not all of them (`whole`), nothing can be said, except that it does
    not exist.
    """
    parameters: dict[str, list[str]] = {}
    for nodeid in nodeids:
        name, _, rest = nodeid.partition("[")
        parameters.setdefault(name, []).append(rest.removesuffix("]"))
    files = {name.partition("::")[0] for name in parameters}
    for waiver in waivers:
        if waiver.requirement and waiver.requirement not in known:
            raise UsageError(unknown_message(waiver.place, waiver.requirement, known))
        if not waiver.test:
            continue
        file, (name, _, rest) = waiver.test.partition("::")[0], waiver.test.partition("[")
        path = (root / file).resolve()
        if not (path.is_file() and path.is_relative_to(root)) or (whole and file in files and name not in parameters):
            raise UsageError(f"{waiver.place}: there is no test {waiver.test}{did_you_mean(name, parameters)}")
        # The kernel's id is in front of a test's own parameters.
        found, wanted = parameters.get(name, []), rest.removesuffix("]")
        if whole and found and wanted and not any(f"-{each}".endswith(f"-{wanted}") for each in found):
            raise UsageError(
                f"{waiver.place}: there is no test {waiver.test}",
                hint=f"there is {name}[{found[0]}], for example; a waiver leaves the kernel out",
            )


def check_kernels(waivers: Iterable[Waiver], flavors: Collection[str], arches: Collection[str]) -> None:
    """UsageError for a waiver of a flavor or an architecture that does not exist."""
    for waiver in waivers:
        if waiver.flavor and waiver.flavor not in flavors:
            meant = did_you_mean(waiver.flavor, flavors)
            raise UsageError(f"{waiver.place}: there is no flavor {waiver.flavor!r}{meant}")
        for arch in waiver.arches:
            if arch not in arches:
                raise UsageError(
                    f"{waiver.place}: there is no architecture {arch!r}{did_you_mean(arch, arches)}",
                    hint=f"architectures: {', '.join(arches)}",
                )


def not_needed(
    waivers: Iterable[Waiver], results: Collection[Result], kernels: Mapping[str, KernelRecord]
) -> list[Waiver]:
    """The waivers of promises that all their tests found held, on every tested kernel that they are for."""
    idle = []
    for waiver in waivers:
        seen = {
            result.on(waiver.requirement)
            for result in results
            if waiver.requirement in result.requirements
            and waiver.covers(result.nodeid, result.requirements, kernels.get(result.kernel or ""))
        }
        if waiver.requirement and "pass" in seen and seen <= {"pass", "skip", None}:
            idle.append(waiver)
    return idle
