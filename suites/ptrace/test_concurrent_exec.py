# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses at the same time as the execve() of a set-uid program: they are to the old program, or refused.

The target executes the set-uid program, gives up what it gained, and executes its own program again, in each round.
"""

from __future__ import annotations

import os

import pytest

from guests.call_plan import StepValue
from guests.errors import require
from guests.guest import Guest
from guests.protocol.meeting_layout import Watched
from guests.syscalls.process_access import event_attributes
from guests.syscalls.seccomp import Poll
from guests.uapi import ADDR_NO_RANDOMIZE, AT_FDCWD
from suites.ptrace.support.programs import AT_ADDRESS, Programs, execute
from suites.races.race import Race

# Moments of up to some 10 ms: that is how long execve() takes where accesses are watched.
pytestmark = pytest.mark.races(longest=22)

USER, OWNER = 1000, 2000
SET_UID = 0o4755
LAST_DIGITS = -7
"""Where, from its end, /proc/PID/stat has the last four digits of its field env_end: before " 0\\n"."""
HIDDEN = b" 0 0"
"""What is there if env_end and the field before it are hidden."""
GIVEN = 4
"""How often a program is given to root and back in a round."""
LIST, LIST_OF_THE_NEW = 0x10000, 0x20000
"""Addresses of lists of robust futexes, where there is nothing."""


class Executing:
    """A target, its plan, and the set-uid program that it executes."""

    def __init__(self, guest: Guest, race: Race, path: str) -> None:
        self.target = guest.spawn("target")
        self.plan = race.plan(self.target)
        self._path = path
        self._own = self.target.store(guest.program.encode() + b"\0")
        self._words = self.target.agent_arguments(guest.program)

    def execute(self) -> StepValue:
        """Add the step that executes the set-uid program."""
        return self.plan.call("execve", self._path, self._words, 0)

    def return_to_its_own(self) -> StepValue:
        self.plan.call("setresuid", USER, USER, USER)
        return self.plan.call("execve", self._own, self._words, 0)


@pytest.mark.needs("CROSS_MEMORY_ATTACH")
@pytest.mark.requirement("ptrace.exec-at-once")
def test_memory(guest: Guest, race: Race) -> None:
    """Nobody reads memory that only the set-uid program has; the target's own program lacks it (EFAULT)."""
    programs, stranger = Programs(guest), guest.spawn("stranger")
    executing = Executing(guest, race, programs.create_dynamic(guest.program, mode=SET_UID))
    reading, buffer = race.plan(stranger), stranger.abi.words(stranger.store(bytes(8)), 8)
    there = stranger.abi.words(AT_ADDRESS, 8)
    race.preempt(stranger, reading)
    race.switch(
        *(executing.plan, reading),
        on=executing.execute,
        off=executing.return_to_its_own,
        look=lambda: reading.call("process_vm_readv", executing.target.tid, buffer, 1, there, 1, 0),
    )
    #           the set-uid program                  its own
    race.check(("OK", {"EFAULT", "EPERM"}, "EPERM", "OK", {"EFAULT", "EPERM"}, "EFAULT"))


@pytest.mark.requirement("ptrace.exec-at-once-links")
def test_link_to_the_program(guest: Guest, race: Race) -> None:
    """/proc/PID/exe, read during execve(), has the path of the program before, whose length is returned, or none."""
    programs, stranger = Programs(guest), guest.spawn("stranger")
    path = programs.create(mode=SET_UID)
    own = len(guest.program)
    require(own != len(path), f"{path} is as long as {guest.program}, so that they cannot be told apart")
    executing, reading, buffer = Executing(guest, race, path), race.plan(stranger), stranger.store(bytes(256))

    def look() -> StepValue:
        return reading.call("readlinkat", AT_FDCWD, f"/proc/{executing.target.tid}/exe", buffer, 256)

    race.switch(
        *(executing.plan, reading),
        on=executing.execute,
        off=executing.return_to_its_own,
        look=look,
        kind=Watched.VALUE,
    )
    #           the set-uid program               its own
    race.check(("OK", {own, "EACCES"}, "EACCES", "OK", {own, "EACCES"}, own))


@pytest.mark.requirement("ptrace.exec-at-once-stat")
def test_end_of_the_environment(guest: Guest, race: Race) -> None:
    """/proc/PID/stat, read during execve(), shows where the environment of the program before ends, or hides it.

    That place is the same each time, because the target has so chosen.  A set-uid program's is random all the same.
    """
    stranger = guest.spawn("stranger")
    executing = Executing(guest, race, Programs(guest).create(mode=SET_UID))
    target, plan, reading = executing.target, executing.plan, race.plan(stranger)
    target.call("personality", ADDR_NO_RANDOMIZE).result()
    execute(target, guest.program).result()
    path = f"/proc/{target.pid}/stat"
    own = guest.read_bytes(path)[LAST_DIGITS:][:4]
    text, digits = stranger.store(bytes(1024)), stranger.store(bytes(4))
    file, end = stranger.open(path).result(), stranger.call("memfd_create", "end", 0).result()
    race.preempt(stranger, reading)
    race.go(plan, reading)
    race.watch("execute", executing.execute())
    length = reading.call("pread64", file, text, 1024, 0)
    # Where the digits are in the text is not known, but how far from its end.
    reading.call("ftruncate", end, 0)
    reading.call("pwrite64", end, text, length, 0)
    reading.call("lseek", end, LAST_DIGITS, os.SEEK_END)
    race.watch("read", reading.call("read", end, digits, 4), Watched.VALUE)
    race.watch_word("last digits", stranger, digits)
    race.meet(plan, reading)
    plan.call("personality", ADDR_NO_RANDOMIZE)
    race.watch("return", executing.return_to_its_own())
    race.tally(plan, reading)
    word = stranger.abi.integer
    race.check(("OK", 4, {word(own), word(HIDDEN)}, "OK"))


@pytest.mark.requirement("ptrace.exec-at-once-robust-list")
def test_list_of_robust_futexes(guest: Guest, race: Race) -> None:
    """get_robust_list() during the execve() of a set-uid program gives what the one before has set, or nothing."""
    stranger = guest.spawn("stranger")
    executing, reading = Executing(guest, race, Programs(guest).create(mode=SET_UID)), race.plan(stranger)
    plan, words = executing.plan, len(stranger.abi.words(0))
    zeros, head, length = (stranger.store(bytes(8)) for _ in range(3))
    plan.call("set_robust_list", LIST, 3 * words)
    reading.copy(head, zeros, 8)
    race.preempt(stranger, reading)
    race.go(plan, reading)
    race.watch("execute", executing.execute())
    plan.call("set_robust_list", LIST_OF_THE_NEW, 3 * words)
    race.watch("get", reading.call("get_robust_list", executing.target.tid, head, length))
    race.watch_word("list", stranger, head + stranger.abi.words(0xFFFFFFFF).index(0xFF))
    race.meet(plan, reading)
    race.watch("get afterwards", reading.call("get_robust_list", executing.target.tid, length, length))
    race.meet(plan, reading)
    race.watch("return", executing.return_to_its_own())
    race.tally(plan, reading)
    # execve() forgets the list before it changes anything else.
    race.check(("OK", "OK", {LIST, 0}, "EPERM", "OK"), ("OK", "EPERM", 0, "EPERM", "OK"))


@pytest.mark.needs("PERF_EVENTS")
@pytest.mark.requirement("ptrace.exec-at-once-events")
@pytest.mark.races(longest=24)  # perf_event_open() is preempted several times
def test_events(guest: Guest, race: Race) -> None:
    """Perf events that a stranger begins to count during execve() end with the program before."""
    stranger = guest.spawn("stranger")
    executing, counting = Executing(guest, race, Programs(guest).create(mode=SET_UID)), race.plan(stranger)
    descriptor = stranger.open("/proc/self/stat").result()  # the first free one, from now on
    stranger.close(descriptor).result()
    attributes = stranger.store(event_attributes(stranger.abi, sigtrap=False))
    polled = stranger.store(stranger.abi.pack("ihh", descriptor, 0, 0))
    race.preempt(stranger, counting)
    race.go(executing.plan, counting)
    race.watch("execute", executing.execute())
    event = counting.call("perf_event_open", attributes, executing.target.tid, -1, -1, 0)
    race.watch("count", event, Watched.SIGN)
    race.meet(executing.plan, counting)
    counting.call("ppoll", polled, 1, bytes(16), 0, 8)
    race.watch_word("events", stranger, polled + 4)
    counting.call("close", event)
    race.meet(executing.plan, counting)
    race.watch("return", executing.return_to_its_own())
    race.tally(executing.plan, counting)
    # What poll() says of an event whose process is gone, and of a descriptor that is not open.
    ended, not_open = (stranger.abi.integer(stranger.abi.pack("HH", 0, event)) for event in (Poll.HUP, Poll.NVAL))
    race.check(("OK", ">0", ended, "OK"), ("OK", "EACCES", not_open, "OK"))


@pytest.mark.requirement("ptrace.exec-at-once-owner")
def test_a_program_that_changes_its_owner(guest: Guest, race: Race) -> None:
    """A set-uid program is given to root, which clears that bit: it runs as its old owner or as its user."""
    root, path = guest.root(), Programs(guest).create(mode=SET_UID, uid=OWNER)
    executing, giving = Executing(guest, race, path), race.plan(root)

    def give(uid: int) -> StepValue:
        return giving.call("fchownat", AT_FDCWD, path, uid, uid, 0)

    race.go(executing.plan, giving)
    race.watch("execute", executing.execute())
    for _ in range(GIVEN):
        race.watch("give to root", give(0))
        give(OWNER)
        race.watch("set-uid", giving.call("fchmodat", AT_FDCWD, path, SET_UID))
    race.watch("user", executing.plan.call("geteuid"), Watched.VALUE)
    race.watch("return", executing.return_to_its_own())
    race.tally(executing.plan, giving)
    race.check(("OK", *("OK", "OK") * GIVEN, {OWNER, USER}, "OK"))
