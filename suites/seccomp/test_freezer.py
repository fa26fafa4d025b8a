# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks that are frozen by their control group while their calls wait for a supervisor or a tracer."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from guests.bpf import deny, notify, policy, trace
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINTR, EINVAL, ENOENT, OK, Expected, killed, returned
from guests.promises import breaks
from guests.syscalls.seccomp import FilterFlag, Notification, Poll
from guests.task import Task
from guests.uapi import PTRACE_EVENT_EXIT, PTRACE_EVENT_SECCOMP, PtraceOption, Signal
from suites.seccomp.support.filtered_tasks import SupervisedPair, unprivileged
from suites.seccomp.support.freezer import Freezer
from suites.seccomp.support.io_uring_ring import Ring

pytestmark = [
    pytest.mark.needs("SECCOMP_FILTER", "CGROUPS"),
    pytest.mark.own_machine("it changes the tree of control groups"),
]

NOTIFY = policy(notify("getppid"))
WAIT_KILLABLE = FilterFlag.WAIT_KILLABLE_RECV
wait_killable = pytest.mark.requirement("seccomp.notif-wait-killable")


@pytest.mark.requirement("seccomp.notif-frozen", "seccomp.notif-thawed")
@pytest.mark.parametrize(
    ("flags", "received"),
    [
        pytest.param(FilterFlag.NONE, False, id="any-signal-before-it-is-received"),
        pytest.param(FilterFlag.NONE, True, id="any-signal-after-it-was-received"),
        pytest.param(WAIT_KILLABLE, False, id="wait-killable-before-it-is-received", marks=wait_killable),
    ],
)
def test_a_frozen_target(guest: Guest, flags: FilterFlag, received: bool) -> None:
    """Freezing discards the notification like a signal, and after thawing the call makes a new one."""
    pair = SupervisedPair(guest, NOTIFY, flags)
    freezer = Freezer(guest, pair.target)
    call = pair.target.begin("getppid", 5)
    call.wait_until_blocked()
    old = pair.receive() if received else None
    freezer.freeze()
    freezer.wait_until_frozen()
    assert pair.poll() == 0
    assert old is None or pair.reply(old, value=1) == ENOENT
    assert not call.finished()
    freezer.thaw()
    with breaks("seccomp.notif-thawed"):
        again = pair.receive_after_signal()
        assert again.args[0] == 5
        assert old is None or again.id != old.id
        assert pair.reply(again, value=2) == OK
        assert call.outcome() == returned(2)


@wait_killable
@pytest.mark.requirement("seccomp.notif-frozen")
def test_a_received_call_is_frozen_once_it_is_answered(guest: Guest) -> None:
    """With WAIT_KILLABLE_RECV, a call that has been received keeps its notification while its task is to freeze."""
    pair = SupervisedPair(guest, NOTIFY, WAIT_KILLABLE)
    freezer = Freezer(guest, pair.target)
    call = pair.target.begin("getppid", 5)
    call.wait_until_blocked()
    old = pair.receive()
    freezer.freeze()
    assert pair.supervisor.still_waiting(pair.listener, old.id) == OK
    assert pair.poll() == Poll.OUT
    assert not freezer.frozen()
    assert pair.reply(old, value=1) == OK
    freezer.wait_until_frozen()
    assert not call.finished()
    freezer.thaw()
    assert call.outcome() == returned(1)


@pytest.mark.requirement("seccomp.notif-frozen")
@pytest.mark.parametrize("received", [False, True], ids=["before-it-is-received", "after-it-was-received"])
def test_killed_while_it_is_frozen(guest: Guest, received: bool) -> None:
    """SIGKILL ends a frozen target: no notification remains, and the listener hangs up."""
    pair = SupervisedPair(guest, NOTIFY)
    freezer = Freezer(guest, pair.target)
    call = pair.target.begin("getppid")
    call.wait_until_blocked()
    if received:
        pair.receive()
    freezer.freeze()
    freezer.wait_until_frozen()
    pair.interrupt(Signal.KILL)
    assert call.outcome() == killed(Signal.KILL)
    pair.supervisor.reap(pair.target).result()
    pair.wait_for_hang_up()


@pytest.mark.requirement("seccomp.notif-frozen-below", "seccomp.notif-thawed")
def test_a_group_below_a_frozen_one(guest: Guest) -> None:
    """A target is frozen when it moves into a group that has been made below a frozen one.

    The control is a group below that one once it is thawed: the call is answered there.
    """
    pair = SupervisedPair(guest, NOTIFY)
    upper = Freezer(guest, guest.spawn("upper"))
    upper.freeze()
    upper.wait_until_frozen()
    call, old = pair.call_and_receive("getppid")
    lower = Freezer(guest, pair.target, below=upper)
    with breaks("seccomp.notif-frozen-below"):
        lower.wait_until_frozen()
        assert pair.reply(old, value=1) == ENOENT
        assert not call.finished()
    upper.thaw()
    with breaks("seccomp.notif-thawed"):
        again = pair.receive_after_signal()
    Freezer(guest, pair.target, below=lower)
    with breaks("seccomp.notif-frozen-below"):
        assert pair.reply(again, value=2) == OK
        assert call.outcome() == returned(2)


CLOCK_MONOTONIC, HALF_A_SECOND_NS = 1, 500_000_000
FEW_TICKS = 5
"""Of the 50 in half a second.  A frozen task that only waits has none."""


def ticks(guest: Guest, task: Task) -> int:
    """The time that the task has run, in ticks of 10 ms (proc_pid_stat(5), utime and stime)."""
    after_the_name = guest.read_file(f"/proc/{task.pid}/task/{task.tid}/stat").rpartition(") ")[2].split()
    return int(after_the_name[11]) + int(after_the_name[12])


@pytest.mark.needs("IO_URING")
@pytest.mark.requirement("seccomp.frozen-ring", "seccomp.notif-thawed")
def test_a_frozen_target_with_a_ring(guest: Guest) -> None:
    """A frozen target whose ring completes an operation waits on; thawed, it has the completion, and is answered."""
    pair = SupervisedPair(guest, NOTIFY)
    reading, writing = pair.target.pipe()
    completing = pair.supervisor.pidfd_getfd(pair.target, writing).result()
    ring = Ring(pair.target)
    ring.prepare_poll(reading)
    ring.submit().require(returned(1))
    freezer = Freezer(guest, pair.target)
    call = pair.target.begin("getppid")
    call.wait_until_blocked()
    freezer.freeze()
    freezer.wait_until_frozen()
    pair.supervisor.write(completing, b"-").require(returned(1))
    before = ticks(guest, pair.target)
    half_a_second = pair.supervisor.abi.pack("qq", 0, HALF_A_SECOND_NS)
    pair.supervisor.call("clock_nanosleep", CLOCK_MONOTONIC, 0, half_a_second, None).result()
    with breaks("seccomp.frozen-ring"):
        assert ticks(guest, pair.target) <= before + FEW_TICKS
    freezer.thaw()
    with breaks("seccomp.notif-thawed"):
        assert pair.reply(pair.receive_after_signal(), value=2) == OK
        assert call.outcome() == returned(2)
    with breaks("seccomp.frozen-ring"):
        assert ring.result() == returned(Poll.IN)


@pytest.mark.requirement("seccomp.notif-frozen")
def test_a_frozen_supervisor(guest: Guest, promised: Callable[[str], bool]) -> None:
    """A call waits while its supervisor is frozen, and is received and answered afterwards.

    A reception that waits when the supervisor is frozen is restarted, or, in older kernels, fails with EINTR.
    """
    pair = SupervisedPair(guest, NOTIFY)
    freezer = Freezer(guest, pair.supervisor)
    receiving = pair.supervisor.begin_receive(pair.listener)
    receiving.wait_until_blocked()
    freezer.freeze()
    freezer.wait_until_frozen()
    call = pair.target.begin("getppid", 5)
    call.wait_until_blocked()
    assert not receiving.finished()
    freezer.thaw()
    assert receiving.outcome() == (OK if promised("seccomp.notif-recv-restart") else EINTR)
    received = receiving.outcome()
    notif = pair.receive() if received == EINTR else Notification.decode(received.read(), pair.supervisor.abi)
    assert notif.args[0] == 5
    assert pair.reply(notif, value=3) == OK
    assert call.outcome() == returned(3)


@pytest.mark.requirement("seccomp.trace-frozen")
@pytest.mark.parametrize(
    ("changes", "wanted"), [({}, OK), ({"nr": "getuid"}, EINVAL)], ids=["unchanged", "to-a-denied-call"]
)
def test_a_frozen_tracee(guest: Guest, changes: dict[str, int], wanted: Expected) -> None:
    """A tracee in the stop of TRACE counts as frozen, and its tracer may change the call: it is filtered again.

    Resumed by its tracer, the call returns once the tracee is thawed.
    """
    tracer = guest.spawn("tracer")
    tracee = unprivileged(guest, "tracee", parent=tracer)
    tracee.install(policy(trace("getppid"), deny("getuid", errno=errno.EINVAL))).result()
    tracer.seize(tracee, PtraceOption.TRACESECCOMP).result()
    freezer = Freezer(guest, tracee)
    call = tracee.begin("getppid")
    require(tracer.wait(tracee).event == PTRACE_EVENT_SECCOMP, f"{tracee} did not stop for its tracer")
    freezer.freeze()
    freezer.wait_until_frozen()
    tracer.set_registers(tracee, **changes).result()
    tracer.resume(tracee).result()
    freezer.wait_until_frozen()
    assert not call.finished()
    freezer.thaw()
    assert call.outcome() == wanted


@pytest.mark.requirement("seccomp.trace-frozen-running")
def test_a_resumed_tracee_that_runs(guest: Guest) -> None:
    """A traced execve() that its tracer resumes while the group is frozen waits for another thread to end, and runs.

    While it does, the group is not frozen; once it has returned, the group is.
    """
    tracer = guest.spawn("tracer")
    tracee = unprivileged(guest, "tracee", parent=tracer)
    other = tracee.thread("other")
    tracee.install(policy(trace("execve")), FilterFlag.TSYNC).result()
    for thread in (tracee, other):
        tracer.seize(thread, PtraceOption.TRACESECCOMP | PtraceOption.TRACEEXIT).result()
    freezer = Freezer(guest, tracee)
    call = tracee.begin_execute(guest.program)
    require(tracer.wait(tracee).event == PTRACE_EVENT_SECCOMP, f"{tracee} did not stop for its tracer")
    freezer.freeze()
    freezer.wait_until_frozen()
    tracer.resume(tracee).result()
    require(tracer.wait(other).event == PTRACE_EVENT_EXIT, f"{other} did not stop before its end")
    tracee.wait_state("D")
    assert not freezer.frozen()
    tracer.resume(other).result()
    tracer.reap(other).result()
    freezer.wait_until_frozen()
    assert not call.finished()
    freezer.thaw()
    assert call.outcome() == OK
