# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_RET_USER_NOTIF: how a supervisor can answer a call, and how long its notification is valid."""

from __future__ import annotations

import errno

import pytest

from guests.bpf import notify, policy, trace
from guests.call_plan import Plan, share_a_processor, start_realtime
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
    mismatches,
    returned,
)
from guests.promises import breaks
from guests.syscalls.seccomp import (
    NOTIF_ADDFD,
    NOTIF_ID_VALID,
    NOTIF_ID_VALID_OLD,
    NOTIF_SEND,
    USER_NOTIF_FLAG_CONTINUE,
    Notification,
    Poll,
    addfd_request,
    response,
)
from guests.uapi import Signal
from suites.seccomp.support.filtered_tasks import SupervisedPair, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

NOTIFY = policy(notify("getppid"))
NOWHERE = 0x1000
CONTINUE = USER_NOTIF_FLAG_CONTINUE

# fmt: off
ANSWERS: dict[str, tuple[dict[str, int], Expected]] = {
    "nothing":            ({},                            returned(0)),
    "a-value":            ({"value": 4711},               returned(4711)),
    "a-value-that-is-an-errno": ({"value": -errno.EINVAL}, EINVAL),
    "an-error":           ({"error": -errno.EPERM},       EPERM),
    "the-largest-error":  ({"error": -4095},              error(4095)),
    "value-and-error":    ({"value": 7, "error": -errno.EPERM}, EPERM),
}
# fmt: on


@pytest.mark.requirement("seccomp.notif-answer", "seccomp.user-notif-continue")
def test_answers(guest: Guest) -> None:
    """A notified call returns the answer's error if there is one, otherwise its value; CONTINUE runs the call."""
    pair = SupervisedPair(guest, NOTIFY)
    found: dict[str, tuple[object, object]] = {}
    # The kernel takes it for a result, unless a bit of its own says that the result is an error.
    positive = error(5) if pair.target.abi.error_bit else returned(5)
    answers = {**ANSWERS, "a-positive-error": ({"error": 5}, positive)}
    for name, (answer, wanted) in answers.items():
        call, notif = pair.call_and_receive("getppid")
        found[f"{name}, the answer"] = (pair.reply(notif, **answer), OK)
        found[name] = (call.outcome(), wanted)
    with breaks("seccomp.notif-answer"):
        assert mismatches(found) == []
    call, notif = pair.call_and_receive("getppid")
    with breaks("seccomp.user-notif-continue"):
        assert pair.reply(notif, flags=CONTINUE) == OK
        assert call.outcome() == returned(pair.supervisor.pid)


@pytest.mark.needs("64BIT")
@pytest.mark.requirement("seccomp.notif-answer")
def test_a_large_value(guest: Guest) -> None:
    """All bits of the answer's value are the result."""
    pair = SupervisedPair(guest, NOTIFY)
    call, notif = pair.call_and_receive("getppid")
    assert pair.reply(notif, value=1 << 40) == OK
    assert call.outcome() == returned(1 << 40)


# fmt: off
REFUSED: dict[str, tuple[dict[str, int], Expected]] = {
    "unknown-flag":          ({"flags": 2},                   EINVAL),
    "highest-flag":          ({"flags": 1 << 31},             EINVAL),
    "continue-and-more":     ({"flags": CONTINUE | 2},        EINVAL),
    "continue-with-a-value": ({"flags": CONTINUE, "value": 1}, EINVAL),
    "continue-with-an-error": ({"flags": CONTINUE, "error": -errno.EPERM}, EINVAL),
}
# fmt: on


def unknown_ids(notif: Notification) -> dict[str, int]:
    """Ids that resemble that of the only notification."""
    return {"next id": notif.id + 1, "bit 32 differs": notif.id ^ 1 << 32, "bit 63 differs": notif.id ^ 1 << 63}


@pytest.mark.requirement("seccomp.notif-answer-errors")
def test_wrong_answers(guest: Guest) -> None:
    """After a rejected answer, a notified call continues to wait, and a valid answer is accepted."""
    pair = SupervisedPair(guest, NOTIFY)
    call, notif = pair.call_and_receive("getppid")
    found: dict[str, tuple[object, object]] = {
        name: (pair.reply(notif, **answer), wanted) for name, (answer, wanted) in REFUSED.items()
    }
    for name, id_ in unknown_ids(notif).items():
        found[name] = (pair.supervisor.reply(pair.listener, id_), ENOENT)
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
    first, former = pair.call_and_receive("getppid")
    pair.reply(former).result()
    first.outcome().require(OK)
    call = pair.target.begin("getppid")
    call.wait_until_blocked()
    pair.check_too_early(pair.supervisor.reply(pair.listener, former.id + 1), former)
    assert pair.reply(pair.receive(), value=9) == OK
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
    abi = pair.supervisor.abi
    id_, one, two = abi.pack("Q", notif.id), *(response(abi, notif.id, value=value) for value in (1, 2))
    plan = Plan(pair.supervisor.slot)
    for request, argument in (
        (NOTIF_ID_VALID, id_),
        (NOTIF_SEND, one),
        (NOTIF_ID_VALID, id_),
        (NOTIF_SEND, two),
        (NOTIF_ADDFD, addfd_request(abi, notif.id, pair.listener)),
    ):
        plan.call("ioctl", pair.listener, request, argument)
    plan.call("close", pair.listener)
    share_a_processor(pair.supervisor, pair.target)
    outcome = start_realtime(pair.supervisor, plan).counts()
    assert outcome == [{name: 1} for name in ("OK", "OK", "ENOENT", "EINPROGRESS", "EINPROGRESS", "OK")]
    assert call.outcome() == returned(1)
    assert pair.target.call("getppid") == ENOSYS


@pytest.mark.requirement("seccomp.notif-poll")
def test_poll_between_the_answer_and_the_wakeup(guest: Guest) -> None:
    """A listener no longer polls writable when the call has been answered, although it has not woken up."""
    pair = SupervisedPair(guest, NOTIFY)
    supervisor, abi = pair.supervisor, pair.supervisor.abi
    call, notif = pair.call_and_receive("getppid")
    before, after = (supervisor.store(abi.pack("iHH", pair.listener, Poll.OUT, 0)) for _ in range(2))
    plan = Plan(supervisor.slot)
    plan.call("ppoll", before, 1, abi.pack("qq", 0, 0), 0, 0)
    plan.call("ioctl", pair.listener, NOTIF_SEND, response(abi, notif.id, value=1))
    plan.call("ppoll", after, 1, abi.pack("qq", 0, 0), 0, 0)
    share_a_processor(supervisor, pair.target)
    assert start_realtime(supervisor, plan).counts() == [{"OK": 1}] * 3
    assert call.outcome() == returned(1)
    assert [abi.unpack("iHH", supervisor.load(pollfd, 8))[2] for pollfd in (before, after)] == [Poll.OUT, 0]


@pytest.mark.requirement("seccomp.notif-id-valid")
@pytest.mark.parametrize("request_", [NOTIF_ID_VALID, NOTIF_ID_VALID_OLD], ids=["new-number", "old-number"])
def test_id_valid(guest: Guest, request_: int) -> None:
    """An id is valid from the reception of its notification to the answer."""
    pair = SupervisedPair(guest, NOTIFY)
    waiting = pair.target.begin("getppid")
    waiting.wait_until_blocked()
    notif = pair.supervisor.receive(pair.listener)
    found: dict[str, tuple[object, object]] = {
        "received": (pair.supervisor.still_waiting(pair.listener, notif.id, request_), OK),
        "unreadable": (pair.supervisor.call("ioctl", pair.listener, request_, NOWHERE), EFAULT),
    }
    for name, id_ in unknown_ids(notif).items():
        found[name] = (pair.supervisor.still_waiting(pair.listener, id_, request_), ENOENT)
    pair.reply(notif).result()
    waiting.outcome().require(OK)
    found["answered"] = (pair.supervisor.still_waiting(pair.listener, notif.id, request_), ENOENT)
    pair.target.begin("getppid").wait_until_blocked()
    found["not received yet"] = (pair.supervisor.still_waiting(pair.listener, notif.id + 1, request_), ENOENT)
    pair.receive_successor(notif)
    found["received now"] = (pair.supervisor.still_waiting(pair.listener, notif.id + 1, request_), OK)
    pair.interrupt(Signal.KILL)
    pair.target.wait_death()
    found["its caller is dead"] = (pair.supervisor.still_waiting(pair.listener, notif.id + 1, request_), ENOENT)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.notif-answer")
def test_a_continued_call_is_not_filtered_again(guest: Guest) -> None:
    """CONTINUE runs the call, although an older, less severe filter returns TRACE for it.

    There is no tracer, so TRACE alone would make the call fail with ENOSYS.
    """
    supervisor = guest.spawn("supervisor")
    target = unprivileged(guest, "target", parent=supervisor)
    target.install(policy(trace("getppid"))).result()
    target.call("getppid").require(ENOSYS)
    target_fd = target.listen(NOTIFY).result()
    listener = supervisor.pidfd_getfd(target, target_fd).result()
    call = target.begin("getppid")
    assert supervisor.let_continue(listener, supervisor.receive(listener).id) == OK
    assert call.outcome() == returned(supervisor.pid)
