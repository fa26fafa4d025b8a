# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin that attaches reproducers to the evidence of tests (guests/reproducer/), and its option.

For that, a test runs again after its teardown, with its fixtures, and with a guest that only repeats what was said.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import msgspec
import pytest

from common.text import printable
from guests.errors import GuestBroke, KconformError
from guests.guest import Guest
from guests.reproducer import guest_trial
from guests.reproducer.make import make
from guests.reproducer.orders import CannotReproduce
from guests.reproducer.program_source import Subject
from guests.reproducer.replay import Run
from guests.vm.boot_request import DEFAULT_BOOT, Boot
from guests.vm.clone_pool import Pool
from reports.run import notes
from reports.run.requirement_marker import registry, requirements_of

SOURCE, REASON = "reproducer.c", "no reproducer"
"""Titles of evidence: the program, or why there is none."""
BOOT, TRIAL = "reproducer's boot", "reproducer's run"
"""The boot that it needs, for `kconform reproduce`, if it is not the default; and what it printed."""


@dataclass
class RecordedTest:
    """The guest that a test had, and what the test raised."""

    guest: Guest
    boot: Boot
    pool: Pool
    guests: int = 1
    """The number of guests that the test has taken so far."""
    ended: bool = False
    """Whether the test passed or found a promise broken."""
    failure: BaseException | None = None


MOST = 10
"""How many tests of one process get a reproducer because they have failed: the first ones tell what is broken."""

MADE = pytest.StashKey[list[str]]()
"""The tests that were to get one."""
RECORDED = pytest.StashKey[RecordedTest]()
REPLAYED = pytest.StashKey[Guest]()
FOLLOWING = pytest.StashKey[pytest.Item | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kconform")
    group.addoption(
        "--reproducers",
        choices=("failed", "all", "none"),
        default="failed",
        help="for which tests to write a C program, evidence/TEST/reproducer.c (default: %(default)s)",
    )


def kept(item: pytest.Item, guest: Guest, boot: Boot, pool: Pool) -> Guest:
    """Keep what a reproducer is made from; returns the guest."""
    former = item.stash.get(RECORDED, None)
    item.stash[RECORDED] = RecordedTest(guest, boot, pool, 1 if former is None else former.guests + 1)
    return guest


def recorded_guest(item: pytest.Item) -> Guest | None:
    """The guest that the test has, until its teardown is reported; the last one, of many."""
    recorded = item.stash.get(RECORDED, None)
    return None if recorded is None else recorded.guest


def replayed_guest(item: pytest.Item) -> Guest | None:
    """The guest that the test gets when it runs again; None when it runs for the first time."""
    return item.stash.get(REPLAYED, None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    item.stash[FOLLOWING] = nextitem


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Outermost, after conftest.py has replaced the exception, or has raised one for a complaint of the kernel."""
    failure: BaseException | None = None
    try:
        yield
    except (AssertionError, GuestBroke, pytest.fail.Exception) as error:
        failure = error
        raise
    finally:
        recorded = item.stash.get(RECORDED, None)
        if recorded is not None and failure is not None:
            recorded.ended, recorded.failure = True, failure
    if recorded is not None:
        recorded.ended = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach to the teardown's report, because the test can run again only then."""
    recorded = item.stash.get(RECORDED, None)
    if call.when == "teardown" and recorded is not None:
        del item.stash[RECORDED]
        wanted = item.config.getoption("reproducers")
        if recorded.ended and (wanted == "all" or (wanted == "failed" and recorded.failure is not None)):
            made = item.config.stash.setdefault(MADE, [])
            if wanted == "failed" and len(made) >= MOST:
                notes.attach(
                    item, REASON, f"there are {MOST} already; kconform's --reproducers=all makes one for each test"
                )
            else:
                made.append(item.nodeid)
                _attach(item, recorded)
    return (yield)


def _attach(item: pytest.Item, recorded: RecordedTest) -> None:
    """Attach a reproducer, and what it printed in a fresh guest of the same boot; or the reason why there is none."""
    guest, boot = recorded.guest, recorded.boot
    try:
        if recorded.guests > 1:
            raise CannotReproduce("the test takes many guests")
        source = make(guest, _run(item), recorded.failure, _subject(item, recorded))
    except CannotReproduce as why:
        notes.attach(item, REASON, str(why))
        return
    except Exception as error:
        # Whatever goes wrong here must not cost the run.
        notes.attach(item, REASON, f"making it failed: {type(error).__name__} {printable(str(error))}")
        return
    notes.attach(item, SOURCE, source)
    if boot != DEFAULT_BOOT:
        notes.attach(item, BOOT, msgspec.json.encode(boot).decode())
    try:
        program = guest_trial.build(source, guest.kernel.arch)
        found = str(guest_trial.run(lambda: recorded.pool.take(guest.kernel, boot), program))
    except KconformError as error:
        found = str(error)
    notes.attach(item, TRIAL, found)


def _run(item: pytest.Item) -> Run:
    """Runs the test with its fixtures, as pytest does, without a report."""

    def run(guest: Guest) -> None:
        state = item.session._setupstate
        item.stash[REPLAYED] = guest
        item._initrequest()  # type: ignore[attr-defined]
        try:
            state.setup(item)
            item.runtest()
        finally:
            state.teardown_exact(item.stash[FOLLOWING])
            del item.stash[REPLAYED]

    return run


def _subject(item: pytest.Item, recorded: RecordedTest) -> Subject:
    known = registry(item.config)
    failure = recorded.failure
    broken = getattr(failure, "breaks", ()) or requirements_of(item)
    return Subject(
        promise=str(getattr(item, "obj", None).__doc__ or ""),
        requirements=[(identifier, known[identifier].text) for identifier in broken],
        nodeid=item.nodeid,
        kernel=recorded.guest.kernel.id,
        release=recorded.guest.kernel.release,
        failure=printable(next(iter(str(failure).splitlines()), type(failure).__name__)) if failure else "",
        boot=recorded.boot,
    )
