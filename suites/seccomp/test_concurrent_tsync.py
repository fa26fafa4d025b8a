# SPDX-License-Identifier: GPL-2.0-or-later
"""TSYNC at the same time as what other threads of the process do: the result is that of one order or the other.

Each round has a process of its own, which a shell starts and reaps:

    shell ── leader        synchronizes its filters
               ├── (thread)    does something else meanwhile
               └── (another)   sees what has come of it
"""

from __future__ import annotations

import pytest

from guests.bpf import deny, notify, policy
from guests.call_plan import Plan, StepValue
from guests.guest import Guest
from guests.outcome import EINVAL, EPERM
from guests.protocol.meeting_layout import Watched
from guests.syscalls.seccomp import FilterFlag, Poll
from guests.task import Task
from guests.uapi import THREAD_FLAGS, WALL, Clone, Prctl
from suites.races.race import Race
from suites.seccomp.support import filter_runner
from suites.seccomp.support.addfd_pair import FREE
from suites.seccomp.support.stored_filters import install, stored

pytestmark = [
    # Moments of up to some milliseconds: that is how long TSYNC takes where filters are compiled or accesses watched.
    pytest.mark.races(longest=20),
    pytest.mark.needs("SECCOMP_FILTER"),
    pytest.mark.requirement("seccomp.tsync-concurrent"),
]

DENY = policy(deny("getppid", errno=EINVAL))
OTHER = policy(deny("getuid", errno=EPERM))
TSYNC = FilterFlag.TSYNC
SOON_S = 10
"""Of all rounds together: ppoll() leaves the rest of its time where it has found it."""
CREATED, CALLS = 3, 200
"""How many threads are created, and how many calls made, so that it takes longer than TSYNC does."""
WAITING = 3
"""How many threads end with their process, besides the two that act: each may end at the wrong moment."""
DIVERGENT = ">0"
"""TSYNC has returned the number of a thread."""


@pytest.fixture(autouse=True)
def interpreted(guest: Guest) -> None:
    """Have the kernel interpret filters if it can: to compile one takes longer than all that goes on meanwhile."""
    if filter_runner.can_be_chosen(guest):
        guest.set_sysctl(filter_runner.COMPILED, 0)


def shell_of(guest: Guest) -> Task:
    shell = guest.spawn("shell")
    shell.set_no_new_privs().result()
    return shell


def run_in_a_process(race: Race, shell: Task, leader: Plan) -> None:
    """Let the shell start the leader's process in each round, and reap it: its status is the last result."""
    plan, status = race.plan(shell), shell.store(bytes(4))
    pid = plan.child(leader)
    plan.call("wait4", pid, status, WALL, 0)
    race.watch_word("status", shell, status)
    race.tally(plan)


def synchronize(race: Race, plan: Plan, program: int) -> StepValue:
    step = install(plan, program, TSYNC)
    race.watch("synchronize", step, Watched.SIGN)
    return step


def look_at_both(race: Race, leader: Plan, thread: Plan) -> None:
    """Once both have acted, watch which of the filters each has."""
    race.meet(leader, thread)
    for name, plan in (("leader", leader), ("thread", thread)):
        race.watch(f"{name}, getppid", plan.call("getppid"))
        race.watch(f"{name}, getuid", plan.call("getuid"))


def test_clone(guest: Guest, race: Race) -> None:
    """Threads that are created during a TSYNC have the filter and no_new_privs afterwards, like their creator."""
    shell = guest.spawn("shell")
    program = stored(shell, DENY)
    leader, creator, *created = (race.child() for _ in range(2 + CREATED))
    leader.child(creator, THREAD_FLAGS)
    leader.call("prctl", Prctl.SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    race.go(leader, creator)
    synchronize(race, leader, program)
    for thread in created:
        creator.child(thread, THREAD_FLAGS)
        race.watch("created, at first", thread.call("getppid"))
    race.meet(leader, creator, *created)
    race.watch("creator", creator.call("getppid"))
    for thread in created:
        race.watch("created", thread.call("getppid"))
        race.watch("its no_new_privs", thread.call("prctl", Prctl.GET_NO_NEW_PRIVS, 0, 0, 0, 0), Watched.VALUE)
    for thread in (creator, *created):
        leader.join(thread)
    run_in_a_process(race, shell, leader)
    at_first, afterwards = ({"OK", "EINVAL"},), ("EINVAL", 1)
    race.check(("OK", *at_first * CREATED, "EINVAL", *afterwards * CREATED, 0))


def test_calls(guest: Guest, race: Race) -> None:
    """A thread created during a TSYNC makes calls all the time: each is allowed or denied, and none kills it."""
    shell = shell_of(guest)
    leader, creator, calling = race.child(), race.child(), race.child(times=CALLS)
    leader.child(creator, THREAD_FLAGS)
    race.go(leader, creator)
    synchronize(race, leader, stored(shell, DENY))
    creator.child(calling, THREAD_FLAGS)
    race.watch("last call", calling.call("getppid"))
    race.meet(leader, creator)
    race.watch("creator", creator.call("getppid"))
    leader.join(creator)
    leader.join(calling)
    run_in_a_process(race, shell, leader)
    race.check(("OK", {"OK", "EINVAL"}, "EINVAL", 0))


def test_exit(guest: Guest, race: Race) -> None:
    """A divergent thread exits during a TSYNC: all others have the filter afterwards, or none has."""
    shell = shell_of(guest)
    program, other = stored(shell, DENY), stored(shell, OTHER)
    leader, exiting, bystander = race.child(), race.child(), race.child()
    leader.child(exiting, THREAD_FLAGS)
    leader.child(bystander, THREAD_FLAGS)
    install(exiting, other)
    race.go(leader, exiting)
    synchronize(race, leader, program)
    race.meet(leader, bystander)
    race.watch("leader", leader.call("getppid"))
    race.watch("bystander", bystander.call("getppid"))
    leader.join(exiting)
    leader.join(bystander)
    run_in_a_process(race, shell, leader)
    race.check(("OK", "EINVAL", "EINVAL", 0), (DIVERGENT, "OK", "OK", 0))


def test_installation(guest: Guest, race: Race) -> None:
    """Another thread installs a filter during a TSYNC: it is divergent if it is first, or else has both filters."""
    shell = shell_of(guest)
    program, other = stored(shell, DENY), stored(shell, OTHER)
    leader, thread = race.child(), race.child()
    leader.child(thread, THREAD_FLAGS)
    race.go(leader, thread)
    synchronize(race, leader, program)
    race.watch("install", install(thread, other))
    look_at_both(race, leader, thread)
    leader.join(thread)
    run_in_a_process(race, shell, leader)
    race.check(
        ("OK", "OK", "EINVAL", "OK", "EINVAL", "EPERM", 0),
        (DIVERGENT, "OK", "OK", "OK", "OK", "EPERM", 0),
    )


def test_two_at_once(guest: Guest, race: Race) -> None:
    """Of two threads that synchronize different filters, both succeed, and both have both filters afterwards."""
    shell = shell_of(guest)
    leader, thread = race.child(), race.child()
    leader.child(thread, THREAD_FLAGS)
    race.go(leader, thread)
    synchronize(race, leader, stored(shell, DENY))
    synchronize(race, thread, stored(shell, OTHER))
    look_at_both(race, leader, thread)
    leader.join(thread)
    run_in_a_process(race, shell, leader)
    race.check(("OK", "OK", "EINVAL", "EPERM", "EINVAL", "EPERM", 0))


@pytest.mark.requirement("seccomp.tsync-end-of-process")
def test_end_of_the_process(guest: Guest, race: Race) -> None:
    """A thread ends the process during a TSYNC: no thread keeps the filter, and its listener, if any, hangs up."""
    shell = shell_of(guest)
    program, status = stored(shell, policy(notify("getuid"))), shell.store(bytes(4))
    polled, unpolled = (shell.store(shell.abi.pack("iHH", FREE, 0, 0)) for _ in range(2))
    leader, ending, *waiting = (race.child() for _ in range(2 + WAITING))
    starting = race.plan(shell)
    pid = starting.child(leader, Clone.FILES)
    for thread in (*waiting, ending):
        leader.child(thread, THREAD_FLAGS)
    race.go(leader, ending)
    install(leader, program, TSYNC | FilterFlag.TSYNC_ESRCH | FilterFlag.NEW_LISTENER)
    ending.call("exit_group", 0)
    for thread in waiting:
        thread.call("ppoll", 0, 0, 0, 0, 8)
    starting.call("wait4", pid, status, WALL, 0)
    race.watch_word("status", shell, status)
    starting.copy(polled, unpolled, 8)
    starting.call("ppoll", polled, 1, shell.abi.pack("qq", SOON_S, 0), 0, 8)
    race.watch_word("events", shell, polled + 4)
    starting.call("close", FREE)
    race.tally(starting)
    hung_up, not_open = (shell.abi.integer(shell.abi.pack("HH", 0, event)) for event in (Poll.HUP, Poll.NVAL))
    race.check((0, {hung_up, not_open}))


@pytest.mark.requirement("seccomp.listener-concurrent")
def test_two_listeners(guest: Guest, race: Race) -> None:
    """Of two threads that install a listener at the same time, one with TSYNC, one succeeds.

    EBUSY: the other one's filter is in the thread's chain by then.  ESRCH: the thread is divergent by then.
    """
    shell = shell_of(guest)
    program = stored(shell, policy(notify("getuid")))
    leader, thread = race.child(), race.child()
    leader.child(thread, THREAD_FLAGS)
    race.go(leader, thread)
    both = install(leader, program, TSYNC | FilterFlag.TSYNC_ESRCH | FilterFlag.NEW_LISTENER)
    race.watch("synchronize", both, Watched.SIGN)
    race.watch("install", install(thread, program, FilterFlag.NEW_LISTENER), Watched.SIGN)
    race.meet(leader, thread)  # a thread that has ended is not divergent
    leader.join(thread)
    run_in_a_process(race, shell, leader)
    race.check((">0", "EBUSY", 0), ("ESRCH", ">0", 0))


def test_exec(guest: Guest, race: Race) -> None:
    """Another thread calls execve() during the leader's TSYNC: if that has returned, the new program is filtered."""
    shell = shell_of(guest)
    leader, executing = race.child(), race.child()
    words = shell.agent_arguments(guest.program, slot=executing.slot)
    path = shell.store(guest.program.encode() + b"\0")
    leader.child(executing, THREAD_FLAGS)
    race.go(leader, executing)
    synchronize(race, leader, stored(shell, DENY))
    race.watch("execute", executing.call("execve", path, words, 0))
    race.watch("program", executing.call("getppid"))
    leader.join(executing)
    run_in_a_process(race, shell, leader)
    race.check(("OK", "OK", "EINVAL", 0), ("-", "OK", {"OK", "EINVAL"}, 0))
