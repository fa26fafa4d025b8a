# SPDX-License-Identifier: GPL-2.0-or-later
"""Joins tests and requirements: the `requirement` marker, its check at collection, and `--requirements`.

    @pytest.mark.requirement("yama.scope-1", "yama.scope-1-log")

A marker that names an unknown requirement ends the run before any test: a promise that is tested under
a wrong name is a promise that nobody sees broken.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pytest

from reports.model.requirements import Requirement, load, unknown_message

T = TypeVar("T")

MARKER = "requirement"
KERNEL_AREAS = ("yama", "loadpin", "seccomp")
"""Areas in which a test without a requirement proves nothing that anyone asked for."""

WORKER_OUTPUT = "kconform_wrong_use"
"""The name under which an xdist worker hands its usage error to the controller."""

REGISTRY_KEY = pytest.StashKey[dict[str, Requirement]]()
GAPS_KEY = pytest.StashKey[int]()


def registry(config: pytest.Config) -> Mapping[str, Requirement]:
    """All requirements by id.  Read from the files once for each run."""
    known = config.stash.get(REGISTRY_KEY, None)
    if known is None:
        known = config.stash[REGISTRY_KEY] = load(config.rootpath / "suites")
    return known


def requirements_of(item: pytest.Item) -> tuple[str, ...]:
    """The ids that the test's markers name, the nearest marker first, each once."""
    named = (str(arg) for mark in item.iter_markers(MARKER) for arg in mark.args)
    return tuple(dict.fromkeys(named))


def function_of(item: pytest.Item) -> str:
    """The test function's name, without its case and kernel."""
    return item.nodeid.partition("[")[0]


def check_markers(items: Iterable[pytest.Item], known: Mapping[str, Requirement]) -> None:
    """Raise pytest.UsageError if a marker names no requirement, or an unknown one."""
    problems: list[str] = []
    for item in items:
        for mark in item.iter_markers(MARKER):
            if not mark.args or mark.kwargs:
                problems.append(f'{item.nodeid}: write requirement("area.name", ...), one or more ids')
            problems += [unknown_message(item.nodeid, str(arg), known) for arg in mark.args if arg not in known]
    if problems:
        raise pytest.UsageError("\n".join(dict.fromkeys(problems)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, T, T]:
    """Before anything is deselected: a wrong id is wrong even in a test that does not run now."""
    try:
        check_markers(items, registry(config))
        return (yield)
    except pytest.UsageError:
        # A worker that offers tests and then ends without having run them is an internal error to xdist.
        items.clear()
        raise


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, T, T]:
    """A worker of xdist ends quietly when it is used wrongly: hand the controller what it would say."""
    try:
        return (yield)
    except pytest.UsageError as error:
        output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[WORKER_OUTPUT] = "\n".join(map(str, error.args))
        raise


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("kconform").addoption(
        "--requirements",
        action="store_true",
        help="run nothing: list every requirement with its tests, and exit with 1 if one has no test, or a "
        f"test in {', '.join(KERNEL_AREAS)} has no requirement",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "requirement(id, ...): the promises, from suites/*/requirements.toml, that the test proves"
    )
    registry(config)  # so that a broken file ends the run now, not in each worker


def pytest_cmdline_main(config: pytest.Config) -> None:
    """The listing needs the tests themselves, which only a process that collects has."""
    if config.option.requirements and hasattr(config.option, "numprocesses"):
        config.option.numprocesses = None
        config.option.dist = "no"
        config.option.tx = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Instead of running the tests, list what they prove."""
    config = session.config
    if not config.option.requirements:
        return None
    if session.testsfailed:
        raise session.Interrupted(f"{session.testsfailed} errors during collection: the list would have holes")
    known = {name: each for name, each in registry(config).items() if _is_asked_for(each.area, config)}
    listing = list_requirements(known, session.items)
    config.stash[GAPS_KEY] = len(listing.gaps)
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        for line in listing.lines():
            terminal.write_line(line)
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, T, T]:
    try:
        return (yield)
    finally:
        ended_well = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if ended_well and session.config.stash.get(GAPS_KEY, 0):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_asked_for(area: str, config: pytest.Config) -> bool:
    """Whether the run's arguments reach into the area's folder, or it is within one of them."""
    folder = config.rootpath / "suites" / area
    asked = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    return any(folder.is_relative_to(path) or path.is_relative_to(folder) for path in asked)


@dataclass(frozen=True)
class Listing:
    """Which test proves which promise."""

    entries: Sequence[tuple[Requirement, Sequence[str]]]
    unclaimed: Sequence[str]
    """Tests of the kernel that prove no promise."""

    @property
    def gaps(self) -> list[str]:
        """One sentence for everything that should not be so."""
        untested = [f"no test: {requirement.id}" for requirement, tests in self.entries if not tests]
        return untested + [f"no requirement: {test}" for test in self.unclaimed]

    def lines(self) -> list[str]:
        lines: list[str] = []
        for requirement, tests in self.entries:
            until = f" until Linux {requirement.until}" if requirement.until else ""
            lines.append(f"{requirement.id}: {requirement.text}")
            lines.append(f"    {requirement.source}; since Linux {requirement.since}{until}")
            lines += [f"    {test}" for test in tests] or ["    NO TEST"]
        if self.gaps:
            lines += ["", "gaps:", *(f"    {gap}" for gap in self.gaps)]
        lines.append(f"requirements: {len(self.entries)}, gaps: {len(self.gaps)}")
        return lines


def list_requirements(known: Mapping[str, Requirement], items: Iterable[pytest.Item]) -> Listing:
    """Sort `items` under the requirements that they name; parameters are left out of the names."""
    tests: dict[str, dict[str, None]] = {identifier: {} for identifier in known}
    unclaimed: dict[str, None] = {}
    for item in items:
        name = function_of(item)
        claimed = requirements_of(item)
        for identifier in claimed:
            tests.setdefault(identifier, {})[name] = None
        if not claimed and item.nodeid.startswith(tuple(f"suites/{area}/" for area in KERNEL_AREAS)):
            unclaimed[name] = None
    return Listing([(each, list(tests[each.id])) for each in known.values()], list(unclaimed))
