# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_IOCTL_NOTIF_ADDFD fails: mistakes of the supervisor, limits of the target, a call that is over."""

from __future__ import annotations

import pytest

from guests.bpf import notify, policy
from guests.call_plan import Plan, give_realtime_priority, share_a_processor, start_realtime
from guests.errors import require
from guests.guest import Guest
from guests.outcome import (
    E2BIG,
    EBADF,
    EINPROGRESS,
    EINTR,
    EINVAL,
    EMFILE,
    ENOENT,
    Expected,
    killed,
    mismatches,
    returned,
)
from guests.syscalls.seccomp import NOTIF_ADDFD, AddFd, Poll
from guests.uapi import O_CLOEXEC, O_NONBLOCK, O_PATH, RLIMIT_NOFILE, Signal
from suites.seccomp.support.addfd_pair import CHOSEN, FREE, AddFdPair
from suites.seccomp.support.filtered_tasks import SupervisedPair, let_priorities_decide

pytestmark = pytest.mark.needs("SECCOMP_FILTER")


# fmt: off
MISTAKES: dict[str, tuple[dict[str, int | bytes], Expected]] = {
    "structure-too-short":        ({"size": 23},                        EINVAL),
    "structure-of-no-size":       ({"size": 0},                         EINVAL),
    "longer-and-not-zero":        ({"size": 32, "tail": b"\0" * 7 + b"\1"}, E2BIG),
    "unknown-flag":               ({"flags": 4},                        EINVAL),
    "highest-flag":               ({"flags": 1 << 31},                  EINVAL),
    "unknown-descriptor-flag":    ({"new_flags": O_NONBLOCK},           EINVAL),
    "another-descriptor-flag":    ({"new_flags": O_CLOEXEC | 1},        EINVAL),
    "a-number-without-setfd":     ({"number": CHOSEN},                  EINVAL),
    "minus-one-without-setfd":    ({"number": -1},                      EINVAL),
    "nothing-open":               ({"descriptor": 99},                  EBADF),
    "descriptor-minus-one":          ({"descriptor": -1},                  EBADF),
    "unknown-id":                 ({"id_": 0},                          ENOENT),
}
# fmt: on


LARGEST = 1 << 13
"""No size of an ioctl on powerpc is so large; elsewhere, it has a bit more."""


@pytest.mark.requirement("seccomp.addfd-errors")
def test_mistakes(guest: Guest) -> None:
    """Each mistake is rejected without effect on the target's table; a longer structure ending in zeros is valid."""
    pair = AddFdPair(guest)
    found: dict[str, tuple[object, object]] = {
        name: (pair.add(**how), wanted) for name, (how, wanted) in MISTAKES.items()
    }
    if (page := guest.hello.page_size) < LARGEST:
        found["structure-of-a-page"] = (pair.add(size=page, tail=bytes(page - 24)), EINVAL)
    for bit in (32, 63):
        found[f"id that differs in bit {bit}"] = (pair.add(id_=pair.notif.id ^ 1 << bit), ENOENT)
    path = pair.supervisor.open("/tmp", O_PATH).result()  # noqa: S108
    found["a-path-that-is-not-open"] = (pair.add(descriptor=path), EBADF)
    found["longer, with zeros"] = (pair.add(size=32, tail=bytes(8)), returned(FREE))
    assert mismatches(found) == []
    pair.check_finish()
    pair.check_has(FREE)
    pair.check_has_nothing(FREE + 1, CHOSEN)


@pytest.mark.requirement("seccomp.addfd-no-number")
def test_minus_one_is_not_a_number(guest: Guest) -> None:
    """-1 is not a valid number, not even with SETFD, where it once stood for the lowest free one."""
    pair = AddFdPair(guest)
    assert pair.add(number=-1, flags=AddFd.SETFD) == EBADF
    assert pair.add(number=CHOSEN, flags=AddFd.SETFD) == returned(CHOSEN)


@pytest.mark.requirement("seccomp.addfd-errors")
def test_only_between_reception_and_answer(guest: Guest) -> None:
    """ADDFD works between reception and answer: EINPROGRESS before, ENOENT after."""
    pair = AddFdPair(guest)
    pair.check_finish()
    assert pair.add() == ENOENT
    pair.target.begin("getppid").wait_until_blocked()
    pair.check_too_early(pair.add(id_=pair.notif.id + 1), pair.notif)
    pair.receive_successor(pair.notif)
    assert pair.add(id_=pair.notif.id + 1) == returned(FREE)


@pytest.mark.requirement("seccomp.addfd-full")
def test_descriptor_limit(guest: Guest) -> None:
    """The target's limit applies: EMFILE, or EBADF for a chosen number beyond it; the call continues to wait."""
    pair = AddFdPair(guest, waiting=False)
    pair.limit_numbers(FREE)
    pair.wait()
    assert pair.add() == EMFILE
    for number in (FREE, CHOSEN):
        assert pair.add(number=number, flags=AddFd.SETFD) == EBADF
    assert pair.add(number=2, flags=AddFd.SETFD) == returned(2)
    pair.check_finish()
    pair.check_has_nothing(FREE)
    pair.limit_numbers(FREE + 1)
    pair.wait()
    assert pair.add(number=FREE, flags=AddFd.SETFD) == returned(FREE)
    pair.check_finish()


# fmt: off
FAILURES: dict[str, tuple[dict[str, int], Expected]] = {
    "unknown-id":            ({"id_": 0},                             ENOENT),
    "number-without-setfd":  ({"number": CHOSEN},                     EINVAL),
    "no-room":               ({},                                     EMFILE),
    "beyond-the-limit":      ({"number": FREE, "flags": AddFd.SETFD}, EBADF),
}
# fmt: on


@pytest.mark.requirement("seccomp.addfd")
def test_a_file_that_is_not_added(guest: Guest) -> None:
    """An ADDFD that fails keeps no reference to the file: a pipe is at its end when the supervisor has closed it."""
    pair = AddFdPair(guest, waiting=False)
    pair.limit_numbers(FREE)
    found: dict[str, tuple[object, object]] = {}

    def attempt(name: str, wanted: Expected, **how: int) -> None:
        reading, writing = pair.supervisor.pipe()
        pair.add(descriptor=writing, **how).require(wanted)
        require(pair.supervisor.poll(reading) == 0, "the pipe is at its end before its write end is closed")
        pair.supervisor.close(writing).result()
        found[name] = (pair.supervisor.poll(reading), Poll.HUP)
        pair.supervisor.close(reading).result()

    pair.wait()
    for name, (how, wanted) in FAILURES.items():
        attempt(name, wanted, **how)
    pair.check_finish()
    attempt("answered", ENOENT)
    pair.target.begin("getppid").wait_until_blocked()
    attempt("not received", EINPROGRESS, id_=pair.notif.id + 1)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.addfd-gone")
def test_the_caller_is_killed(guest: Guest) -> None:
    """ADDFD for a caller that was killed fails with ENOENT."""
    pair = AddFdPair(guest)
    pair.interrupt(Signal.KILL)
    pair.call.outcome().require(killed(Signal.KILL))
    assert pair.add() == ENOENT


@pytest.mark.requirement("seccomp.addfd-gone")
def test_the_caller_is_interrupted(guest: Guest) -> None:
    """ADDFD for a caller that a signal has interrupted fails with ENOENT."""
    pair = AddFdPair(guest, waiting=False)
    pair.target.catch(Signal.USR1).result()
    pair.wait()
    pair.interrupt(Signal.USR1)
    pair.call.outcome().require(EINTR)
    assert pair.add() == ENOENT


@pytest.mark.requirement("seccomp.addfd-gone")
def test_the_caller_is_being_interrupted(guest: Guest) -> None:
    """ADDFD returns for a caller that a signal has woken, and that then waits for the listener's lock.

    Another thread holds the lock while ADDFD begins, as in `test_an_answer_right_behind_a_signal`: ESRCH.  If the
    caller is first, that is ENOENT; and where no thread sleeps with the lock, because the kernel cannot be preempted,
    the caller takes the file before its call ends.
    """
    let_priorities_decide(guest)
    pair = SupervisedPair(guest, policy(notify("getppid", "getegid")))
    pair.supervisor.catch(Signal.USR2).result()
    adding = pair.target.thread("adding")
    pair.target.catch(Signal.USR1).result()
    pair.target.call("setrlimit", RLIMIT_NOFILE, pair.target.abi.words(4096, 4096)).result()
    call, interrupted = pair.call_and_receive("getppid")
    call.wait_until_blocked()
    other = adding.begin("getegid")
    waiting = pair.receive()
    other.wait_until_blocked()
    plan = Plan(pair.supervisor.slot)
    plan.call("tgkill", pair.target.pid, pair.target.tid, Signal.USR1)
    for notif, number in ((waiting, 4000), (interrupted, 4001)):
        request = pair.supervisor.abi.pack("QIIII", notif.id, AddFd.SETFD, pair.listener, number, 0)
        plan.call("ioctl", pair.listener, NOTIF_ADDFD, request)
    share_a_processor(pair.supervisor, pair.target, adding)
    give_realtime_priority(adding, 5)
    supervising = start_realtime(pair.supervisor, plan, priority=10)
    assert call.outcome() == EINTR
    # An ADDFD that has not returned by now would wait forever.
    guest.init.kill(pair.supervisor, Signal.USR2).result()
    *before, late = supervising.counts()
    require(before == [{"OK": 1}] * 2, "the signal was not sent, or no file added to the other thread")
    assert late in ({"ESRCH": 1}, {"ENOENT": 1}, {"OK": 1})
