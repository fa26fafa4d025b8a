# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_RET_USER_NOTIF: a target's call, what its supervisor learns about it, and how it can answer."""

from __future__ import annotations

import struct

import pytest

from guests.bpf import AUDIT_ARCH, notify, policy, trace
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
from guests.plan import Plan, urgently
from guests.syscalls.seccomp import (
    NOTIF_ADDFD,
    NOTIF_ID_VALID,
    NOTIF_ID_VALID_OLD,
    NOTIF_SEND,
    NOTIF_SIZE,
    Poll,
)
from guests.uapi import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, Cap, Clone, Signal, number
from suites.seccomp.support.roles import GETPPID, Supervised, mismatches, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

ASK = policy(notify("getppid"))
NOWHERE = 0x1000


# What the supervisor learns


@pytest.mark.requirement("seccomp.notif-data")
def test_what_is_told(guest: Guest) -> None:
    """A notification has what a filter sees, and the caller's pid; its flags are 0."""
    here = Supervised(guest, ASK)
    call, asked = here.ask("getppid", 1, 2, 3, 4, 5, 1 << 63)
    assert (asked.nr, asked.arch, asked.pid, asked.flags) == (GETPPID, AUDIT_ARCH["x86_64"], here.target.pid, 0)
    assert asked.args == (1, 2, 3, 4, 5, 1 << 63)
    call.wait_until_blocked()  # the target wakes the supervisor before it sleeps
    assert guest.read_file(f"/proc/{here.target.pid}/syscall").split()[-1] == f"{asked.instruction_pointer:#x}"
    here.reply(asked).result()
    assert call.outcome() == returned(0)


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.notif-data")
def test_what_is_told_of_int80(guest: Guest) -> None:
    """A notification of an int 0x80 call has i386's number and architecture; the answer is the call's result."""
    here = Supervised(guest, policy(notify("getppid"), arch="i386"))
    call = here.target.begin(number("getppid", "i386"), 1, 2, 3, 4, 5, 6, entry=1)  # type: ignore[arg-type]
    asked = here.supervisor.receive(here.listener)
    assert (asked.nr, asked.arch) == (number("getppid", "i386"), AUDIT_ARCH["i386"])
    assert asked.args == (1, 2, 3, 4, 5, 6)
    assert here.reply(asked, error=-13) == OK
    assert call.outcome() == error(13)


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("seccomp.notif-pid")
def test_the_pid_is_the_readers(guest: Guest) -> None:
    """A reader in the namespace above gets the target's pid there; one that cannot see the target gets 0."""
    outer = guest.spawn("outer", caps=Cap.SYS_ADMIN, quiet=True)
    listener = outer.listen(ASK).result()
    inner = outer.spawn("inner", flags=Clone.NEWPID)
    assert inner.own_tid == 1

    below = inner.begin("getppid")
    asked = outer.receive(listener)
    assert asked.pid == inner.tid
    outer.reply(listener, asked.id).result()
    assert below.outcome() == OK

    above = outer.begin("getppid")
    asked = inner.receive(listener)
    assert asked.pid == 0
    inner.reply(listener, asked.id, value=3).result()
    assert above.outcome() == returned(3)


@pytest.mark.requirement("seccomp.notif-pid")
def test_the_pid_is_the_threads(guest: Guest) -> None:
    """A notification has the id of the thread that made the call."""
    here = Supervised(guest, ASK)
    thread = here.target.thread("thread")
    thread.begin("getppid")
    assert here.supervisor.receive(here.listener).pid == thread.tid != here.target.pid


@pytest.mark.requirement("seccomp.notif-order")
def test_first_come_first_served(guest: Guest) -> None:
    """Notifications are received in the order of the calls, each once, and can be answered in any order."""
    here = Supervised(guest, ASK)
    callers = [here.target.spawn(f"caller-{i}") for i in range(4)]
    calls = []
    for caller in callers:
        calls.append(caller.begin("getppid"))
        calls[-1].wait_until_blocked()
    asked = [here.supervisor.receive(here.listener) for _ in callers]
    assert [one.pid for one in asked] == [caller.pid for caller in callers]
    assert len({one.id for one in asked}) == 4
    for i in (2, 0, 3, 1):
        here.reply(asked[i], value=100 + i).result()
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
    here = Supervised(guest, policy(notify("getppid", "exit_group")))
    found: dict[str, tuple[object, object]] = {}
    for name, (answer, wanted) in ANSWERS.items():
        call, asked = here.ask("getppid")
        here.reply(asked, **answer).result()
        expected = returned(here.supervisor.pid) if name == "continue" else wanted
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
    here = Supervised(guest, ASK)
    call, asked = here.ask("getppid")
    found: dict[str, tuple[object, object]] = {
        name: (here.reply(asked, **answer), wanted) for name, (answer, wanted) in REFUSED.items()
    }
    found["unknown-id"] = (here.supervisor.reply(here.listener, asked.id + 1), ENOENT)
    found["bad-pointer"] = (here.supervisor.call("ioctl", here.listener, NOTIF_SEND, NOWHERE), EFAULT)
    assert mismatches(found) == []
    assert not call.finished()
    assert here.reply(asked, value=5) == OK
    assert call.outcome() == returned(5)
    assert here.reply(asked, value=6) == ENOENT


@pytest.mark.requirement("seccomp.notif-answer-errors")
def test_an_answer_before_the_question(guest: Guest) -> None:
    """Answering a notification that has not been received fails with EINPROGRESS."""
    here = Supervised(guest, ASK)
    first, asked = here.ask("getppid")
    here.reply(asked).result()
    first.outcome()
    call = here.target.begin("getppid")
    call.wait_until_blocked()
    # The ids of one listener count up.
    assert here.supervisor.reply(here.listener, asked.id + 1) == EINPROGRESS
    assert here.supervisor.receive(here.listener).id == asked.id + 1
    assert here.supervisor.reply(here.listener, asked.id + 1, value=9) == OK
    assert call.outcome() == returned(9)


@pytest.mark.requirement("seccomp.notif-one-answer")
def test_one_answer_and_no_more(guest: Guest) -> None:
    """A second answer is always too late: EINPROGRESS while the call is waking up, ENOENT after that."""
    here = Supervised(guest, ASK)
    for _ in range(10):
        call, asked = here.ask("getppid")
        assert here.reply(asked, value=1) == OK
        second = here.reply(asked, value=2)
        assert second in (EINPROGRESS, ENOENT)
        assert call.outcome() == returned(1)


@pytest.mark.requirement("seccomp.notif-one-answer", "seccomp.notif-id-valid", "seccomp.addfd-errors")
def test_between_the_answer_and_the_waking(guest: Guest) -> None:
    """An answered call that has not woken up keeps its answer: no second answer, ADDFD or close changes it.

    The supervisor has a higher priority than its target, which does not wake up until the supervisor waits for its
    next command.
    """
    here = Supervised(guest, ASK)
    call, asked = here.ask("getppid")
    id_, one, two = (struct.pack("<Q", asked.id), *(answer(asked.id, value) for value in (1, 2)))
    plan = Plan(here.supervisor.slot)
    for request, argument in (
        (NOTIF_ID_VALID, id_),
        (NOTIF_SEND, one),
        (NOTIF_ID_VALID, id_),
        (NOTIF_SEND, two),
        (NOTIF_ADDFD, struct.pack("<QIIII", asked.id, 0, here.listener, 0, 0)),
    ):
        plan.call("ioctl", here.listener, request, argument)
    plan.call("close", here.listener)
    came = urgently(here.supervisor, plan).counts()
    assert came == [{name: 1} for name in ("OK", "OK", "ENOENT", "EINPROGRESS", "EINPROGRESS", "OK")]
    assert call.outcome() == returned(1)
    assert here.target.call("getppid") == ENOSYS


def answer(id_: int, value: int) -> bytes:
    """struct seccomp_notif_resp."""
    return struct.pack("<QqiI", id_, value, 0, 0)


@pytest.mark.requirement("seccomp.notif-id-valid")
@pytest.mark.parametrize("request_", [0x40082102, NOTIF_ID_VALID_OLD], ids=["new-number", "old-number"])
def test_id_valid(guest: Guest, request_: int) -> None:
    """An id is valid from the reception of its notification to the answer."""
    here = Supervised(guest, ASK)
    waiting = here.target.begin("getppid")
    waiting.wait_until_blocked()
    asked = here.supervisor.receive(here.listener)
    found: dict[str, tuple[object, object]] = {
        "received": (here.supervisor.still_waiting(here.listener, asked.id, request_), OK),
        "another": (here.supervisor.still_waiting(here.listener, asked.id + 1, request_), ENOENT),
        "unreadable": (here.supervisor.call("ioctl", here.listener, request_, NOWHERE), EFAULT),
    }
    here.reply(asked).result()
    waiting.outcome()
    found["answered"] = (here.supervisor.still_waiting(here.listener, asked.id, request_), ENOENT)
    here.target.begin("getppid").wait_until_blocked()
    found["not received yet"] = (here.supervisor.still_waiting(here.listener, asked.id + 1, request_), ENOENT)
    here.supervisor.receive(here.listener)
    found["received now"] = (here.supervisor.still_waiting(here.listener, asked.id + 1, request_), OK)
    here.interrupt(Signal.KILL)
    here.target.wait_death()
    found["its caller is dead"] = (here.supervisor.still_waiting(here.listener, asked.id + 1, request_), ENOENT)
    assert mismatches(found) == []


# Receiving


@pytest.mark.requirement("seccomp.notif-recv-errors")
def test_receiving_into_what_is_not_zero(guest: Guest) -> None:
    """Every byte of the buffer must be 0, for future extensions; no notification is lost by the error."""
    here = Supervised(guest, ASK)
    here.target.begin("getppid").wait_until_blocked()
    found: dict[str, tuple[object, object]] = {}
    for at in (0, 8, 12, 16, 63, 79):
        dirty = bytearray(NOTIF_SIZE)
        dirty[at] = 1
        found[f"byte {at}"] = (here.supervisor.receive_into(here.listener, bytes(dirty)), EINVAL)
    assert mismatches(found) == []
    assert here.supervisor.receive(here.listener).pid == here.target.pid


@pytest.mark.requirement("seccomp.notif-recv-fault")
def test_receiving_into_what_cannot_be_written(guest: Guest) -> None:
    """After EFAULT, the same notification can be received again."""
    here = Supervised(guest, ASK)
    call = here.target.begin("getppid")
    call.wait_until_blocked()
    zeros = here.supervisor.call("mmap", None, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0).result()
    assert here.supervisor.receive_into(here.listener, NOWHERE) == EFAULT
    assert here.supervisor.receive_into(here.listener, zeros) == EFAULT
    assert here.supervisor.receive_into(here.listener, zeros) == EFAULT
    assert here.supervisor.ready_for(here.listener) == Poll.IN
    asked = here.supervisor.receive(here.listener)
    assert here.reply(asked, value=8) == OK
    assert call.outcome() == returned(8)


@pytest.mark.requirement("seccomp.notif-kill")
def test_a_caller_is_killed(guest: Guest) -> None:
    """A killed caller's notification is void: answering it fails with ENOENT, and it can no longer be received."""
    here = Supervised(guest, ASK)
    other = here.target.spawn("other")
    call, asked = here.ask("getppid")
    unreceived = other.begin("getppid")
    unreceived.wait_until_blocked()
    assert here.ready() == Poll.IN | Poll.OUT
    guest.init.kill(other, Signal.KILL).result()
    assert unreceived.outcome() == killed(Signal.KILL)
    assert here.ready() == Poll.OUT
    here.interrupt(Signal.KILL)
    assert call.outcome() == killed(Signal.KILL)
    assert here.reply(asked) == ENOENT


@pytest.mark.requirement("seccomp.notif-answer")
def test_a_continued_call_is_not_judged_again(guest: Guest) -> None:
    """CONTINUE runs the call, although an older, less severe filter returns TRACE for it.

    There is no tracer, so TRACE alone would make the call fail with ENOSYS.
    """
    supervisor = guest.spawn("supervisor")
    target = unprivileged(guest, "target", parent=supervisor)
    target.install(policy(trace("getppid"))).result()
    assert target.call("getppid") == ENOSYS
    there = target.listen(ASK).result()
    listener = supervisor.pidfd_getfd(target, there).result()
    call = target.begin("getppid")
    supervisor.let_continue(listener, supervisor.receive(listener).id).result()
    assert call.outcome() == returned(supervisor.pid)


@pytest.mark.requirement("seccomp.notif-ids")
def test_ids_are_not_guessed(guest: Guest) -> None:
    """Each listener's ids begin at another number, and none occurs twice."""
    ids = []
    for _ in range(3):
        here = Supervised(guest, ASK)
        for _ in range(3):
            call, asked = here.ask("getppid")
            here.reply(asked).result()
            call.outcome()
            ids.append(asked.id)
    assert len(set(ids)) == 9
    assert max(ids) > 1 << 32
