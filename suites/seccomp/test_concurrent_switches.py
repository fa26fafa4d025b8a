# SPDX-License-Identifier: GPL-2.0-or-later
"""What suspends or silences filters, at the same time as the calls that they decide about."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from guests.bpf import log, policy
from guests.guest import Guest
from guests.protocol.meeting_layout import Watched
from guests.uapi import O_WRONLY, WALL, Ptrace, PtraceOption
from suites.races.race import Race
from suites.seccomp.support.audit_records import DEFAULT, LOGGED, PATH, AuditRecords, audited, fields
from suites.seccomp.support.checkpoint_tracers import DENY, restore
from suites.seccomp.support.filtered_tasks import unprivileged

pytestmark = [pytest.mark.races, pytest.mark.needs("SECCOMP_FILTER")]

ROUNDS_LOGGED = 10
"""As many as the log keeps the records of."""


def in_order(before: str, after: str) -> list[tuple[str, ...]]:
    """The results of three calls, at some time before, between or after which something has changed."""
    return [tuple(after if place >= changed else before for place in range(3)) for changed in range(4)]


@pytest.mark.requirement("seccomp.suspend")
@restore
def test_suspension(guest: Guest, race: Race) -> None:
    """Calls while a tracer suspends the filters, and while it exits: denied, then allowed, then denied again."""
    tracee, root = unprivileged(guest, "tracee"), guest.root()
    tracee.install(DENY).result()
    calling, starting, tracing = race.plan(tracee), race.plan(root), race.child()
    pid = starting.child(tracing)

    def call(times: int = 1) -> None:
        for _ in range(times):
            race.watch("call", calling.call("getppid"))

    race.go(calling, tracing)
    race.watch("seize", tracing.call("ptrace", Ptrace.SEIZE, tracee.tid, 0, PtraceOption.SUSPEND_SECCOMP))
    call(3)
    race.meet(calling, tracing)
    call()
    # The tracer's act is its exit.
    race.go(calling, tracing)
    call(3)
    race.watch("reap", starting.call("wait4", pid, 0, WALL, 0), Watched.SIGN)
    race.meet(calling, starting)
    call()
    race.tally(calling, starting)
    denied, allowed = "EINVAL", "OK"
    race.check(
        *(
            ("OK", *suspending, allowed, *resuming, ">0", denied)
            for suspending, resuming in itertools.product(in_order(denied, allowed), in_order(allowed, denied))
        )
    )


@audited
@pytest.mark.requirement("seccomp.log-silenced")
def test_silencing(fresh_races: Iterator[tuple[Guest, Race]]) -> None:
    """A call that begins once its action was removed from actions_logged is not recorded; all calls run."""
    for guest, race in fresh_races:
        records = AuditRecords(guest)
        task, root = unprivileged(guest, "task"), guest.root()
        # Its own calls are those that have these names, and no others, until the end of the round.
        task.install(policy(log("getppid", "getuid", "getgid"))).result()
        file = root.open(f"{PATH}actions_logged", O_WRONLY).result()
        calling, changing = race.plan(task), race.plan(root)
        silenced = DEFAULT.removesuffix(" log").encode()
        race.go(calling, changing)
        race.watch("silence", changing.call("pwrite64", file, silenced, len(silenced), 0))
        race.watch("call meanwhile", calling.call("getppid"))
        race.meet(calling, changing)
        race.watch("call silently", calling.call("getuid"))
        race.meet(calling, changing)
        race.watch("restore", changing.call("pwrite64", file, DEFAULT.encode(), len(DEFAULT), 0))
        race.meet(calling, changing)
        race.watch("call", calling.call("getgid"))
        race.tally(calling, changing)
        made = race.check(("OK",) * 5, rounds=ROUNDS_LOGGED)
        assert guest.sysctl(LOGGED) == DEFAULT
        records.wait_for_all()
        recorded = [int(fields(record)["syscall"]) for record in records.of(task)]
        assert recorded.count(task.number("getuid")) == 0
        assert recorded.count(task.number("getgid")) == made.rounds
