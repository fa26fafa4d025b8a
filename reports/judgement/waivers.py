# SPDX-License-Identifier: GPL-2.0-or-later
"""Known failures, each with its reason and the day on which it stops being excused.

Those of kernels that the suites have been run on are kept beside the tests, in suites/<area>/waivers.toml; --waivers
adds a file of one's own:

    [[waiver]]
    test = "suites/yama/test_log.py::test_rate"   # or with its parameters, less the kernel: ...::test_rate[many]
    requirement = "yama.log-rate"                  # instead of `test`: any test of this promise
    splat = "WARNING: .* at drivers/base"          # instead of both: a complaint in the log, by a regular expression
    since = "6.1"                                  # optional: the first and the last kernel version that it is for
    until = "6.12"
    flavor = "full"                                # optional
    reason = "the second line comes late"
    upstream = "https://..."                       # optional: where it is being mended
    expires = 2027-06-30

A failure that is waived does not fail the run; when its waiver has expired it does again.  A waived test that passes
is an `unexpected-pass`, which fails the run under --strict-waivers.  Only failures of the kernel are waived, never
errors of ours.  A splat that is waived is as if it had not been logged.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reports.judgement.coverage import registry
from reports.judgement.verdict import Verdict
from reports.model import report_directory as folder
from reports.model.requirements import Versions, check_keys, nearest, read_tables, suggestion, unknown_message
from reports.model.result import JSON, Result

FILE_NAME = "waivers.toml"
REQUIRED = ("reason",)
OPTIONAL = ("test", "requirement", "splat", "since", "until", "flavor", "upstream")

WAIVERS_KEY = pytest.StashKey[Sequence["Waiver"]]()


@dataclass(frozen=True)
class Waiver:
    """One known failure.  `place` says where it is written."""

    place: str
    reason: str
    expires: datetime.date
    test: str = ""
    requirement: str = ""
    splat: str = ""
    since: str = ""
    until: str = ""
    flavor: str = ""
    upstream: str = ""

    def covers(self, nodeid: str, requirements: Iterable[str], kernel: Mapping[str, JSON] | None) -> bool:
        """Is it for this test on this kernel?"""
        named = self.requirement in requirements if self.requirement else self.names(nodeid, kernel)
        return named and not self.splat and self.is_for(kernel)

    def is_for(self, kernel: Mapping[str, JSON] | None) -> bool:
        """Is it for this kernel?"""
        version = tuple(int(part) for part in str((kernel or {}).get("version") or "").split(".") if part)
        return Versions(self.since or "0", self.until or None).applies(version) is None and self.flavor in {
            "",
            (kernel or {}).get("flavor"),
        }

    def names(self, nodeid: str, kernel: Mapping[str, JSON] | None) -> bool:
        """Is it this very test that the waiver names?"""
        name, _, parameters = nodeid.partition("[")
        identifier = str((kernel or {}).get("id") or "")
        parameters = parameters.removesuffix("]").removeprefix(identifier).removeprefix("-")
        return self.test in {name, f"{name}[{parameters}]"}

    def excuse(self, verdict: Verdict, today: datetime.date) -> Verdict:
        """What becomes of the verdict on a test that this waiver covers."""
        if verdict.outcome == "fail" and today > self.expires:
            return replace(verdict, reason=f"{verdict.reason} (its waiver expired on {self.expires}: {self.reason})")
        if verdict.outcome == "fail":
            return replace(verdict, outcome="waived", reason=f"{self.reason}, waived until {self.expires}")
        # Of the tests of one promise some pass, and that is no surprise.
        if verdict.outcome == "pass" and self.test:
            return replace(verdict, outcome="unexpected-pass", reason=f"passes, though waived: {self.reason}")
        return verdict


def load(path: Path) -> list[Waiver]:
    """The waivers of a file, in its order.  pytest.UsageError, with the place, for what is not as it should be."""
    return [_parse(place, table) for place, table in read_tables(path, "waiver")]


def _parse(place: str, table: Mapping[str, object]) -> Waiver:
    texts = {key: value for key, value in table.items() if key != "expires"}
    check_keys(place, texts, REQUIRED, OPTIONAL)
    expires = table.get("expires")
    if expires is None:
        raise pytest.UsageError(f"{place}: 'expires' is missing: no failure is excused for ever")
    if not isinstance(expires, datetime.date) or isinstance(expires, datetime.datetime):
        raise pytest.UsageError(f"{place}: 'expires' must be a date such as 2027-06-30, without quotes")
    if sum(key in table for key in ("test", "requirement", "splat")) != 1:
        raise pytest.UsageError(f"{place}: it needs either 'test' or 'requirement' or 'splat'")
    if "test" in table and "::" not in str(table["test"]):
        raise pytest.UsageError(f"{place}: 'test' must be a test's name such as suites/yama/test_log.py::test_rate")
    try:
        re.compile(str(table.get("splat", "")))
    except re.error as error:
        raise pytest.UsageError(f"{place}: 'splat' is no regular expression: {error}") from error
    return Waiver(place=place, expires=expires, **{key: " ".join(str(text).split()) for key, text in texts.items()})


def waivers_of(config: pytest.Config) -> Sequence[Waiver]:
    """All that hold in this run."""
    return config.stash[WAIVERS_KEY]


def waiver_for(item: pytest.Item, requirements: Iterable[str], kernel: Mapping[str, JSON] | None) -> Waiver | None:
    """The first waiver that covers the test; one that is still good before one that has expired."""
    found = [each for each in waivers_of(item.config) if each.covers(item.nodeid, requirements, kernel)]
    return max(found, key=lambda each: each.expires, default=None)


class SplatExcuse:
    """Says of the complaints of a kernel which are waived, and keeps what it said."""

    def __init__(self, config: pytest.Config, kernel: Mapping[str, JSON]) -> None:
        today = datetime.datetime.now(datetime.UTC).date()
        self._waivers = [
            each for each in waivers_of(config) if each.splat and today <= each.expires and each.is_for(kernel)
        ]
        self.known: list[str] = []

    def __call__(self, line: str) -> bool:
        for waiver in self._waivers:
            if re.search(waiver.splat, line):
                self.known.append(f"{line}\n    {waiver.reason}, waived until {waiver.expires} ({waiver.place})\n")
                return True
        return False


def check(
    waivers: Iterable[Waiver], items: Iterable[pytest.Item], known: Collection[str], root: Path, *, whole: bool
) -> None:
    """UsageError for a waiver of a test or of a promise that there is not.

    Of a file whose tests were not collected, or not all of them (`whole`), nothing can be said, except that there is
    none.
    """
    parameters: dict[str, list[str]] = {}
    for item in items:
        name, _, rest = item.nodeid.partition("[")
        parameters.setdefault(name, []).append(rest.removesuffix("]"))
    files = {name.partition("::")[0] for name in parameters}
    for waiver in waivers:
        if waiver.requirement and waiver.requirement not in known:
            raise pytest.UsageError(unknown_message(waiver.place, waiver.requirement, known))
        if not waiver.test:
            continue
        file, (name, _, rest) = waiver.test.partition("::")[0], waiver.test.partition("[")
        path = (root / file).resolve()
        if not (path.is_file() and path.is_relative_to(root)) or (whole and file in files and name not in parameters):
            raise pytest.UsageError(
                f"{waiver.place}: there is no test {waiver.test}{suggestion(nearest(name, parameters))}"
            )
        # Before a test's own parameters stands the kernel's id.
        found, wanted = parameters.get(name, []), rest.removesuffix("]")
        if whole and found and wanted and not any(f"-{each}".endswith(f"-{wanted}") for each in found):
            raise pytest.UsageError(
                f"{waiver.place}: there is no test {waiver.test}; there is {name}[{found[0]}], say, "
                "and a waiver leaves the kernel out"
            )


def check_flavors(waivers: Iterable[Waiver], known: Collection[str]) -> None:
    """UsageError for a waiver of a flavor that there is not."""
    for waiver in waivers:
        if waiver.flavor and waiver.flavor not in known:
            meant = suggestion(nearest(waiver.flavor, known))
            raise pytest.UsageError(f"{waiver.place}: there is no flavor {waiver.flavor!r}{meant}")


def not_needed(
    waivers: Iterable[Waiver], results: Collection[Result], kernels: Mapping[str, Mapping[str, JSON]]
) -> list[Waiver]:
    """The waivers of promises that all tests of them found kept, on every tested kernel that they are for."""
    idle = []
    for waiver in waivers:
        seen = {
            result.outcome
            for result in results
            if waiver.requirement in result.requirements
            and waiver.covers(result.nodeid, result.requirements, kernels.get(result.kernel or ""))
        }
        if waiver.requirement and "pass" in seen and seen <= {"pass", "skip"}:
            idle.append(waiver)
    return idle


# The plugin's part


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kconform")
    group.addoption(
        "--waivers",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="known failures, each with a reason and a day on which it expires; repeatable",
    )
    group.addoption("--strict-waivers", action="store_true", help="exit with 1 if a test passes that is waived")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    ours = sorted((config.rootpath / "suites").glob(f"*/{FILE_NAME}"))
    theirs = [folder.named(path, config.invocation_params.dir) for path in config.option.waivers]
    config.stash[WAIVERS_KEY] = [waiver for path in (*ours, *theirs) for waiver in load(path)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before anything is deselected, within the hook of `coverage`, which sees to a worker's wrong use."""
    narrowed = any("::" in argument for argument in config.args) or config.getoption("lf", False)
    check(waivers_of(config), items, registry(config), config.rootpath.resolve(), whole=not narrowed)
