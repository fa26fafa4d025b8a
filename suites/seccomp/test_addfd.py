# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_IOCTL_NOTIF_ADDFD: a supervisor installs a file of its own in its target's descriptor table."""

from __future__ import annotations

import struct

import pytest

from guests.bpf import notify, policy
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
from guests.plan import Plan, urgently
from guests.syscalls.group import Pending
from guests.syscalls.seccomp import NOTIF_ADDFD, AddFd, FilterFlag, Notification, Poll
from guests.uapi import O_CLOEXEC, O_NONBLOCK, O_PATH, O_RDWR, RLIMIT_NOFILE, Signal
from suites.seccomp.support.roles import Supervised, mismatches

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

ASK = policy(notify("getppid"))
F_GETFD, F_GETFL = 1, 3
FREE, CHOSEN = 3, 50
"""The lowest free number in a target, and another free one."""
SECRET = b"what the supervisor has opened"


class Giver(Supervised):
    """A supervisor that has opened a file, and a target whose call waits for its reply."""

    def __init__(self, guest: Guest, flags: FilterFlag = FilterFlag.NONE) -> None:
        super().__init__(guest, ASK, flags)
        guest.write_file("/tmp/secret", SECRET, create=True).result()  # noqa: S108
        self.file = self.supervisor.open("/tmp/secret").result()  # noqa: S108
        self.call: Pending
        self.asked: Notification
        self.call, self.asked = self.ask("getppid")

    def begin_add(self, **how: int | bytes) -> Pending:
        options: dict[str, int | bytes] = {"id_": self.asked.id, "descriptor": self.file, **how}
        return self.supervisor.begin_add_fd(self.listener, **options)  # type: ignore[arg-type]

    def add(self, **how: int | bytes) -> Outcome:
        return self.begin_add(**how).outcome()

    def finish(self) -> None:
        self.reply(self.asked, value=77).result()
        assert self.call.outcome() == returned(77)

    def has(self, number: int) -> bool:
        """Whether the target can read the supervisor's file at this number; its call must be over."""
        self.supervisor.call("lseek", self.file, 0, 0).result()
        found = self.target.read(number, len(SECRET))
        return not found.errno and found.read() == SECRET


@pytest.mark.requirement("seccomp.addfd")
def test_the_lowest_free_number(guest: Guest) -> None:
    """The descriptor gets the lowest free number in the target, which ADDFD returns to the supervisor."""
    here = Giver(guest)
    assert here.add() == returned(FREE)
    assert here.add() == returned(FREE + 1)
    assert not here.call.finished()
    here.finish()
    assert here.has(FREE)
    assert here.has(FREE + 1)
    assert not here.has(FREE + 2)


@pytest.mark.requirement("seccomp.addfd")
def test_a_chosen_number(guest: Guest) -> None:
    """With SETFD, the descriptor gets the chosen number, including 0, and no other."""
    here = Giver(guest)
    assert here.add(number=CHOSEN, flags=AddFd.SETFD) == returned(CHOSEN)
    # 0 can be chosen too.
    assert here.add(number=0, flags=AddFd.SETFD) == returned(0)
    here.finish()
    assert here.has(CHOSEN)
    assert here.has(0)
    assert not here.has(FREE)


@pytest.mark.requirement("seccomp.addfd")
def test_what_was_there_is_closed(guest: Guest) -> None:
    """SETFD closes what was open at the number: a reader of a pipe whose only write end is replaced sees EOF."""
    here = Giver(guest)
    here.finish()
    reading, writing = here.target.pipe()
    here.call, here.asked = here.ask("getppid")
    assert here.add(number=writing, flags=AddFd.SETFD) == returned(writing)
    here.finish()
    assert here.target.read(reading) == returned(0)
    assert here.has(writing)


@pytest.mark.requirement("seccomp.addfd")
@pytest.mark.parametrize(("flags", "wanted"), [(0, 0), (O_CLOEXEC, 1)], ids=["stays-on-exec", "closes-on-exec"])
def test_close_on_exec(guest: Guest, flags: int, wanted: int) -> None:
    """O_CLOEXEC applies to the new descriptor, not to the file."""
    here = Giver(guest)
    assert here.add(new_flags=flags) == returned(FREE)
    assert here.add(number=CHOSEN, flags=AddFd.SETFD, new_flags=flags) == returned(CHOSEN)
    here.finish()
    assert here.target.call("fcntl", FREE, F_GETFD) == returned(wanted)
    assert here.target.call("fcntl", CHOSEN, F_GETFD) == returned(wanted)


@pytest.mark.requirement("seccomp.addfd")
def test_it_is_the_same_open_file(guest: Guest) -> None:
    """The new descriptor shares the file's position and mode, as with dup()."""
    here = Giver(guest)
    assert here.add() == returned(FREE)
    here.finish()
    here.supervisor.call("lseek", here.file, 5, 0).result()
    assert here.target.call("lseek", FREE, 0, 1) == returned(5)
    assert here.target.call("fcntl", FREE, F_GETFL).result() & O_RDWR == 0
    assert here.target.write(FREE, b"no") == EBADF


@pytest.mark.requirement("seccomp.addfd")
def test_the_last_one_closes(guest: Guest) -> None:
    """Only supervisor and target hold the file: a pipe is at its end when both have closed their descriptors."""
    here = Giver(guest)
    reading, writing = here.supervisor.pipe()
    assert here.add(descriptor=writing) == returned(FREE)
    here.finish()
    here.supervisor.close(writing).result()
    assert here.supervisor.ready_for(reading) == 0
    here.target.close(FREE).result()
    assert here.supervisor.ready_for(reading) == Poll.HUP
    assert here.supervisor.read(reading) == returned(0)


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
    "minus-one-to-give":          ({"descriptor": -1},                  EBADF),
    "unknown-id":                 ({"id_": 0},                          ENOENT),
}
# fmt: on


@pytest.mark.requirement("seccomp.addfd-errors")
def test_mistakes(guest: Guest) -> None:
    """Each mistake is rejected without effect on the target's table; a longer structure ending in zeros is valid."""
    here = Giver(guest)
    found: dict[str, tuple[object, object]] = {
        name: (here.add(**how), wanted) for name, (how, wanted) in MISTAKES.items()
    }
    path = here.supervisor.open("/tmp", O_PATH).result()  # noqa: S108
    found["a-path-that-is-not-open"] = (here.add(descriptor=path), EBADF)
    found["longer, with zeros"] = (here.add(size=32, tail=bytes(8)), returned(FREE))
    assert mismatches(found) == []
    here.finish()
    assert not here.has(FREE + 1)


@pytest.mark.requirement("seccomp.addfd-no-number")
def test_minus_one_is_no_number(guest: Guest) -> None:
    """-1 is not a valid number, not even with SETFD, where it once stood for the lowest free one."""
    here = Giver(guest)
    assert here.add(number=-1, flags=AddFd.SETFD) == EBADF
    assert here.add(number=CHOSEN, flags=AddFd.SETFD) == returned(CHOSEN)


@pytest.mark.requirement("seccomp.addfd-errors")
def test_only_between_reception_and_answer(guest: Guest) -> None:
    """ADDFD works between reception and answer: EINPROGRESS before, ENOENT after."""
    here = Giver(guest)
    here.finish()
    assert here.add() == ENOENT
    here.target.begin("getppid").wait_until_blocked()
    assert here.add(id_=here.asked.id + 1) == EINPROGRESS
    assert here.receive().id == here.asked.id + 1
    assert here.add(id_=here.asked.id + 1) == returned(FREE)


@pytest.mark.requirement("seccomp.addfd-full")
def test_no_room(guest: Guest) -> None:
    """The target's limit applies: EMFILE, or EBADF for a chosen number beyond it; the call continues to wait."""
    here = Giver(guest)
    here.finish()
    here.target.call("prlimit64", 0, RLIMIT_NOFILE, struct.pack("<QQ", FREE, FREE), None).result()
    here.call, here.asked = here.ask("getppid")
    assert here.add() == EMFILE
    assert here.add(number=CHOSEN, flags=AddFd.SETFD) == EBADF
    assert here.add(number=2, flags=AddFd.SETFD) == returned(2)
    here.finish()


# SEND: the number is the answer


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send(guest: Guest) -> None:
    """With SEND, the call returns the new descriptor, and needs no other answer."""
    here = Giver(guest)
    assert here.add(flags=AddFd.SEND) == returned(FREE)
    assert here.call.outcome() == returned(FREE)
    assert here.reply(here.asked) == ENOENT
    assert here.has(FREE)


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send_a_chosen_number(guest: Guest) -> None:
    """SETFD and SEND work together: the call returns the chosen number."""
    here = Giver(guest)
    assert here.add(flags=AddFd.SEND | AddFd.SETFD, number=CHOSEN, new_flags=O_CLOEXEC) == returned(CHOSEN)
    assert here.call.outcome() == returned(CHOSEN)
    assert here.target.call("fcntl", CHOSEN, F_GETFD) == returned(1)


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send_that_fails(guest: Guest) -> None:
    """A failed ADDFD with SEND does not answer the call, which continues to wait for another answer."""
    here = Giver(guest)
    here.finish()
    here.target.call("prlimit64", 0, RLIMIT_NOFILE, struct.pack("<QQ", FREE, FREE), None).result()
    here.call, here.asked = here.ask("getppid")
    found: dict[str, tuple[object, object]] = {
        "no room": (here.add(flags=AddFd.SEND), EMFILE),
        "beyond the limit": (here.add(flags=AddFd.SEND | AddFd.SETFD, number=CHOSEN), EBADF),
        "nothing open": (here.add(flags=AddFd.SEND, descriptor=99), EBADF),
        "still waiting": (here.supervisor.still_waiting(here.listener, here.asked.id), OK),
    }
    assert mismatches(found) == []
    here.finish()


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_then_send(guest: Guest) -> None:
    """SEND works after other descriptors have been added."""
    here = Giver(guest)
    assert here.add() == returned(FREE)
    assert here.add(flags=AddFd.SEND) == returned(FREE + 1)
    assert here.call.outcome() == returned(FREE + 1)


@pytest.mark.requirement("seccomp.addfd-send")
def test_add_and_send_beside_another(guest: Guest) -> None:
    """While another descriptor is being added, SEND fails with EBUSY, and the call continues to wait.

    Both supervisors have a higher priority than their target: the first one's request is still waiting when the
    second one's is made.
    """
    here = Giver(guest)
    reading, writing = here.supervisor.pipe()
    second = here.supervisor.spawn("second")

    def request(plan: Plan, flags: AddFd) -> None:
        structure = struct.pack("<QIIII", here.asked.id, flags, here.file, 0, 0)
        plan.call("ioctl", here.listener, NOTIF_ADDFD, structure)

    sending, adding = Plan(second.slot), Plan(here.supervisor.slot)
    sending.call("read", reading, bytes(1), 1)
    request(sending, AddFd.SEND)
    adding.call("write", writing, b"x", 1)
    request(adding, AddFd.NONE)
    late, first = urgently(second, sending), urgently(here.supervisor, adding)
    assert first.counts() == [{"OK": 1}, {"OK": 1}]
    assert late.counts() == [{"OK": 1}, {"EBUSY": 1}]
    here.finish()
    assert here.has(FREE)
    assert not here.has(FREE + 1)


# Whose call it is


@pytest.mark.requirement("seccomp.addfd")
def test_the_callers_table(guest: Guest) -> None:
    """Of two processes under one filter, the one that made the call gets the descriptor."""
    here = Giver(guest)
    here.finish()
    child = here.target.spawn("child")
    call = child.begin("getppid")
    here.asked = here.receive()
    assert here.add() == returned(FREE)
    here.reply(here.asked).result()
    assert call.outcome() == OK
    assert child.read(FREE, len(SECRET)).read() == SECRET
    assert here.target.read(FREE) == EBADF


@pytest.mark.requirement("seccomp.addfd-gone")
def test_the_caller_is_killed(guest: Guest) -> None:
    """ADDFD for a caller that was killed fails with ENOENT."""
    here = Giver(guest)
    here.interrupt(Signal.KILL)
    assert here.call.outcome() == killed(Signal.KILL)
    assert here.add() == ENOENT


@pytest.mark.requirement("seccomp.addfd-gone")
def test_the_caller_is_interrupted(guest: Guest) -> None:
    """ADDFD for a caller that a signal has interrupted fails with ENOENT."""
    here = Giver(guest)
    here.finish()
    here.target.catch(Signal.USR1).result()
    here.call, here.asked = here.ask("getppid")
    here.interrupt(Signal.USR1)
    here.call.outcome()
    assert here.add() == ENOENT


@pytest.mark.requirement("seccomp.addfd", "seccomp.notif-wait-killable")
def test_add_to_a_patient_caller(guest: Guest) -> None:
    """ADDFD also works for a caller that only fatal signals can interrupt (WAIT_KILLABLE_RECV)."""
    here = Giver(guest, FilterFlag.WAIT_KILLABLE_RECV)
    assert here.add() == returned(FREE)
    here.finish()
    assert here.has(FREE)
