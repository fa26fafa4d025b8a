# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin (`-p suites.coverage.plugin`): counters of each guest, and tests chosen by what they execute.

--counters DIR keeps what the guest of each test has counted; `kconform coverage` gives it, and makes figures of that.
--touched and --since choose tests by the map of lines that such a run has left in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from common.errors import KconformError, UsageError
from common.paths import users_path
from common.workers import is_worker
from guests.errors import GuestBroke
from guests.execution_counters import read_counters
from guests.guest import Guest
from guests.plugin import boot_of
from kconfigs.plugin import candidate_of, candidates_of
from kconfigs.sources import TreeSource
from reports.model.names_of_tests import without_kernel
from suites.coverage import source_changes, touched_tests
from suites.coverage.counter_folder import CounterFolder, TestCounters
from suites.coverage.line_map import LineMap, load_map
from suites.coverage.touched_tests import Touched

COUNTERS = pytest.StashKey[CounterFolder]()
TOUCHED = pytest.StashKey[tuple[LineMap, Touched]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kconform")
    group.addoption(
        "--counters",
        metavar="DIR",
        help="keep the counters of each guest, whose kernel has the flavor coverage; used by kconform coverage",
    )
    group.addoption(
        "--touched",
        action="append",
        metavar="FILE:PLACE",
        default=[],
        help="run only tests that execute this function or line of the kernel, such as"
        " security/yama/yama_lsm.c:yama_ptrace_access_check; repeatable",
    )
    group.addoption(
        "--since",
        metavar="REV",
        help="run only tests that execute what has changed in the kernel tree since this revision",
    )
    group.addoption(
        "--touched-seconds",
        type=float,
        metavar="SECONDS",
        default=touched_tests.SECONDS,
        help="with --touched or --since: run the most specific tests, for about this time, and leave out the rest"
        " (default: %(default).0f; 0: leave out none)",
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    option = config.option
    try:
        if option.counters:
            folder = CounterFolder(users_path(option.counters, config.invocation_params.dir).absolute())
            if not is_worker(config):
                folder.begin()
            config.stash[COUNTERS] = folder
        if option.touched or option.since:
            _require_same_choice(config)
            config.stash[TOUCHED] = _touched(config, option.touched, option.since)
    except KconformError as error:
        raise pytest.UsageError(str(error)) from error


def _require_same_choice(config: pytest.Config) -> None:
    """UsageError if the tests depend on the number of workers, and machines are to cut the same tests into shards."""
    if config.getoption("shard", None) and config.option.touched_seconds:
        raise UsageError(
            "--shard cannot be combined with --touched or --since while these leave tests out: how many, depends on"
            " the machine's number of workers, so the shards would not be parts of the same tests",
            hint="add --touched-seconds=0, which leaves out none",
        )


def _touched(config: pytest.Config, places: Sequence[str], since: str | None) -> tuple[LineMap, Touched]:
    trees = [one.source.tree for one in candidates_of(config) if isinstance(one.source, TreeSource)]
    if since and len(trees) != 1:
        raise UsageError("--since is for one kernel tree", hint="name the tree with --kernel=PATH")
    lines = load_map(trees[0].version if trees else ())
    touched = touched_tests.named(lines, places)
    touched = touched.plus(source_changes.since(lines, trees[0].path, since)) if since else touched
    return lines, touched.widened(lines)


def pytest_report_header(config: pytest.Config) -> list[str]:
    if TOUCHED not in config.stash:
        return []
    lines, touched = config.stash[TOUCHED]
    return [f"touched: {line}" for line in touched.sentences(lines)]


# Choosing tests


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before conftest.py sorts by boots: the boot that comes first then stays first."""
    if TOUCHED not in config.stash:
        return
    lines, touched = config.stash[TOUCHED]
    names = {item: _name(item) for item in items}
    # What a walk executes depends on its seed, so it is never recorded.
    boots = {names[item]: repr(boot_of(item)) for item in items if not item.get_closest_marker("walks")}
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    budget_s = config.option.touched_seconds * workers
    ranks = {name: rank for rank, name in enumerate(touched_tests.choose(lines, touched, boots, budget_s))}
    chosen = sorted((item for item in items if names[item] in ranks), key=lambda item: ranks[names[item]])
    config.hook.pytest_deselected(items=[item for item in items if names[item] not in ranks])
    items[:] = chosen


def _name(item: pytest.Item) -> str:
    candidate = candidate_of(item)
    return without_kernel(item.nodeid, candidate.id if candidate else None)


# Keeping counters


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """First, while the guest is still there."""
    guest = getattr(item, "funcargs", {}).get("guest")
    if COUNTERS not in item.config.stash or not isinstance(guest, Guest):
        return
    folder, boot = item.config.stash[COUNTERS], guest.template.key
    folder.set_kernel(guest.kernel)
    counters, missing = _counters(folder, guest)
    folder.add_test(TestCounters(item.nodeid, boot, missing, counters))
    if not folder.has_boot(boot):
        idle = Guest(guest.kernel, guest.template)
        try:
            idle.resume()
            folder.add_boot(boot, read_counters(idle, folder.files))
        finally:
            idle.close()


def _counters(folder: CounterFolder, guest: Guest) -> tuple[dict[str, bytes], str]:
    """Or the reason why there are none: a test may end its kernel, or leave init unable to act."""
    try:
        return read_counters(guest, folder.files), ""
    except (KconformError, GuestBroke) as error:
        return {}, str(error.message)
