# SPDX-License-Identifier: GPL-2.0-or-later
"""The marker that joins tests and requirements, its check at collection, and `--requirements`.

    @pytest.mark.requirement("yama.scope-1", "yama.scope-1-log")

A marker that names an unknown requirement ends the run before any test: nobody would see that promise broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from common.errors import UsageError
from reports.judgement.promise_coverage import Coverage, cover
from reports.model.requirements import Requirement, load, unknown_message
from reports.run.wrong_use import as_wrong_use

MARKER = "requirement"
DESCRIPTION = f"{MARKER}(id, ...): the promises, from suites/*/requirements.toml, that the test proves"

REGISTRY = pytest.StashKey[dict[str, Requirement]]()
BACKPORTED = pytest.StashKey[frozenset[str]]()
"""The promises that profiles of the run list."""
LEFT_OUT = pytest.StashKey[frozenset[str]]()
"""The promises that a test does not prove, although its markers name them."""


def registry(config: pytest.Config) -> Mapping[str, Requirement]:
    """All requirements by id.  The files are read once for each run."""
    known = config.stash.get(REGISTRY, None)
    if known is None:
        with as_wrong_use():
            known = config.stash[REGISTRY] = load(config.rootpath / "suites")
    return known


def expect_backports(config: pytest.Config, listed: Mapping[str, str]) -> None:
    """Note which promises older kernels of the run may make, each with the place that says so.

    pytest.UsageError for an unknown one.
    """
    known = registry(config)
    with as_wrong_use():
        for identifier, place in listed.items():
            if identifier not in known:
                raise UsageError(unknown_message(place, identifier, known))
    config.stash[BACKPORTED] = frozenset(listed)


def may_be_backported(config: pytest.Config) -> frozenset[str]:
    """The promises that an older kernel of the run may make, because a profile or the kernel itself says so."""
    probed = (each.id for each in registry(config).values() if each.probe)
    return config.stash.get(BACKPORTED, frozenset()).union(probed)


def leave_out(item: pytest.Item, promises: Iterable[str]) -> None:
    """Note that a test does not prove some of the promises that its markers name, where it runs now."""
    item.stash[LEFT_OUT] = frozenset(promises)


def requirements_of(item: pytest.Item) -> tuple[str, ...]:
    """The ids that the test's markers name, the nearest marker first, each once, without those that are left out."""
    left_out = item.stash.get(LEFT_OUT, ())
    named = (str(arg) for mark in item.iter_markers(MARKER) for arg in mark.args)
    return tuple(dict.fromkeys(name for name in named if name not in left_out))


def function_of(item: pytest.Item) -> str:
    """The name of the test function, without its case and kernel."""
    return item.nodeid.partition("[")[0]


def check_markers(items: Iterable[pytest.Item], known: Mapping[str, Requirement]) -> None:
    """pytest.UsageError if a marker names no requirement, or an unknown one."""
    problems: list[str] = []
    for item in items:
        for mark in item.iter_markers(MARKER):
            if not mark.args or mark.kwargs:
                problems.append(f'{item.nodeid}: write requirement("area.name", ...), with one or more ids')
            problems += [unknown_message(item.nodeid, str(arg), known) for arg in mark.args if arg not in known]
    if problems:
        raise pytest.UsageError("\n".join(dict.fromkeys(problems)))


def list_coverage(session: pytest.Session) -> int:
    """Print which tests of the session are about which promise, and return the number of gaps."""
    if session.testsfailed:
        raise session.Interrupted(f"{session.testsfailed} errors during collection: the list would have holes")
    found = coverage(session)
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        for line in found.lines():
            terminal.write_line(line)
    return len(found.gaps)


def coverage(session: pytest.Session) -> Coverage:
    """Which tests of the session are about which promise of the areas that the run's arguments name."""
    known = {
        name: each for name, each in registry(session.config).items() if _is_asked_for(each.area, session.config)
    }
    return cover(known, ((function_of(item), requirements_of(item)) for item in session.items))


def _is_asked_for(area: str, config: pytest.Config) -> bool:
    """Whether the run's arguments reach into the area's directory, or it is within one of them."""
    folder = config.rootpath / "suites" / area
    asked = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    return any(folder.is_relative_to(path) or path.is_relative_to(folder) for path in asked)
