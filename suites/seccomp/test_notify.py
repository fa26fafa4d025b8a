# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_RET_USER_NOTIF: a target's call, what its supervisor learns about it, and how it can answer."""

from __future__ import annotations

import struct

import pytest

from guests.bpf import AUDIT_ARCH, notify, policy, trace
from guests.call_plan import Plan, start_realtime
from guests.guest import Guest
from guests.outcome import (
    EFAULT,
    EINPROGRESS,
    EINVAL,
    ENOENT,
    ENOSYS,
    EPERM,
    OK,
    Expected,
    error,
    killed,
    returned,
)
from guests.syscalls.seccomp import (
    NOTIF_ADDFD,
    NOTIF_ID_VALID,
    NOTIF_ID_VALID_OLD,
    NOTIF_SEND,
    NOTIF_SIZE,
    Poll,
)
from guests.uapi import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, Cap, Clone, Signal, number
from suites.seccomp.support.filtered_tasks import GETPPID, SupervisedPair, mismatches, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

NOTIFY = policy(notify("getppid"))
NOWHERE = 0x1000


# What the supervisor learns


@pytest.mark.requirement("seccomp.notif-data")
def test_notification_contents(guest: Guest) -> None:
    """A notification has what a filter sees, and the caller's pid; its flags are 0."""
    pair = SupervisedPair(guest, NOTIFY)
    call, notif = pair.call_and_receive("getppid", 1, 2, 3, 4, 5, 1 << 63)
    assert (notif.nr, notif.arch, notif.pid, notif.flags) == (GETPPID, AUDIT_ARCH["x86_64"], pair.target.pid, 0)
    assert notif.args == (1, 2, 3, 4, 5, 1 << 63)
    call.wait_until_blocked()  # the target wakes the supervisor before it sleeps
    assert guest.read_file(f"/proc/{pair.target.pid}/syscall").split()[-1] == f"{notif.instruction_pointer:#x}"
    assert pair.reply(notif) == OK
    assert call.outcome() == returned(0)


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.notif-data")
def test_notification_contents_of_int80(guest: Guest) -> None:
    """A notification of an int 0x80 call has i386's number and architecture; the answer is the call's result."""
    pair = SupervisedPair(guest, policy(notify("getppid"), arch="i386"))
    call = pair.target.begin(number("getppid", "i386"), 1, 2, 3, 4, 5, 6, entry=1)  # type: ignore[arg-type]
    notif = pair.supervisor.receive(pair.listener)
    assert (notif.nr, notif.arch) == (number("getppid", "i386"), AUDIT_ARCH["i386"])
    assert notif.args == (1, 2, 3, 4, 5, 6)
    assert pair.reply(notif, error=-13) == OK
    assert call.outcome() == error(13)


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("seccomp.notif-pid")
def test_the_pid_is_the_readers(guest: Guest) -> None:
    """A reader in the namespace above gets the target's pid there; one that cannot see the target gets 0."""
    outer = guest.spawn("outer", caps=Cap.SYS_ADMIN, quiet=True)
    listener = outer.listen(NOTIFY).result()
    inner = outer.spawn("inner", flags=Clone.NEWPID)
    assert inner.own_tid == 1

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
    assert [call.outcome().value for call in calls] == [100, 101, 102, 103]


# How the supervisor can answer

# fmt: off
ANSWERS: dict[str, tuple[dict[str, int], Expected]] = {
    "nothing":            ({},                            returned(0)),
    "a-value":            ({"value": 4711},               returned(4711)),
    "a-large-value":      ({"value": 1 << 40},            returned(1 << 40)),
    "a-value-that-is-an-errno": ({"value": -22},          EINVAL),
    "an-error":           ({"error": -1},                 EPERM),
    "the-largest-error":  ({"error": -4095},              error(4095)),
    "value-and-error":    ({"value": 7, "error": -1},     EPERM),
    "a-positive-error":   ({"error": 5},                  returned(5)),
    "continue":           ({"flags": 1},                  returned(1)),
}
# fmt: on


@pytest.mark.requirement("seccomp.user-notif", "seccomp.notif-answer")
def test_answers(guest: Guest) -> None:
    """The call returns the answer's error if there is one, otherwise its value; CONTINUE runs the call."""
    pair = SupervisedPair(guest, policy(notify("getppid", "exit_group")))
    found: dict[str, tuple[object, object]] = {}
    for name, (answer, wanted) in ANSWERS.items():
        call, notif = pair.call_and_receive("getppid")
        assert pair.reply(notif, **answer) == OK
        expected = returned(pair.supervisor.pid) if name == "continue" else wanted
        found[name] = (call.outcome(), expected)
    assert mismatches(found) == []


# fmt: off
REFUSED: dict[str, tuple[dict[str, int], Expected]] = {
    "unknown-flag":          ({"flags": 2},                   EINVAL),
    "highest-flag":          ({"flags": 1 << 31},             EINVAL),
    "continue-and-more":     ({"flags": 3},                   EINVAL),
    "continue-with-a-value": ({"flags": 1, "value": 1},       EINVAL),
    "continue-with-an-error": ({"flags": 1, "error": -1},     EINVAL),
}
# fmt: on


@pytest.mark.requirement("seccomp.notif-answer-errors")
def test_wrong_answers(guest: Guest) -> None:
    """After a rejected answer, the call continues to wait, and a valid answer is accepted."""
    pair = SupervisedPair(guest, NOTIFY)
    call, notif = pair.call_and_receive("getppid")
    found: dict[str, tuple[object, object]] = {
        name: (pair.reply(notif, **answer), wanted) for name, (answer, wanted) in REFUSED.items()
    }
    found["unknown-id"] = (pair.supervisor.reply(pair.listener, notif.id + 1), ENOENT)
    found["bad-pointer"] = (pair.supervisor.call("ioctl", pair.listener, NOTIF_SEND, NOWHERE), EFAULT)
    assert mismatches(found) == []
    assert not call.finished()
    assert pair.reply(notif, value=5) == OK
    assert call.outcome() == returned(5)
    assert pair.reply(notif, value=6) == ENOENT


@pytest.mark.requirement("seccomp.notif-answer-errors")
def test_an_answer_before_reception(guest: Guest) -> None:
    """Answering a notification that has not been received fails with EINPROGRESS."""
    pair = SupervisedPair(guest, NOTIFY)
    first, notif = pair.call_and_receive("getppid")
    assert pair.reply(notif) == OK
    first.outcome()
    call = pair.target.begin("getppid")
    call.wait_until_blocked()
    # The ids of one listener count up.
    assert pair.supervisor.reply(pair.listener, notif.id + 1) == EINPROGRESS
    assert pair.supervisor.receive(pair.listener).id == notif.id + 1
    assert pair.supervisor.reply(pair.listener, notif.id + 1, value=9) == OK
    assert call.outcome() == returned(9)


@pytest.mark.requirement("seccomp.notif-one-answer")
def test_only_one_answer(guest: Guest) -> None:
    """A second answer is always too late: EINPROGRESS while the call is waking up, ENOENT after that."""
    pair = SupervisedPair(guest, NOTIFY)
    for _ in range(10):
        call, notif = pair.call_and_receive("getppid")
        assert pair.reply(notif, value=1) == OK
        second = pair.reply(notif, value=2)
        assert second in (EINPROGRESS, ENOENT)
        assert call.outcome() == returned(1)


@pytest.mark.requirement("seccomp.notif-one-answer", "seccomp.notif-id-valid", "seccomp.addfd-errors")
def test_between_the_answer_and_the_wakeup(guest: Guest) -> None:
    """An answered call that has not woken up keeps its answer: no second answer, ADDFD or close changes it.

    The supervisor has a higher priority than its target, which does not wake up until the supervisor waits for its
    next command.
    """
    pair = SupervisedPair(guest, NOTIFY)
    call, notif = pair.call_and_receive("getppid")
    id_, one, two = (struct.pack("<Q", notif.id), *(answer(notif.id, value) for value in (1, 2)))
    plan = Plan(pair.supervisor.slot)
    for request, argument in (
        (NOTIF_ID_VALID, id_),
        (NOTIF_SEND, one),
        (NOTIF_ID_VALID, id_),
        (NOTIF_SEND, two),
        (NOTIF_ADDFD, struct.pack("<QIIII", notif.id, 0, pair.listener, 0, 0)),
    ):
        plan.call("ioctl", pair.listener, request, argument)
    plan.call("close", pair.listener)
    outcome = start_realtime(pair.supervisor, plan).counts()
    assert outcome == [{name: 1} for name in ("OK", "OK", "ENOENT", "EINPROGRESS", "EINPROGRESS", "OK")]
    assert call.outcome() == returned(1)
    assert pair.target.call("getppid") == ENOSYS


def answer(id_: int, value: int) -> bytes:
    """struct seccomp_notif_resp."""
    return struct.pack("<QqiI", id_, value, 0, 0)


@pytest.mark.requirement("seccomp.notif-id-valid")
@pytest.mark.parametrize("request_", [0x40082102, NOTIF_ID_VALID_OLD], ids=["new-number", "old-number"])
def test_id_valid(guest: Guest, request_: int) -> None:
    """An id is valid from the reception of its notification to the answer."""
    pair = SupervisedPair(guest, NOTIFY)
    waiting = pair.target.begin("getppid")
    waiting.wait_until_blocked()
    notif = pair.supervisor.receive(pair.listener)
    found: dict[str, tuple[object, object]] = {
        "received": (pair.supervisor.still_waiting(pair.listener, notif.id, request_), OK),
        "another": (pair.supervisor.still_waiting(pair.listener, notif.id + 1, request_), ENOENT),
        "unreadable": (pair.supervisor.call("ioctl", pair.listener, request_, NOWHERE), EFAULT),
    }
    assert pair.reply(notif) == OK
    waiting.outcome()
    found["answered"] = (pair.supervisor.still_waiting(pair.listener, notif.id, request_), ENOENT)
    pair.target.begin("getppid").wait_until_blocked()
    found["not received yet"] = (pair.supervisor.still_waiting(pair.listener, notif.id + 1, request_), ENOENT)
    pair.supervisor.receive(pair.listener)
    found["received now"] = (pair.supervisor.still_waiting(pair.listener, notif.id + 1, request_), OK)
    pair.interrupt(Signal.KILL)
    pair.target.wait_death()
    found["its caller is dead"] = (pair.supervisor.still_waiting(pair.listener, notif.id + 1, request_), ENOENT)
    assert mismatches(found) == []


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


@pytest.mark.requirement("seccomp.notif-answer")
def test_a_continued_call_is_not_filtered_again(guest: Guest) -> None:
    """CONTINUE runs the call, although an older, less severe filter returns TRACE for it.

    There is no tracer, so TRACE alone would make the call fail with ENOSYS.
    """
    supervisor = guest.spawn("supervisor")
    target = unprivileged(guest, "target", parent=supervisor)
    target.install(policy(trace("getppid"))).result()
    assert target.call("getppid") == ENOSYS
    target_fd = target.listen(NOTIFY).result()
    listener = supervisor.pidfd_getfd(target, target_fd).result()
    call = target.begin("getppid")
    assert supervisor.let_continue(listener, supervisor.receive(listener).id) == OK
    assert call.outcome() == returned(supervisor.pid)


@pytest.mark.requirement("seccomp.notif-ids")
def test_ids_are_unpredictable(guest: Guest) -> None:
    """Each listener's ids begin at another number, and none occurs twice."""
    ids = []
    for _ in range(3):
        pair = SupervisedPair(guest, NOTIFY)
        for _ in range(3):
            call, notif = pair.call_and_receive("getppid")
            assert pair.reply(notif) == OK
            call.outcome()
            ids.append(notif.id)
    assert len(set(ids)) == 9
    assert max(ids) > 1 << 32
