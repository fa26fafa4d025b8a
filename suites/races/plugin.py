# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin of races (`-p suites.races.plugin`): its options, its marker, and the fixture of its tests."""

from __future__ import annotations

import argparse
import random
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from guests.guest import Guest
from guests.meeting import LONGEST
from guests.plugin import LIMIT
from reports.run import notes
from suites.races.race import ROUNDS, ROUNDS_OF_A_BATCH, ROUNDS_ON_ONE_PROCESSOR, Race, RaceBudget, RaceRecord
from suites.reproducers import replayed_guest
from suites.walks.fresh_guests import GuestSupply, one_after_another
from suites.walks.plugin import positive

FIXED_SEED = 1
"""The seed of runs that are the same each time."""
PROPERTY = "races"
SEED = pytest.StashKey[int]()
COUNT = pytest.StashKey[int]()

SHORT_NAMES = {"--seconds": "--walk-seconds", "--seed": "--walk-seed"}
"""Options whose names do not say that they are for races, and those of walks that could be meant."""


class _Named(argparse.Action):
    """Store the value, and by which name it was given."""

    def __call__(
        self, _parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, name: str | None = None
    ) -> None:
        setattr(namespace, self.dest, values)
        if name in SHORT_NAMES:
            namespace.short_race_option = name


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kconform")
    group.addoption(
        *("--race-seconds", "--seconds"),
        action=_Named,
        type=positive,
        metavar="N",
        help="repeat the tests with the marker `races` for this many seconds in all (default: a few rounds of each)",
    )
    group.addoption(
        *("--race-seed", "--seed"),
        action=_Named,
        type=int,
        metavar="S",
        help="the seed of the random delays before the tasks of a race act (default: with --race-seconds, a new one)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """With --race-seconds, test a kernel that is made for it, unless another one is named."""
    option = config.option
    if option.race_seconds and not (option.kernel or option.matrix or option.target):
        option.kernel, option.flavor = ["source"], option.flavor or ["races"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "races(longest): several tasks at the same time, in rounds; --race-seconds repeats them.  Before they act,"
        f" they wait for moments shorter than 2 to the power of `longest` ({LONGEST})",
    )
    given = config.option.race_seed
    new = random.SystemRandom().getrandbits(32) if config.option.race_seconds else FIXED_SEED
    config.stash[SEED] = new if given is None else given


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Give a worker of xdist the seed of the run."""
    node.workerinput[PROPERTY] = node.config.stash[SEED]  # type: ignore[attr-defined]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[COUNT] = sum(item.get_closest_marker("races") is not None for item in items)
    short: str | None = getattr(config.option, "short_race_option", None)
    # Not for --race-seconds: `kconform mutants --races` passes it with tests that are not repeated, too.
    if short is not None and items and not config.stash[COUNT]:
        raise pytest.UsageError(
            f"{short} is for tests with the marker `races`, and none is selected\n"
            f"  hint: select them with -m races; walks have {SHORT_NAMES[short]}"
        )


def budget_of(item: pytest.Item) -> RaceBudget:
    """The budget that the options give a test.  Each test has a seed of its own."""
    config, marker = item.config, item.get_closest_marker("races")
    longest = marker.kwargs.get("longest", LONGEST) if marker else LONGEST
    workers = getattr(config, "workerinput", {})
    seed = zlib.crc32(f"{workers.get(PROPERTY, config.stash[SEED])} {item.nodeid}".encode())
    if total := config.option.race_seconds:
        seconds = total / max(1, config.stash.get(COUNT, 1))
        return RaceBudget(ROUNDS_OF_A_BATCH, seed, seconds, longest, config.option.cpus)
    rounds = ROUNDS if config.option.cpus > 1 else ROUNDS_ON_ONE_PROCESSOR
    return RaceBudget(rounds, seed, longest=longest, processors=config.option.cpus)


def _report(item: pytest.Item, record: RaceRecord) -> None:
    if replayed_guest(item) is not None:
        return  # a reproducer is being made, for which the test runs again and again
    notes.add_remark(item, str(record))
    item.user_properties.append((PROPERTY, str(record)))


@pytest.fixture
def race(request: pytest.FixtureRequest, guest: Guest) -> Race:
    """A race in the test's guest.  The report has its outcomes, whatever the test's outcome."""

    def starts() -> None:
        request.config.stash[LIMIT].renew()
        guest.log()  # before the kernel overwrites what the batches so far have logged

    return Race(guest, budget_of(request.node), starts=starts, finished=partial(_report, request.node))


@pytest.fixture
def fresh_races(request: pytest.FixtureRequest, guest_supply: GuestSupply) -> Iterator[Iterator[tuple[Guest, Race]]]:
    """Fresh guests with a race each, for what a guest can do only a few times: one, or as many as time allows."""
    with one_after_another(guest_supply.take) as next_guest:
        yield _fresh_races(request, next_guest, guest_supply.complaint)


def _fresh_races(
    request: pytest.FixtureRequest, next_guest: Callable[[], Guest], complaint: Callable[[Guest], str]
) -> Iterator[tuple[Guest, Race]]:
    budget, record = budget_of(request.node), RaceRecord()
    end = time.monotonic() + budget.seconds
    seeds = random.Random(budget.seed)  # noqa: S311 - no secret
    while True:
        request.config.stash[LIMIT].renew()
        guest = next_guest()
        once = replace(budget, seed=seeds.getrandbits(32), seconds=0)
        yield guest, Race(guest, once, finished=record.add)
        if time.monotonic() >= end:
            break
        assert not (found := complaint(guest)), found
    _report(request.node, record)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for kind in ("passed", "failed", "error") for report in terminalreporter.getreports(kind)]
    lines = {
        report.nodeid: f"{report.nodeid}: {text}"
        for report in reports
        for name, text in getattr(report, "user_properties", ())  # a report of a collection has none
        if name == PROPERTY
    }
    if lines and config.option.race_seconds:
        terminalreporter.section("races")
        terminalreporter.write_line(f"--race-seed={config.stash[SEED]}")
        for line in lines.values():
            terminalreporter.write_line(line)
