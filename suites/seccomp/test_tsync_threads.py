# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_FILTER_FLAG_TSYNC and threads that sleep, are stopped or have exited; the references that it takes."""

from __future__ import annotations

import pytest

from guests.bpf import Action, deny, kill_thread, notify, policy, ret
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, GONE, exited, returned
from guests.promises import breaks
from guests.syscalls.seccomp import FilterFlag
from guests.uapi import PTRACE_EVENT_EXIT, Clone, PtraceOption, Signal
from suites.seccomp.support.filtered_tasks import SupervisedPair, seccomp_state, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

DENY = policy(deny("getppid", errno=EINVAL))
OTHER = policy(deny("getuid", errno=EPERM))
NOTIFY = policy(notify("getppid"))
ALLOW_ALL = (ret(Action.ALLOW),)
TSYNC = FilterFlag.TSYNC


@pytest.mark.requirement("seccomp.tsync", "seccomp.notif-hang-up")
def test_previous_references_are_released(guest: Guest) -> None:
    """TSYNC releases a thread's previous reference to its filter: the listener hangs up when the process ends."""
    pair = SupervisedPair(guest, NOTIFY)
    pair.target.thread("thread")
    with breaks("seccomp.tsync"):
        assert pair.target.install(ALLOW_ALL, TSYNC) == returned(0)
    with breaks("seccomp.notif-hang-up"):
        assert pair.poll() == 0
        pair.target.exit().require(exited(0))
        pair.supervisor.reap(pair.target).result()
        pair.wait_for_hang_up()


# Threads that sleep, are stopped or have exited


@pytest.mark.requirement("seccomp.tsync-states")
def test_whatever_a_thread_is_doing(guest: Guest) -> None:
    """TSYNC reaches a thread asleep in a call, waiting for a child, stopped by a tracer, or ready.

    The call that it is in is not affected.
    """
    tracer = guest.spawn("tracer")
    caller = tracer.spawn("caller", quiet=True)
    reading, writing = caller.pipe()
    threads = {name: caller.thread(name) for name in ("sleeping", "vforking", "traced", "ready")}
    tracer.seize_and_stop(threads["traced"])
    vforked = threads["vforking"].spawn("vforked", flags=Clone.VFORK | Clone.VM)
    sleeping = threads["sleeping"].begin("read", reading, caller.store(bytes(8)), 1)
    sleeping.wait_until_blocked()
    caller.set_no_new_privs().result()
    assert caller.install(DENY, TSYNC) == returned(0)
    assert {name: seccomp_state(guest, thread)[:2] for name, thread in threads.items()} == dict.fromkeys(
        threads, ("1", "2")
    )
    assert seccomp_state(guest, vforked)[:2] == ("0", "0")

    caller.write(writing, b"x").result()
    assert sleeping.outcome() == returned(1)
    tracer.detach(threads["traced"]).result()
    vforked.exit().require(exited(0))
    for name in ("sleeping", "traced", "ready"):
        assert threads[name].call("getppid") == EINVAL


@pytest.mark.requirement("seccomp.tsync-states")
def test_a_stopped_process(guest: Guest) -> None:
    """After SIGSTOP and SIGCONT, one thread's TSYNC reaches the other threads of the process."""
    caller = unprivileged(guest, "caller")
    thread = caller.thread("thread")
    guest.init.kill(caller, Signal.STOP).result()
    caller.wait_state("T")
    thread.wait_state("T")
    guest.init.kill(caller, Signal.CONT).result()
    assert caller.install(DENY, TSYNC) == returned(0)
    assert thread.call("getppid") == EINVAL


@pytest.mark.requirement("seccomp.tsync-exiting")
def test_dead_threads_do_not_prevent_tsync(guest: Guest) -> None:
    """A leader that has exited remains as a zombie, but its divergent filters no longer count."""
    leader = unprivileged(guest, "leader")
    caller, other = leader.thread("caller"), leader.thread("other")
    leader.install(OTHER).result()
    assert caller.install(DENY, TSYNC) == returned(leader.tid)
    leader.exit_thread().require(GONE)
    leader.wait_state("Z")
    assert caller.install(DENY, TSYNC) == returned(0)
    assert other.call("getppid") == EINVAL


# fmt: off
KILLED = {
    # the leader's state when it makes a call that ends it alone
    "by-its-filter":   lambda leader: leader.install(policy(kill_thread("getppid"))),
    "in-strict-mode":  lambda leader: leader.enter_strict_mode(),
}
# fmt: on


@pytest.mark.requirement("seccomp.tsync-exiting")
@pytest.mark.parametrize("how", KILLED)
def test_killed_threads_do_not_prevent_tsync(guest: Guest, how: str) -> None:
    """A leader with a divergent mode or filter prevents TSYNC while it lives, but not once it has been killed."""
    leader = unprivileged(guest, "leader")
    caller, other = leader.thread("caller"), leader.thread("other")
    KILLED[how](leader).result()
    assert caller.install(DENY, TSYNC) == returned(leader.tid)
    leader.call("getppid").require(GONE)
    leader.wait_state("Z")
    assert caller.install(DENY, TSYNC) == returned(0)
    assert other.call("getppid") == EINVAL


@pytest.mark.requirement("seccomp.tsync", "seccomp.notif-hang-up")
def test_dead_threads_get_no_filter(guest: Guest) -> None:
    """TSYNC gives no filters to a leader that has exited: the listener hangs up when the other threads are gone."""
    pair = SupervisedPair(guest, NOTIFY)
    last = pair.target.thread("last")
    pair.target.exit_thread().require(GONE)
    with breaks("seccomp.tsync"):
        assert last.install(ALLOW_ALL, TSYNC) == returned(0)
    with breaks("seccomp.notif-hang-up"):
        assert pair.poll() == 0
        last.exit_thread().require(exited(0))
        pair.supervisor.reap(pair.target).result()
        pair.wait_for_hang_up()


@pytest.mark.requirement("seccomp.tsync-exiting")
def test_a_thread_that_is_exiting(guest: Guest) -> None:
    """A divergent thread that a tracer holds at the start of its exit prevents TSYNC, but not once it has exited."""
    tracer = guest.spawn("tracer")
    caller = unprivileged(guest, "caller", parent=tracer)
    exiting = caller.thread("exiting")
    exiting.install(OTHER).result()
    tracer.seize(exiting, PtraceOption.TRACEEXIT).result()
    exiting.begin("exit", 0)
    require(tracer.wait(exiting).event == PTRACE_EVENT_EXIT, f"{exiting} did not stop at its exit")
    assert caller.install(DENY, TSYNC) == returned(exiting.tid)
    tracer.resume(exiting).result()
    exiting.wait_death().require(GONE)
    assert caller.install(DENY, TSYNC) == returned(0)
