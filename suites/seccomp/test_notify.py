# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_RET_USER_NOTIF: a target's call, how its supervisor receives it, and what it learns about it."""

from __future__ import annotations

import errno

import pytest

from guests.bpf import AUDIT_ARCH, notify, policy
from guests.guest import Guest
from guests.outcome import EACCES, EFAULT, EINVAL, ENOENT, OK, killed, mismatches, returned
from guests.protocol.wire import Entry
from guests.syscalls.seccomp import NOTIF_SIZE, Poll
from guests.uapi import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, Cap, Signal, number
from suites.seccomp.support.filtered_tasks import SupervisedPair, first_of_a_pid_namespace

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

NOTIFY = policy(notify("getppid"))
NOWHERE = 0x1000


# What the supervisor learns


@pytest.mark.requirement("seccomp.notif-data")
def test_notification_contents(guest: Guest) -> None:
    """A notification has what a filter sees, and the caller's pid; its flags are 0."""
    pair = SupervisedPair(guest, NOTIFY)
    arguments = (1, 2, 3, 4, 5, pair.target.abi.highest_bit)
    call, notif = pair.call_and_receive("getppid", *arguments)
    assert (notif.nr, notif.arch) == (pair.target.number("getppid"), pair.target.abi.audit_arch)
    assert (notif.pid, notif.flags) == (pair.target.pid, 0)
    assert notif.args == arguments
    call.wait_until_blocked()  # the target wakes the supervisor before it sleeps
    assert guest.read_file(f"/proc/{pair.target.pid}/syscall").split()[-1] == f"{notif.instruction_pointer:#x}"
    assert pair.reply(notif) == OK
    assert call.outcome() == returned(0)


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.notif-data")
def test_notification_contents_of_int80(guest: Guest) -> None:
    """A notification of an int 0x80 call has i386's number and architecture; the answer is the call's result."""
    pair = SupervisedPair(guest, policy(notify("getppid"), arch="i386"))
    call = pair.target.begin(number("getppid", "i386"), 1, 2, 3, 4, 5, 6, entry=Entry.INT80)
    notif = pair.supervisor.receive(pair.listener)
    assert (notif.nr, notif.arch) == (number("getppid", "i386"), AUDIT_ARCH["i386"])
    assert notif.args == (1, 2, 3, 4, 5, 6)
    assert pair.reply(notif, error=-errno.EACCES) == OK
    assert call.outcome() == EACCES


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("seccomp.notif-pid")
def test_the_pid_is_the_readers(guest: Guest) -> None:
    """A reader in the namespace above gets the target's pid there; one that cannot see the target gets 0."""
    outer = guest.spawn("outer", caps=Cap.SYS_ADMIN, quiet=True)
    listener = outer.listen(NOTIFY).result()
    inner = first_of_a_pid_namespace(guest, "inner", parent=outer)

    below = inner.begin("getppid")
    notif = outer.receive(listener)
    assert notif.pid == inner.tid
    assert outer.reply(listener, notif.id) == OK
    assert below.outcome() == OK

    above = outer.begin("getppid")
    notif = inner.receive(listener)
    assert notif.pid == 0
    assert inner.reply(listener, notif.id, value=3) == OK
    assert above.outcome() == returned(3)


@pytest.mark.requirement("seccomp.notif-pid")
def test_the_pid_is_the_threads(guest: Guest) -> None:
    """A notification has the id of the thread that made the call."""
    pair = SupervisedPair(guest, NOTIFY)
    thread = pair.target.thread("thread")
    thread.begin("getppid")
    assert pair.supervisor.receive(pair.listener).pid == thread.tid != pair.target.pid


@pytest.mark.requirement("seccomp.notif-order")
def test_order_of_notifications(guest: Guest) -> None:
    """Notifications are received in the order of the calls, each once, and can be answered in any order."""
    pair = SupervisedPair(guest, NOTIFY)
    callers = [pair.target.spawn(f"caller-{i}") for i in range(4)]
    calls = []
    for caller in callers:
        calls.append(caller.begin("getppid"))
        calls[-1].wait_until_blocked()
    notif = [pair.supervisor.receive(pair.listener) for _ in callers]
    assert [one.pid for one in notif] == [caller.pid for caller in callers]
    assert len({one.id for one in notif}) == 4
    for i in (2, 0, 3, 1):
        assert pair.reply(notif[i], value=100 + i) == OK
    assert [call.outcome() for call in calls] == [returned(100 + i) for i in range(4)]


# Receiving


@pytest.mark.requirement("seccomp.notif-recv-errors")
def test_receiving_into_a_nonzero_buffer(guest: Guest) -> None:
    """Every byte of the buffer must be 0, for future extensions; no notification is lost by the error."""
    pair = SupervisedPair(guest, NOTIFY)
    pair.target.begin("getppid").wait_until_blocked()
    found: dict[str, tuple[object, object]] = {}
    for at in (0, 8, 12, 16, 63, 79):
        dirty = bytearray(NOTIF_SIZE)
        dirty[at] = 1
        found[f"byte {at}"] = (pair.supervisor.receive_into(pair.listener, bytes(dirty)), EINVAL)
    assert mismatches(found) == []
    assert pair.supervisor.receive(pair.listener).pid == pair.target.pid


@pytest.mark.requirement("seccomp.notif-recv-fault")
def test_receiving_into_an_unwritable_buffer(guest: Guest) -> None:
    """After EFAULT, the same notification can be received again."""
    pair = SupervisedPair(guest, NOTIFY)
    call = pair.target.begin("getppid")
    call.wait_until_blocked()
    zeros = pair.supervisor.call("mmap", None, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0).result()
    assert pair.supervisor.receive_into(pair.listener, NOWHERE) == EFAULT
    assert pair.supervisor.receive_into(pair.listener, zeros) == EFAULT
    assert pair.supervisor.receive_into(pair.listener, zeros) == EFAULT
    assert pair.supervisor.poll(pair.listener) == Poll.IN
    notif = pair.supervisor.receive(pair.listener)
    assert pair.reply(notif, value=8) == OK
    assert call.outcome() == returned(8)


@pytest.mark.requirement("seccomp.notif-kill")
def test_a_caller_is_killed(guest: Guest) -> None:
    """A killed caller's notification is void: answering it fails with ENOENT, and it can no longer be received."""
    pair = SupervisedPair(guest, NOTIFY)
    other = pair.target.spawn("other")
    call, notif = pair.call_and_receive("getppid")
    unreceived = other.begin("getppid")
    unreceived.wait_until_blocked()
    assert pair.poll() == Poll.IN | Poll.OUT
    guest.init.kill(other, Signal.KILL).result()
    assert unreceived.outcome() == killed(Signal.KILL)
    assert pair.poll() == Poll.OUT
    pair.interrupt(Signal.KILL)
    assert call.outcome() == killed(Signal.KILL)
    assert pair.reply(notif) == ENOENT


@pytest.mark.requirement("seccomp.notif-ids")
def test_ids_are_unpredictable(guest: Guest) -> None:
    """Each listener's ids begin at another number, and none occurs twice."""
    ids = []
    for _ in range(3):
        pair = SupervisedPair(guest, NOTIFY)
        for _ in range(3):
            call, notif = pair.call_and_receive("getppid")
            pair.reply(notif).result()
            call.outcome().require(OK)
            ids.append(notif.id)
    assert len(set(ids)) == 9
    assert max(ids) > 1 << 32
