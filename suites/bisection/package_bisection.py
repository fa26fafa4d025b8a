# SPDX-License-Identifier: GPL-2.0-or-later
"""Bisection of the versions of a kernel that an archive still has, in the order of their versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from debian.debian_support import Version

from common.commandline import INTERRUPTED, output
from common.errors import UsageError
from kconfigs.cache import Cache
from kconfigs.debian.kernel_versions import OfferedKernel, kind_of, offered
from kconfigs.kernel_names import clean
from kconfigs.resolve import apt_for, resolve
from kconfigs.sources import AptSource
from kconfigs.spec import parse
from reports.judgement.exit_status import HELD, UNDETERMINED, WRONG_USE
from reports.tools import bisect
from reports.tools.bisect import StepResult
from suites.bisection.report_place import reports_of
from suites.bisection.version_search import Verdict, search

_VERDICTS: dict[int, Verdict] = {bisect.GOOD: "good", bisect.BAD: "bad", bisect.SKIP: "unknown"}


class Stopped(Exception):
    """The bisection cannot go on; the run has told why."""

    def __init__(self, exit_status: int) -> None:
        super().__init__()
        self.exit_status = exit_status


def bisect_packages(
    good: str,
    bad: str,
    suites: Sequence[str],
    arguments: Sequence[str],
    judge: Callable[[Sequence[str]], StepResult] = bisect.judge,
) -> int:
    """Find the first bad version, and return the exit status.  `arguments` are those of each run.

    KconformError if the archive cannot be asked, UsageError if the two are not versions of one kernel.
    """
    kernels = versions_between(endpoint(good), endpoint(bad), suites)
    output(f"{len(kernels)} versions, of which about {(len(kernels) - 1).bit_length() + 1} are tested:")
    for kernel in kernels:
        output(f"  {kernel.version:24} {kernel.spec}")
    found: dict[int, Verdict] = {}

    def verdict(number: int) -> Verdict:
        found[number] = _judged(kernels[number], arguments, judge)
        output(f"bisect: {kernels[number].version} is {found[number]}")
        return found[number]

    try:
        last = len(kernels) - 1
        for number, wanted in ((0, "good"), (last, "bad")):
            if verdict(number) != wanted:
                option = "--good" if number == 0 else "--bad"
                raise UsageError(
                    f"{option} {kernels[number].spec} is {_words(found[number])}, so there is nothing to look for",
                    hint="name the tests that tell the two kernels apart",
                )
        narrowed = search(len(kernels), verdict)
    except Stopped as stopped:
        return stopped.exit_status
    output(f"last good: {_named(kernels[narrowed.good])}")
    for number in narrowed.between:
        output(f"could not be judged: {_named(kernels[number])}")
    output(f"{'bad' if narrowed.between else 'first bad'}: {_named(kernels[narrowed.bad])}")
    return UNDETERMINED if narrowed.between else HELD


def _words(verdict: Verdict) -> str:
    return "undetermined" if verdict == "unknown" else verdict


def _named(kernel: OfferedKernel) -> str:
    return f"{kernel.package} {kernel.version} (--kernel={kernel.spec})"


def endpoint(text: str) -> OfferedKernel:
    """The kernel that a SPEC names.  UsageError if it is not that of a package that apt offers."""
    source = resolve(parse(text)) if text.startswith("deb:") else None
    if not isinstance(source, AptSource):
        raise UsageError(
            f"{text} is not a kernel package of an archive",
            hint="write deb:linux-image-cloud-amd64=VERSION; for revisions of a git tree, add --tree DIR",
        )
    packages = source.packages
    # Since 6.19, Debian's linux-image-RELEASE depends on linux-binary-RELEASE, which has the kernel, and on a package
    # with its modules.  Only the first names them all.
    kernel = next((each for each in packages.all if each.name.startswith("linux-image-")), packages.kernel)
    return OfferedKernel(kernel.name, kernel.version, source.suite)


def versions_between(good: OfferedKernel, bad: OfferedKernel, suites: Sequence[str]) -> list[OfferedKernel]:
    """These two, and all versions between them that apt, their suites and `suites` offer."""
    kind = kind_of(good.package)
    if kind_of(bad.package) != kind:
        raise UsageError(f"{good.package} and {bad.package} are not of one kind: they are built with other configs")
    oldest, newest = Version(good.version), Version(bad.version)
    if not oldest < newest:
        raise UsageError(
            f"--good, {good.version}, is not older than --bad, {bad.version}",
            hint="a bisection goes from an older version, which is good, to a newer one, which is bad",
        )
    cache = Cache()
    archives = {suite: apt_for(suite, cache) for suite in dict.fromkeys(["", good.suite, bad.suite, *suites])}
    between = [kernel for kernel in offered(kind, archives) if oldest < Version(kernel.version) < newest]
    return [good, *between, bad]


def _judged(kernel: OfferedKernel, arguments: Sequence[str], judge: Callable[[Sequence[str]], StepResult]) -> Verdict:
    """Run the tests on a kernel.  `Stopped` if that makes no sense."""
    report = reports_of(arguments) / clean(kernel.version)
    step = judge([*arguments, f"--kernel={kernel.spec}", f"--report-dir={report}"])
    if step.answer == bisect.STOP:
        raise Stopped(step.exit_status if step.exit_status in (INTERRUPTED, UNDETERMINED) else WRONG_USE)
    return _VERDICTS[step.answer]
