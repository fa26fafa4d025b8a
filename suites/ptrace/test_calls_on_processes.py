# SPDX-License-Identifier: GPL-2.0-or-later
"""What calls that name a process return, once it has ended, for what it lacks, and as an order of what it has."""

from __future__ import annotations

import itertools

import pytest

from guests.call_plan import Plan, run
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EBADF, EPERM, ESRCH, OK, Expected, exited, returned
from guests.uapi import AT_FDCWD, KCMP_FILE, O_EXCL, O_RDONLY, SIGINFO_SIZE, Cap, Clone, Signal
from suites.process_accesses import COMMON_DESCRIPTOR, closed

SI_KERNEL, SI_USER, SI_QUEUE, SI_TKILL = 0x80, 0, -1, -6
F_GETFD, FD_CLOEXEC = 1, 1
NOT_OPEN = 999
"""A number that no descriptor has."""
OPENED = 257
PIDFD_THREAD = O_EXCL
LESS, GREATER = 1, 2
MPOL_MF_MOVE, MPOL_MF_MOVE_ALL = 2, 4


@pytest.mark.requirement("ptrace.getfd-ended")
def test_descriptor_of_a_process_that_has_ended(guest: Guest) -> None:
    """pidfd_getfd() tells a process that has ended, which has no descriptors, from a descriptor that is not open."""
    watcher, parent = guest.spawn("watcher"), guest.spawn("parent")
    target = parent.spawn("target")
    pidfd = watcher.pidfd_open(target)
    assert closed(watcher, watcher.call("pidfd_getfd", pidfd, COMMON_DESCRIPTOR, 0)) == OK
    assert watcher.call("pidfd_getfd", pidfd, NOT_OPEN, 0) == EBADF
    target.exit().require(exited(0))
    assert watcher.call("pidfd_getfd", pidfd, COMMON_DESCRIPTOR, 0) == ESRCH
    assert watcher.call("pidfd_getfd", pidfd, NOT_OPEN, 0) == ESRCH


@pytest.mark.requirement("ptrace.getfd-close-on-exec")
def test_descriptor_and_exec(guest: Guest) -> None:
    """A descriptor that pidfd_getfd() returns is closed by execve(), although that of the target is not."""
    watcher, target = guest.spawn("watcher"), guest.spawn("target")
    copy = watcher.pidfd_getfd(target, COMMON_DESCRIPTOR).result()
    assert watcher.call("fcntl", copy, F_GETFD) == returned(FD_CLOEXEC)
    assert target.call("fcntl", COMMON_DESCRIPTOR, F_GETFD) == returned(0)


@pytest.mark.requirement("ptrace.getfd-of-a-thread")
def test_descriptor_of_a_thread(guest: Guest) -> None:
    """pidfd_getfd() with the pidfd of a thread takes what that thread has open, which others may lack."""
    watcher, leader = guest.spawn("watcher"), guest.spawn("leader")
    thread = leader.thread("thread")
    thread.call("unshare", Clone.FILES).result()
    descriptor = thread.open("/dev/null").result()
    for task, wanted in ((thread, OK), (leader, EBADF)):
        pidfd = watcher.call("pidfd_open", task.tid, PIDFD_THREAD, shown=f"pidfd_open({task}, thread)").result()
        assert watcher.call("pidfd_getfd", pidfd, descriptor, 0) == wanted
    assert closed(watcher, watcher.pidfd_getfd(leader, COMMON_DESCRIPTOR)) == OK


@pytest.mark.requirement("ptrace.forged-siginfo")
def test_forged_signals(guest: Guest) -> None:
    """A signal that says that kill(), tgkill() or the kernel has sent it can be sent to the sender itself only."""
    sender, target = guest.spawn("sender"), guest.spawn("target")
    for task in (sender, target):
        task.catch(Signal.USR1).result()
    codes: dict[int, Expected] = {SI_QUEUE: OK, SI_USER: EPERM, SI_TKILL: EPERM, SI_KERNEL: EPERM}
    to_target, to_itself = sender.pidfd_open(target), sender.pidfd_open(sender)
    for code, wanted in codes.items():
        siginfo = sender.abi.pack("iii", Signal.USR1, 0, code).ljust(SIGINFO_SIZE, b"\0")
        assert sender.call("pidfd_send_signal", to_target, Signal.USR1, siginfo, 0) == wanted
        assert sender.call("pidfd_send_signal", to_itself, Signal.USR1, siginfo, 0) == OK
    # It has handled the signal before it obeys the next order.
    target.call("getppid").result()
    assert [signal.code for signal in target.caught_signals()] == [SI_QUEUE]
    assert [signal.code for signal in sender.caught_signals()] == list(codes)


@pytest.mark.needs("KCMP")
@pytest.mark.requirement("ptrace.kcmp-order")
def test_order_of_files(guest: Guest) -> None:
    """kcmp() orders files: of any set of them, one is less than all others, one less than all but that, and so on."""
    task = guest.spawn("task")
    first = task.open("/dev/null").result()
    opening = Plan(task.slot)
    opening.call("openat", AT_FDCWD, "/dev/null", O_RDONLY, 0)
    require(run(task, opening, OPENED - 1) == [{"OK": OPENED - 1}], f"{task} could not open {OPENED} files")
    # The distances of the kernel's objects matter to a comparison that overflows, so these are near and far.
    files = [first + (1 << power if power else 0) for power in range(9)] + [first + 1, first + 100, first + 200]
    less = dict.fromkeys(files, 0)
    for one, other in itertools.combinations(files, 2):
        done = task.call("kcmp", task.tid, task.tid, KCMP_FILE, one, other)
        assert done.value in (LESS, GREATER)
        reverse = task.call("kcmp", task.tid, task.tid, KCMP_FILE, other, one)
        assert reverse.value == LESS + GREATER - done.value
        less[one if done.value == GREATER else other] += 1
    assert sorted(less.values()) == list(range(len(files)))
    assert task.call("kcmp", task.tid, task.tid, KCMP_FILE, first, first).value == 0


@pytest.mark.needs("NUMA", "MIGRATION")
@pytest.mark.requirement("ptrace.move-pages-nice")
def test_pages_that_others_map_too(guest: Guest) -> None:
    """A task with access to a process moves the pages of its own, and with CAP_SYS_NICE those that it shares."""
    own, nice, target = guest.spawn("own"), guest.spawn("nice", caps=Cap.SYS_NICE), guest.spawn("target")
    for task, flag, wanted in (
        (own, MPOL_MF_MOVE, OK),
        (own, MPOL_MF_MOVE_ALL, EPERM),
        (nice, MPOL_MF_MOVE_ALL, OK),
    ):
        # No pages, because the flag is judged before them.
        done = task.call("move_pages", target.tid, 0, None, None, None, flag, shown=f"move_pages({target}, {flag})")
        assert done == wanted
    assert own.call("move_pages", own.tid, 0, None, None, None, MPOL_MF_MOVE_ALL) == EPERM
