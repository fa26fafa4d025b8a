# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses at the same time as the exit of their target."""

from __future__ import annotations

import itertools

import pytest

from guests.guest import Guest
from guests.protocol.meeting_layout import Watched
from guests.uapi import WALL, Prctl
from suites.process_accesses import COMMON_DESCRIPTOR, vector
from suites.races.race import LONGEST_BESIDE_PREEMPTION, AllowedOutcome, Race

pytestmark = [pytest.mark.races(longest=LONGEST_BESIDE_PREEMPTION), pytest.mark.needs("CROSS_MEMORY_ATTACH")]

TAKEN, PAUSE_NS = 2, 3_000_000
"""How often a descriptor is taken, and the time in between."""


@pytest.mark.requirement("ptrace.getfd-at-once")
@pytest.mark.parametrize(
    ("dumpable", "read_and_take"),
    [
        # Its memory, and then a descriptor: if the memory is gone, nobody gets its files any more.
        pytest.param(True, [("OK", {"OK", "ESRCH"}), ("ESRCH", "ESRCH")], id="dumpable"),
        pytest.param(False, [({"EPERM", "ESRCH"}, {"EPERM", "ESRCH"})], id="not-dumpable"),
    ],
)
def test_descriptor_of_an_exiting_process(
    guest: Guest, race: Race, dumpable: bool, read_and_take: list[AllowedOutcome]
) -> None:
    """A process exits, and loses its memory before its files, which nobody gets in between.

    Somebody tries several times, because the process may be held up there for some milliseconds.
    """
    shell, stranger = guest.spawn("shell"), guest.spawn("stranger")
    starting, taking, child = race.plan(shell), race.plan(stranger), race.child()
    pid = starting.child(child)
    child.call("prctl", Prctl.SET_DUMPABLE, int(dumpable), 0, 0, 0)
    race.meet(starting, taking, child)
    taken, memory = taking.take(pid), vector(stranger)
    pidfd = taking.call("pidfd_open", taken, 0)
    race.preempt(shell, child)
    race.go(taking, child)
    child.call("exit_group", 0)
    for _ in range(TAKEN):
        race.watch("read", taking.call("process_vm_readv", taken, memory, 1, memory, 1, 0))
        got = taking.call("pidfd_getfd", pidfd, COMMON_DESCRIPTOR, 0)
        race.watch("take", got)
        taking.call("close", got)
        taking.sleep(stranger.abi, PAUSE_NS)
    taking.call("close", pidfd)
    race.watch("wait", starting.call("wait4", pid, 0, WALL, 0), Watched.SIGN)
    race.tally(starting, taking)
    race.check(
        *((*itertools.chain(*all_times), ">0") for all_times in itertools.product(read_and_take, repeat=TAKEN))
    )
