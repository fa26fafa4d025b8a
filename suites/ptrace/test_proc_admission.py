# SPDX-License-Identifier: GPL-2.0-or-later
"""Files in /proc/PID that whoever their mode admits may open, and what these do then: names, mappings, stacks."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EACCES, EINVAL, OK, Outcome, returned
from guests.protocol import wire
from guests.task import Task
from guests.uapi import O_DIRECTORY, STATX_BASIC_STATS, Clone
from suites.ptrace.support.ways import MAPPING, observer

AT_SYMLINK_NOFOLLOW = 0x100
PRESENT, FRAME = 1 << 63, (1 << 55) - 1
"""Of an entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst)."""


@pytest.mark.requirement("ptrace.proc-comm")
def test_names_from_outside(guest: Guest) -> None:
    """A task that may open the name of another process, even of its own user, does not change it: EINVAL."""
    target = guest.spawn("target")
    thread = target.thread("thread")
    for task in (guest.spawn("own"), target.spawn("child"), guest.root()):
        for path in (f"/proc/{target.pid}/comm", f"/proc/{target.pid}/task/{thread.tid}/comm"):
            assert task.write_text(path, "other") == EINVAL
    assert target.content(f"/proc/{target.pid}/comm") == b"target\n"
    assert thread.write_text(f"/proc/{target.pid}/comm", "renamed") == OK
    assert target.content(f"/proc/{target.pid}/comm") == b"renamed\n"
    assert target.content(f"/proc/{target.pid}/task/{thread.tid}/comm") == b"thread\n"


@pytest.mark.requirement("ptrace.proc-mapped-files-listed")
def test_mapped_files_after_a_change(guest: Guest) -> None:
    """A task that has opened the list of a process's mappings does not learn of them once the process is closed."""
    watcher, target = observer(guest), guest.spawn("target")
    folder, _, name = MAPPING.partition("/")
    to_list, to_look_up = (watcher.open_proc(target, folder, O_DIRECTORY).result() for _ in range(2))

    def listed(descriptor: int) -> Outcome:
        return watcher.call("getdents64", descriptor, Out(4096), 4096)

    def looked_up() -> Outcome:
        buffer = Out(256)
        return watcher.call("statx", to_look_up, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, buffer)

    assert name.encode() in listed(to_look_up).read()
    assert looked_up() == OK
    target.set_dumpable(False).result()
    # Before the error, it may list the two names that every directory has.
    listed(to_list)
    assert listed(to_list) == EACCES
    assert looked_up() == EACCES


@pytest.mark.needs("USER_NS", "PROC_PAGE_MONITOR")
@pytest.mark.requirement("ptrace.pagemap-frames")
def test_page_frames_in_a_namespace(guest: Guest) -> None:
    """Root of a user namespace is not told where its own pages are in the machine's memory, as root outside is."""
    inside = guest.spawn("creator").spawn("inside", flags=Clone.NEWUSER)

    def is_shown(task: Task) -> bool:
        descriptor, place = task.open_proc(task, "pagemap").result(), wire.data_address(task.slot)
        offset = place // guest.hello.page_size * 8
        (entry,) = task.abi.unpack("Q", task.call("pread64", descriptor, Out(8), 8, offset).read())
        assert entry & PRESENT
        return bool(entry & FRAME)

    assert is_shown(guest.root())
    assert not is_shown(inside)


@pytest.mark.needs("USER_NS", "STACKTRACE")
@pytest.mark.requirement("ptrace.stack-admin")
def test_stack_in_a_namespace(guest: Guest) -> None:
    """Root of a user namespace is not shown its own stack in the kernel, as root outside is."""
    inside = guest.spawn("creator").spawn("inside", flags=Clone.NEWUSER)
    assert inside.read_proc(inside, "stack") == EACCES
    root = guest.root()
    assert root.read_proc(root, "stack") == OK


@pytest.mark.requirement("ptrace.status-parents")
def test_parents_in_status(guest: Guest) -> None:
    """A traced process shows its parent as ever, and its tracer beside it as long as it has one.

    parent ── target
    tracer
    """
    parent, tracer = guest.spawn("parent"), guest.spawn("tracer")
    target = parent.spawn("target")

    def shown() -> tuple[int, int]:
        lines = dict(line.split(":\t", 1) for line in guest.read_file(f"/proc/{target.pid}/status").splitlines())
        return int(lines["PPid"]), int(lines["TracerPid"])

    def in_stat() -> int:
        return int(guest.read_file(f"/proc/{target.pid}/stat").rpartition(")")[2].split()[1])

    assert shown() == (parent.pid, 0)
    tracer.seize_and_stop(target)
    assert shown() == (parent.pid, tracer.pid)
    assert in_stat() == parent.pid
    tracer.detach(target).result()
    assert shown() == (parent.pid, 0)
    assert target.call("getppid") == returned(parent.pid)
