# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_IOCTL_NOTIF_ADDFD: a supervisor installs a file of its own in its target's descriptor table."""

from __future__ import annotations

import struct

import pytest

from guests.bpf import notify, policy
from guests.call_plan import Plan, start_realtime
from guests.guest import Guest
from guests.outcome import (
    E2BIG,
    EBADF,
    EINPROGRESS,
    EINVAL,
    EMFILE,
    ENOENT,
    OK,
    Expected,
    Outcome,
    killed,
    returned,
)
from guests.syscalls.base import Pending
from guests.syscalls.seccomp import NOTIF_ADDFD, AddFd, FilterFlag, Notification, Poll
from guests.uapi import O_CLOEXEC, O_NONBLOCK, O_PATH, O_RDWR, RLIMIT_NOFILE, Signal
from suites.seccomp.support.filtered_tasks import SupervisedPair, mismatches

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

NOTIFY = policy(notify("getppid"))
F_GETFD, F_GETFL = 1, 3
FREE, CHOSEN = 3, 50
"""The lowest free number in a target, and another free one."""
SECRET = b"what the supervisor has opened"


class AddFdPair(SupervisedPair):
    """A supervisor that has opened a file, and a target whose call waits for its reply."""

    def __init__(self, guest: Guest, flags: FilterFlag = FilterFlag.NONE) -> None:
        super().__init__(guest, NOTIFY, flags)
        guest.write_file("/tmp/secret", SECRET, create=True).result()  # noqa: S108
        self.file = self.supervisor.open("/tmp/secret").result()  # noqa: S108
        self.call: Pending
        self.notif: Notification
        self.call, self.notif = self.call_and_receive("getppid")

    def begin_add(self, **how: int | bytes) -> Pending:
        options: dict[str, int | bytes] = {"id_": self.notif.id, "descriptor": self.file, **how}
        return self.supervisor.begin_add_fd(self.listener, **options)  # type: ignore[arg-type]

    def add(self, **how: int | bytes) -> Outcome:
        return self.begin_add(**how).outcome()

    def check_finish(self) -> None:
        assert self.reply(self.notif, value=77) == OK
        assert self.call.outcome() == returned(77)

    def has(self, number: int) -> bool:
        """Whether the target can read the supervisor's file at this number; its call must be over."""
        self.supervisor.call("lseek", self.file, 0, 0).result()
        found = self.target.read(number, len(SECRET))
        return not found.errno and found.read() == SECRET


@pytest.mark.requirement("seccomp.addfd")
def test_the_lowest_free_number(guest: Guest) -> None:
    """The descriptor gets the lowest free number in the target, which ADDFD returns to the supervisor."""
    pair = AddFdPair(guest)
    assert pair.add() == returned(FREE)
    assert pair.add() == returned(FREE + 1)
    assert not pair.call.finished()
    pair.check_finish()
    assert pair.has(FREE)
    assert pair.has(FREE + 1)
    assert not pair.has(FREE + 2)


@pytest.mark.requirement("seccomp.addfd")
def test_a_chosen_number(guest: Guest) -> None:
    """With SETFD, the descriptor gets the chosen number, including 0, and no other."""
    pair = AddFdPair(guest)
    assert pair.add(number=CHOSEN, flags=AddFd.SETFD) == returned(CHOSEN)
    # 0 can be chosen too.
    assert pair.add(number=0, flags=AddFd.SETFD) == returned(0)
    pair.check_finish()
    assert pair.has(CHOSEN)
    assert pair.has(0)
    assert not pair.has(FREE)


@pytest.mark.requirement("seccomp.addfd")
def test_the_previous_file_is_closed(guest: Guest) -> None:
    """SETFD closes what was open at the number: a reader of a pipe whose only write end is replaced sees EOF."""
    pair = AddFdPair(guest)
    pair.check_finish()
    reading, writing = pair.target.pipe()
    pair.call, pair.notif = pair.call_and_receive("getppid")
    assert pair.add(number=writing, flags=AddFd.SETFD) == returned(writing)
    pair.check_finish()
    assert pair.target.read(reading) == returned(0)
    assert pair.has(writing)


@pytest.mark.requirement("seccomp.addfd")
@pytest.mark.parametrize(("flags", "wanted"), [(0, 0), (O_CLOEXEC, 1)], ids=["open-after-exec", "closed-on-exec"])
def test_close_on_exec(guest: Guest, flags: int, wanted: int) -> None:
    """O_CLOEXEC applies to the new descriptor, not to the file."""
    pair = AddFdPair(guest)
    assert pair.add(new_flags=flags) == returned(FREE)
    assert pair.add(number=CHOSEN, flags=AddFd.SETFD, new_flags=flags) == returned(CHOSEN)
    pair.check_finish()
    assert pair.target.call("fcntl", FREE, F_GETFD) == returned(wanted)
    assert pair.target.call("fcntl", CHOSEN, F_GETFD) == returned(wanted)


@pytest.mark.requirement("seccomp.addfd")
def test_it_is_the_same_open_file(guest: Guest) -> None:
    """The new descriptor shares the file's position and mode, as with dup()."""
    pair = AddFdPair(guest)
    assert pair.add() == returned(FREE)
    pair.check_finish()
    pair.supervisor.call("lseek", pair.file, 5, 0).result()
    assert pair.target.call("lseek", FREE, 0, 1) == returned(5)
    assert pair.target.call("fcntl", FREE, F_GETFL).result() & O_RDWR == 0
    assert pair.target.write(FREE, b"no") == EBADF


@pytest.mark.requirement("seccomp.addfd")
def test_no_reference_remains(guest: Guest) -> None:
    """Only supervisor and target hold the file: a pipe is at its end when both have closed their descriptors."""
    pair = AddFdPair(guest)
    reading, writing = pair.supervisor.pipe()
    assert pair.add(descriptor=writing) == returned(FREE)
    pair.check_finish()
    pair.supervisor.close(writing).result()
    assert pair.supervisor.poll(reading) == 0
    pair.target.close(FREE).result()
    assert pair.supervisor.poll(reading) == Poll.HUP
    assert pair.supervisor.read(reading) == returned(0)


# Mistakes

# fmt: off
MISTAKES: dict[str, tuple[dict[str, int | bytes], Expected]] = {
    "structure-too-short":        ({"size": 23},                        EINVAL),
    "structure-of-no-size":       ({"size": 0},                         EINVAL),
    "structure-of-a-page":        ({"size": 4096, "tail": b"\0" * 4072}, EINVAL),
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


@pytest.mark.requirement("seccomp.addfd-errors")
def test_mistakes(guest: Guest) -> None:
    """Each mistake is rejected without effect on the target's table; a longer structure ending in zeros is valid."""
    pair = AddFdPair(guest)
    found: dict[str, tuple[object, object]] = {
        name: (pair.add(**how), wanted) for name, (how, wanted) in MISTAKES.items()
    }
    path = pair.supervisor.open("/tmp", O_PATH).result()  # noqa: S108
    found["a-path-that-is-not-open"] = (pair.add(descriptor=path), EBADF)
    found["longer, with zeros"] = (pair.add(size=32, tail=bytes(8)), returned(FREE))
    assert mismatches(found) == []
    pair.check_finish()
    assert not pair.has(FREE + 1)


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
    assert pair.add(id_=pair.notif.id + 1) == EINPROGRESS
    assert pair.receive().id == pair.notif.id + 1
    assert pair.add(id_=pair.notif.id + 1) == returned(FREE)


@pytest.mark.requirement("seccomp.addfd-full")
def test_descriptor_limit(guest: Guest) -> None:
    """The target's limit applies: EMFILE, or EBADF for a chosen number beyond it; the call continues to wait."""
    pair = AddFdPair(guest)
    pair.check_finish()
    pair.target.call("prlimit64", 0, RLIMIT_NOFILE, struct.pack("<QQ", FREE, FREE), None).result()
    pair.call, pair.notif = pair.call_and_receive("getppid")
    assert pair.add() == EMFILE
    assert pair.add(number=CHOSEN, flags=AddFd.SETFD) == EBADF
    assert pair.add(number=2, flags=AddFd.SETFD) == returned(2)
    pair.check_finish()


# SEND: the number is the answer


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send(guest: Guest) -> None:
    """With SEND, the call returns the new descriptor, and needs no other answer."""
    pair = AddFdPair(guest)
    assert pair.add(flags=AddFd.SEND) == returned(FREE)
    assert pair.call.outcome() == returned(FREE)
    assert pair.reply(pair.notif) == ENOENT
    assert pair.has(FREE)


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send_a_chosen_number(guest: Guest) -> None:
    """SETFD and SEND work together: the call returns the chosen number."""
    pair = AddFdPair(guest)
    assert pair.add(flags=AddFd.SEND | AddFd.SETFD, number=CHOSEN, new_flags=O_CLOEXEC) == returned(CHOSEN)
    assert pair.call.outcome() == returned(CHOSEN)
    assert pair.target.call("fcntl", CHOSEN, F_GETFD) == returned(1)


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send_that_fails(guest: Guest) -> None:
    """A failed ADDFD with SEND does not answer the call, which continues to wait for another answer."""
    pair = AddFdPair(guest)
    pair.check_finish()
    pair.target.call("prlimit64", 0, RLIMIT_NOFILE, struct.pack("<QQ", FREE, FREE), None).result()
    pair.call, pair.notif = pair.call_and_receive("getppid")
    found: dict[str, tuple[object, object]] = {
        "no room": (pair.add(flags=AddFd.SEND), EMFILE),
        "beyond the limit": (pair.add(flags=AddFd.SEND | AddFd.SETFD, number=CHOSEN), EBADF),
        "nothing open": (pair.add(flags=AddFd.SEND, descriptor=99), EBADF),
        "still waiting": (pair.supervisor.still_waiting(pair.listener, pair.notif.id), OK),
    }
    assert mismatches(found) == []
    pair.check_finish()


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_then_send(guest: Guest) -> None:
    """SEND works after other descriptors have been added."""
    pair = AddFdPair(guest)
    assert pair.add() == returned(FREE)
    assert pair.add(flags=AddFd.SEND) == returned(FREE + 1)
    assert pair.call.outcome() == returned(FREE + 1)


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send_during_another(guest: Guest) -> None:
    """While another descriptor is being added, SEND fails with EBUSY, and the call continues to wait.

    Both supervisors have a higher priority than their target: the first one's request is still waiting when the
    second one's is made.
    """
    pair = AddFdPair(guest)
    reading, writing = pair.supervisor.pipe()
    second = pair.supervisor.spawn("second")

    def request(plan: Plan, flags: AddFd) -> None:
        structure = struct.pack("<QIIII", pair.notif.id, flags, pair.file, 0, 0)
        plan.call("ioctl", pair.listener, NOTIF_ADDFD, structure)

    sending, adding = Plan(second.slot), Plan(pair.supervisor.slot)
    sending.call("read", reading, bytes(1), 1)
    request(sending, AddFd.SEND)
    adding.call("write", writing, b"x", 1)
    request(adding, AddFd.NONE)
    late, first = start_realtime(second, sending), start_realtime(pair.supervisor, adding)
    assert first.counts() == [{"OK": 1}, {"OK": 1}]
    assert late.counts() == [{"OK": 1}, {"EBUSY": 1}]
    pair.check_finish()
    assert pair.has(FREE)
    assert not pair.has(FREE + 1)


# Whose call it is


@pytest.mark.requirement("seccomp.addfd")
def test_the_callers_descriptor_table(guest: Guest) -> None:
    """Of two processes under one filter, the one that made the call gets the descriptor."""
    pair = AddFdPair(guest)
    pair.check_finish()
    child = pair.target.spawn("child")
    call = child.begin("getppid")
    pair.notif = pair.receive()
    assert pair.add() == returned(FREE)
    assert pair.reply(pair.notif) == OK
    assert call.outcome() == OK
    found = child.read(FREE, len(SECRET))
    assert found == returned(len(SECRET))
    assert found.read() == SECRET
    assert pair.target.read(FREE) == EBADF


@pytest.mark.requirement("seccomp.addfd-gone")
def test_the_caller_is_killed(guest: Guest) -> None:
    """ADDFD for a caller that was killed fails with ENOENT."""
    pair = AddFdPair(guest)
    pair.interrupt(Signal.KILL)
    assert pair.call.outcome() == killed(Signal.KILL)
    assert pair.add() == ENOENT


@pytest.mark.requirement("seccomp.addfd-gone")
def test_the_caller_is_interrupted(guest: Guest) -> None:
    """ADDFD for a caller that a signal has interrupted fails with ENOENT."""
    pair = AddFdPair(guest)
    pair.check_finish()
    pair.target.catch(Signal.USR1).result()
    pair.call, pair.notif = pair.call_and_receive("getppid")
    pair.interrupt(Signal.USR1)
    pair.call.outcome()
    assert pair.add() == ENOENT


@pytest.mark.requirement("seccomp.addfd", "seccomp.notif-wait-killable")
def test_add_with_wait_killable(guest: Guest) -> None:
    """ADDFD also works for a caller that only fatal signals can interrupt (WAIT_KILLABLE_RECV)."""
    pair = AddFdPair(guest, FilterFlag.WAIT_KILLABLE_RECV)
    assert pair.add() == returned(FREE)
    pair.check_finish()
    assert pair.has(FREE)
