# SPDX-License-Identifier: GPL-2.0-or-later
"""Plans that meet, and the outcomes that the agent counts, with tasks that are processes of this host."""

from __future__ import annotations

import re
import struct

import pytest

from guests.call_arguments import Out
from guests.call_plan import Plan, run, start
from guests.errors import SetupFailed
from guests.meeting import NOT_COMPLETED
from guests.outcome import exited, killed
from guests.protocol import meeting_layout, wire
from guests.protocol.meeting_layout import Watched
from guests.task import Task
from guests.uapi import O_NONBLOCK, WALL, Clone, Signal
from suites.harness.guests.fakes import UNUSED_FD, HostSession
from suites.races import race as race_module
from suites.races.race import Race, RaceBudget, RaceRecord

ROUNDS = 50
SEEK_CUR = 1


class RecordedRace(Race):
    """A race on this host, and its outcomes."""

    def __init__(self, host: HostSession, rounds: int = ROUNDS, seconds: float = 0, processors: int = 1) -> None:
        self.records: list[RaceRecord] = []
        budget = RaceBudget(rounds, seed=7, seconds=seconds, processors=processors)
        super().__init__(host, budget, finished=self.records.append)


def test_plans_wait_for_one_another(host: HostSession) -> None:
    """What one does before a meeting, another one finds after it, in each round."""
    writer = host.child("writer")
    reading, writing = struct.unpack("<ii", writer.call("pipe2", Out(8), O_NONBLOCK).read())
    reader = writer.spawn("reader")
    race = RecordedRace(host)
    writes, reads = race.plan(writer), race.plan(reader)
    race.watch("write", writes.call("write", writing, b"x", 1))
    race.meet(writes, reads)
    race.watch("read", reads.call("read", reading, bytes(1), 1))
    race.tally(writes, reads)
    race.check(("OK", "OK"))
    assert race.records[0].outcomes == {("OK", "OK"): ROUNDS}
    assert "write: OK, read: OK: 50" in host.transcript[-1]


def test_results_of_all_kinds(host: HostSession) -> None:
    """Errors, values, memory, and what a task did not live to do; the next round begins with none of them."""
    task = host.child("task")
    status = task.store(bytes(4))
    race = RecordedRace(host)
    plan, child = race.plan(task), race.child()
    race.watch("completed", child.call("getppid"), Watched.SIGN)
    own = child.call("getpid")
    race.watch("killed", child.call("kill", own, Signal.KILL))
    race.watch("close", plan.call("close", UNUSED_FD))
    race.watch("getppid", plan.call("getppid"), Watched.VALUE)
    pid = plan.child(child)
    race.watch("started", pid, Watched.SIGN)
    plan.call("wait4", pid, status, WALL, 0)
    race.watch_word("status", task, status)
    race.tally(plan)
    race.check((">0", NOT_COMPLETED, "EBADF", host.init.tid, ">0", Signal.KILL))
    assert task.exit(3) == exited(3)


def test_a_value_of_another_plan(host: HostSession) -> None:
    """After a meeting, one plan can use what another one has got before it."""
    parent, other = host.child("parent"), host.child("other")
    race = RecordedRace(host)
    plan, child, using = race.plan(parent), race.child(), race.plan(other)
    pid = plan.child(child)
    child.call("ppoll", 0, 0, 0, 0, 0)
    race.meet(plan, using)
    race.watch("kill", using.call("kill", using.take(pid), Signal.KILL))
    race.watch("wait", plan.call("wait4", pid, 0, WALL, 0), Watched.SIGN)
    race.tally(plan, using)
    race.check(("OK", ">0"))


def test_copies(host: HostSession) -> None:
    """A plan copies memory between the data of slots, and nothing else."""
    task, other = host.child("task"), host.child("other")
    source, to = other.store(b"content"), task.store(bytes(7))
    plan = Plan(task.slot)
    plan.copy(to, source, 7)
    plan.copy(wire.data_address(task.slot) - 8, source, 7)
    plan.copy(to, wire.data_address(other.slot, wire.SLOT_DATA_SIZE - 6), 7)
    plan.copy(0x1000, source, 7)
    plan.copy(to, source, 1 << 63)
    assert run(task, plan) == [{"OK": 1}, *[{"EFAULT": 1}] * 4]
    assert task.load(to, 7) == b"content"


def counting_race(host: HostSession, rounds: int, seconds: float = 0) -> RecordedRace:
    """A race with another outcome in each round: 1, 2, 3 ..."""
    task = host.child("task")
    file = task.call("memfd_create", "file", 0).result()
    race = RecordedRace(host, rounds, seconds)
    plan = race.plan(task)
    race.watch("offset", plan.call("lseek", file, 1, SEEK_CUR), Watched.VALUE)
    race.tally(plan)
    return race


def test_an_outcome_that_is_not_allowed(host: HostSession) -> None:
    """The failure says how often it occurred, in which round first, and the seed; the record has all rounds."""
    race = counting_race(host, 5)
    with pytest.raises(AssertionError, match=r"1 round of 5, first number 2: offset: 3\nseed 0x") as failed:
        race.check(({1, 2},), (frozenset({4, 5}),))
    assert len(re.findall("offset", str(failed.value))) == 1
    assert (race.records[0].rounds, len(race.records[0].outcomes)) == (5, 5)


def test_the_most_rounds(host: HostSession) -> None:
    """Time is left for more batches, but none begins."""
    race = counting_race(host, 5, seconds=3600)
    assert race.check((set(range(1, 100)),), most=8).rounds == 10


def test_a_task_that_dies(host: HostSession) -> None:
    """Nobody kills the task of a plan, so its death is a failure, and not an error of the test."""
    task = host.child("task")
    race = RecordedRace(host)
    plan = race.plan(task)
    race.watch("kill", plan.call("kill", task.tid, Signal.KILL))
    race.tally(plan)
    with pytest.raises(AssertionError, match="killed by SIGKILL ended task"):
        race.check(("OK",))


def test_more_outcomes_than_there_is_room_for(host: HostSession) -> None:
    with pytest.raises(SetupFailed, match="3 rounds had too many different outcomes"):
        counting_race(host, meeting_layout.MEETING_OUTCOMES + 3).check((set(range(100)),))


def test_as_long_as_asked(host: HostSession) -> None:
    """Where the time is limited, batches follow one another, and their outcomes are added up."""
    race = counting_race(host, 5, seconds=0.2)
    race.check((set(range(1_000_000)),))
    rounds = race.records[0].rounds
    assert rounds > 5
    assert rounds % 5 == 0
    assert len(race.records[0].outcomes) == rounds


@pytest.mark.parametrize("processors", [1, 2])
def test_preemption(host: HostSession, monkeypatch: pytest.MonkeyPatch, processors: int) -> None:
    """While there are rounds, a task shares the processor of the preempted one, if that leaves one for the others."""
    preempting: list[tuple[Task, Task]] = []
    # What init may do in a guest, the user of a host may not.
    monkeypatch.setattr(race_module, "share_a_processor", lambda one, other: preempting.append((one, other)))
    monkeypatch.setattr(race_module, "start_realtime", start)
    task = host.child("task")
    race = RecordedRace(host, processors=processors)
    plan = race.plan(task)
    race.watch("call", plan.call("getppid"), Watched.SIGN)
    race.tally(plan)
    race.preempt(task, plan)
    race.check((">0",))
    assert [first for first, _ in preempting] == [task] * (processors - 1)
    assert [second.wait_death() for _, second in preempting] == [killed(Signal.KILL)] * (processors - 1)


def test_rows_must_fit(host: HostSession) -> None:
    with pytest.raises(SetupFailed, match="a row has not a result for each name"):
        counting_race(host, 1).check((1, 2))


@pytest.mark.parametrize("within", [True, False], ids=["within-the-act", "after-the-act"])
def test_overlaps(host: HostSession, within: bool) -> None:
    """A round has an overlap if a plan begins its act while another one is in its own."""
    task = host.child("task")
    race = RecordedRace(host)
    plan, child = race.plan(task), race.child()
    race.go(child)
    child.call("getpid")
    race.go(plan)
    if not within:
        plan.call("getpid")
    # The parent does not go on before its child has ended.
    pid = plan.child(child, Clone.VFORK)
    plan.call("wait4", pid, 0, WALL, 0)
    race.tally(plan)
    race.watch("child", pid, Watched.SIGN)
    race.check((">0",))
    assert race.records[0].overlaps == (ROUNDS if within else 0)
    assert str(race.records[0]) == f"50 rounds, {50 if within else 0} of them with an overlap, 1 of 1 outcome"
