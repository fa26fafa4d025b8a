# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin of walks (`-p suites.walks.plugin`): its options, its marker, and the fixture of its tests."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator

import pytest

from guests.plugin import LIMIT
from kconfigs.cache import Cache
from suites.walks.fresh_guests import GuestSupply, one_after_another
from suites.walks.walk import FIXED_WALKS, Walk
from suites.walks.walk_context import WalkContext
from suites.walks.walk_run import FIXED_SEED, Budget, WalkTaker, run_walks

DATABASE = ".walks"
"""The directory in the cache for the differences that were found; the cache's limit does not affect it."""
PROPERTY = "walks"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kconform")
    group.addoption(
        "--walks",
        type=positive,
        metavar="N",
        help="how many random walks each test with the marker `walks` takes"
        f" (default: up to {FIXED_WALKS}, the same in each run)",
    )
    group.addoption(
        "--walk-seconds", type=positive, metavar="S", help="a test starts no more walks after this many seconds"
    )
    group.addoption("--walk-seed", type=int, metavar="SEED", help="the seed of the walks (default: a new one)")
    group.addoption(
        "--no-walk-shrink",
        action="store_true",
        help="report the first difference that a walk finds, without looking for a shorter walk",
    )


def positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "walks: random walks through a model and a guest; --walks says how many")


def budget_of(config: pytest.Config) -> Budget:
    """The budget that the options ask for."""
    option = config.option
    return Budget(
        walks=option.walks,
        seconds=option.walk_seconds,
        seed=option.walk_seed,
        database=Cache().root / DATABASE,
        shrink=not option.no_walk_shrink,
    )


@pytest.fixture
def walks(request: pytest.FixtureRequest, guest_supply: GuestSupply) -> Iterator[WalkTaker]:
    """A function that takes a class of walks and perhaps one of PARTS, and walks as often as the options say."""
    with one_after_another(guest_supply.take) as next_guest:
        # Each walk may take as long as a test.
        limit = request.config.stash[LIMIT]
        yield _walker(request, WalkContext(next_guest, guest_supply.complaint, limit.renew))


def _walker(request: pytest.FixtureRequest, context: WalkContext) -> WalkTaker:

    def walk(machine: type[Walk], part: int = 1) -> None:
        budget = budget_of(request.config)
        seed = FIXED_SEED if budget.is_fixed else random.getrandbits(32) if budget.seed is None else budget.seed
        try:
            walked = run_walks(machine, context, budget, seed, part)
        except BaseException as error:
            error.add_note(f"to walk there again: --walk-seed={seed}")
            raise
        request.node.user_properties.append((PROPERTY, str(walked)))

    return walk


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        f"{report.nodeid}: {text}"
        for report in terminalreporter.getreports("passed")
        for name, text in report.user_properties
        if name == PROPERTY
    ]
    if lines:
        terminalreporter.section("walks")
        for line in lines:
            terminalreporter.write_line(line)
