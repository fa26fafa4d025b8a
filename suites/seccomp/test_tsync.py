# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_FILTER_FLAG_TSYNC: one thread's filters become those of all threads, or nothing changes."""

from __future__ import annotations

import pytest

from guests.bpf import Action, assembled, deny, notify, pack, policy, ret
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EBUSY, EINVAL, EPERM, ESRCH, GONE, OK, mismatches, returned
from guests.promises import breaks
from guests.syscalls.seccomp import SET_MODE_FILTER, FilterFlag, fprog
from guests.task import Task
from guests.uapi import Cap, Clone
from suites.seccomp.support.filtered_tasks import seccomp_state, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
tsync = pytest.mark.requirement("seccomp.tsync")

DENY = policy(deny("getppid", errno=EINVAL))
OTHER = policy(deny("getuid", errno=EPERM))
NOTIFY = policy(notify("getppid"))
ALLOW_ALL = (ret(Action.ALLOW),)
TSYNC, ESRCH_FLAG, NEW_LISTENER = FilterFlag.TSYNC, FilterFlag.TSYNC_ESRCH, FilterFlag.NEW_LISTENER


@tsync
def test_every_thread(guest: Guest) -> None:
    """TSYNC gives filter, mode and no_new_privs to threads that had none of them, but to no other process."""
    caller = guest.spawn("caller", quiet=True)
    threads = [caller.thread(f"thread-{i}") for i in range(3)]
    process = caller.spawn("child")
    caller.set_no_new_privs().result()
    assert caller.install(DENY, TSYNC) == returned(0)
    for thread in threads:
        assert seccomp_state(guest, thread)[:2] == ("1", "2")
        assert thread.call("getppid") == EINVAL
        assert thread.call("getuid") == returned(1000)
    assert seccomp_state(guest, process)[:2] == ("0", "0")
    assert process.call("getppid") == returned(caller.pid)


@tsync
def test_without_the_flag(guest: Guest) -> None:
    """Without TSYNC, no other thread gets the filter."""
    caller = guest.spawn("caller", quiet=True)
    thread = caller.thread("thread")
    caller.set_no_new_privs().result()
    assert caller.install(DENY) == OK
    assert seccomp_state(guest, thread)[:2] == ("0", "0")
    assert thread.call("getppid") == returned(guest.init.tid)


@tsync
def test_from_any_thread(guest: Guest) -> None:
    """TSYNC works from any thread, not only from the leader."""
    leader = guest.spawn("leader", quiet=True)
    caller, third = leader.thread("caller"), leader.thread("third")
    caller.set_no_new_privs().result()
    assert caller.install(DENY, TSYNC) == returned(0)
    assert leader.call("getppid") == EINVAL
    assert third.call("getppid") == EINVAL


@pytest.mark.requirement("seccomp.tsync", "seccomp.tsync-count")
def test_all_filters_and_their_count(guest: Guest) -> None:
    """TSYNC gives all of the caller's filters to the other threads, including older ones, and the same count."""
    caller = unprivileged(guest, "caller")
    thread = caller.thread("thread")
    caller.install(OTHER).result()
    with breaks("seccomp.tsync"):
        assert caller.install(DENY, TSYNC) == returned(0)
        assert thread.call("getuid") == EPERM
        assert thread.call("getppid") == EINVAL
    with breaks("seccomp.tsync-count"):
        assert [seccomp_state(guest, one) for one in (caller, thread)] == [("1", "2", "2")] * 2
    with breaks("seccomp.tsync"):
        assert caller.install(ALLOW_ALL, TSYNC) == returned(0)
    with breaks("seccomp.tsync-count"):
        assert [seccomp_state(guest, one) for one in (caller, thread)] == [("1", "2", "3")] * 2


@tsync
def test_no_new_privs_is_not_added(guest: Guest) -> None:
    """A caller without no_new_privs, but with CAP_SYS_ADMIN, sets none in other threads, and clears none."""
    caller = guest.spawn("caller", caps=Cap.SYS_ADMIN, quiet=True)
    thread, careful = caller.thread("thread"), caller.thread("careful")
    careful.set_no_new_privs().result()
    assert caller.install(DENY, TSYNC) == returned(0)
    assert [seccomp_state(guest, one)[:2] for one in (caller, thread)] == [("0", "2")] * 2
    assert seccomp_state(guest, careful)[:2] == ("1", "2")


# Divergence

# fmt: off
THREAD_FILTERS = {
    # what the caller has, what the thread has                                     compatible?
    "neither-has-any":              ((),            (),                            True),
    "the-thread-has-none":          ((OTHER,),      (),                            True),
    "the-same-number-of-its-own":   ((OTHER,),      (OTHER,),                      False),
    "the-thread-alone-has-one":     ((),            (OTHER,),                      False),
    "the-thread-has-one-more":      ((OTHER,),      (OTHER, ALLOW_ALL),            False),
}
# fmt: on


@pytest.mark.requirement("seccomp.tsync", "seccomp.tsync-divergent")
@pytest.mark.parametrize("family", THREAD_FILTERS)
def test_divergent_threads(guest: Guest, family: str) -> None:
    """For a thread with filters that are not the caller's older ones, TSYNC returns its id and changes nothing."""
    callers, threads, together = THREAD_FILTERS[family]
    caller = unprivileged(guest, "caller")
    bystander, thread = caller.thread("bystander"), caller.thread("thread")
    for program in callers:
        caller.install(program).result()
    for own in threads:
        thread.install(own).result()
    everyone = (caller, bystander, thread)
    before = [seccomp_state(guest, one) for one in everyone]
    if together:
        with breaks("seccomp.tsync"):
            assert caller.install(DENY, TSYNC) == returned(0)
            assert [one.call("getppid") for one in everyone] == [EINVAL] * 3
    else:
        with breaks("seccomp.tsync-divergent"):
            assert caller.install(DENY, TSYNC) == returned(thread.tid)
            assert [seccomp_state(guest, one) for one in everyone] == before
            assert [one.call("getppid") for one in everyone] == [returned(guest.init.tid)] * 3


@pytest.mark.requirement("seccomp.tsync", "seccomp.tsync-divergent")
def test_a_common_older_filter(guest: Guest) -> None:
    """A thread with only older filters of the caller is synchronized; one with a different newer one is divergent."""
    caller = unprivileged(guest, "caller")
    caller.install(OTHER).result()
    older = caller.thread("older")
    divergent = caller.thread("divergent")
    caller.install(ALLOW_ALL).result()
    with breaks("seccomp.tsync"):
        assert caller.install(DENY, TSYNC) == returned(0)
        assert older.call("getppid") == EINVAL
    divergent.install(ALLOW_ALL).result()
    with breaks("seccomp.tsync-divergent"):
        assert caller.install(ALLOW_ALL, TSYNC) == returned(divergent.tid)
    with breaks("seccomp.tsync"):
        # For the divergent thread itself, the others have only older filters of its own.
        assert divergent.install(ALLOW_ALL, TSYNC) == returned(0)
        assert caller.install(ALLOW_ALL, TSYNC) == returned(0)


@pytest.mark.requirement("seccomp.tsync-divergent")
def test_a_strict_thread(guest: Guest) -> None:
    """A thread in strict mode is divergent."""
    caller = unprivileged(guest, "caller")
    thread = caller.thread("thread")
    thread.enter_strict_mode().result()
    assert caller.install(DENY, TSYNC) == returned(thread.tid)
    assert seccomp_state(guest, caller)[1] == "0"
    assert seccomp_state(guest, thread)[1] == "1"


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("seccomp.tsync-divergent")
def test_the_id_in_the_callers_namespace(guest: Guest) -> None:
    """TSYNC returns the divergent thread's id in the caller's pid namespace."""
    caller = guest.spawn("caller", flags=Clone.NEWPID)
    caller.set_no_new_privs().result()
    thread = caller.thread("thread")
    thread.install(OTHER).result()
    require(thread.own_tid not in (thread.tid, 0), f"{thread} has the same id in its own pid namespace")
    assert caller.install(DENY, TSYNC) == returned(thread.own_tid)


@pytest.mark.requirement("seccomp.tsync-esrch", "seccomp.tsync-divergent")
def test_esrch_flag(guest: Guest) -> None:
    """With TSYNC_ESRCH, a divergent thread is ESRCH; a listener requires it, to tell descriptors from thread ids."""
    caller = unprivileged(guest, "caller")
    thread = caller.thread("thread")
    thread.install(OTHER).result()
    with breaks("seccomp.tsync-divergent"):
        assert caller.install(DENY, TSYNC) == returned(thread.tid)
    found: dict[str, tuple[object, object]] = {
        "TSYNC_ESRCH": (caller.install(DENY, TSYNC | ESRCH_FLAG), ESRCH),
        "with a listener": (caller.install(DENY, TSYNC | NEW_LISTENER), EINVAL),
        "with a listener and TSYNC_ESRCH": (caller.install(DENY, TSYNC | NEW_LISTENER | ESRCH_FLAG), ESRCH),
        "TSYNC_ESRCH for nothing": (caller.install(ALLOW_ALL, ESRCH_FLAG), OK),
    }
    # The listener of the failed call is gone too: its number is free.
    found["the next free number"] = (caller.call("dup", 0), returned(3))
    with breaks("seccomp.tsync-esrch"):
        assert mismatches(found) == []


@pytest.mark.requirement("seccomp.tsync-esrch")
def test_one_listener_for_all_threads(guest: Guest) -> None:
    """TSYNC with TSYNC_ESRCH and NEW_LISTENER returns a listener, which receives the calls of every thread."""
    supervisor = guest.spawn("supervisor")
    caller = unprivileged(guest, "caller", parent=supervisor)
    thread = caller.thread("thread")
    installed = caller.install(NOTIFY, TSYNC | ESRCH_FLAG | NEW_LISTENER)
    assert installed == OK
    listener = supervisor.pidfd_getfd(caller, installed.value).result()

    def check_received(task: Task) -> None:
        call = task.begin("getppid")
        notif = supervisor.receive(listener)
        assert notif.pid == task.tid
        assert supervisor.reply(listener, notif.id, value=9) == OK
        assert call.outcome() == returned(9)

    check_received(caller)
    check_received(thread)
    # While one of the threads is alive, the listener does not hang up.
    assert thread.exit_thread() == GONE
    assert supervisor.poll(listener) == 0
    check_received(caller)


@pytest.mark.requirement("seccomp.tsync-refused")
def test_after_a_second_listener(guest: Guest) -> None:
    """After TSYNC was refused a second listener, the process can synchronize its threads, and execute a program.

    Both take the lock that keeps threads from synchronizing during execve().
    """
    caller = unprivileged(guest, "caller")
    thread = caller.thread("thread")
    caller.install(NOTIFY, TSYNC | ESRCH_FLAG | NEW_LISTENER).require(OK)
    assert caller.install(ALLOW_ALL, TSYNC | ESRCH_FLAG | NEW_LISTENER) == EBUSY
    program = assembled(OTHER, guest.arch)
    filter_ = fprog(caller.abi, len(program), caller.store(pack(program, caller.abi)))
    again = caller.begin("seccomp", SET_MODE_FILTER, TSYNC, filter_, shown="synchronize again")
    # It may sleep for a moment, but not whenever somebody looks.
    assert not all(again.blocks() for _ in range(50)), again
    assert again.outcome() == returned(0)
    assert [one.call("getuid") for one in (caller, thread)] == [EPERM] * 2
    assert caller.execute_again() == OK
