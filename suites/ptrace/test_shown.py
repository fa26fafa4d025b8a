# SPDX-License-Identifier: GPL-2.0-or-later
"""Values in /proc that are shown to those whom the check admits, and hidden from others."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EACCES, EINVAL, ENOENT, ENOMEM, EPERM, OK, Expected, Outcome, exited, returned
from guests.protocol import wire
from guests.task import Task
from guests.uapi import AT_FDCWD, MADV_COLD, STATX_BASIC_STATS, Cap, Clone
from suites.ptrace.support.programs import Programs, execute
from suites.ptrace.support.ways import MAPPING

OWN, OTHER = 1000, 1001

ADDRESSES = {26: "start_code", 27: "end_code", 28: "startstack", 45: "start_data", 46: "end_data", 48: "arg_start"}
"""Fields of /proc/PID/stat by their numbers in proc(5): addresses that every program has."""
ESP, EIP, WCHAN, EXIT_CODE = 29, 30, 35, 52
DESTRUCTIVE = (4, 8, 9)
"""MADV_DONTNEED, MADV_FREE, MADV_REMOVE."""
CHECKPOINT_RESTORE = Cap(1 << 40)


def stat(task: Task, target: Task) -> dict[int, int]:
    """The fields of /proc/PID/stat from the fourth on, by their numbers in proc(5)."""
    text = task.read_proc(target, "stat").read().rpartition(b")")[2].rstrip(b"\0").split()
    return {number: int(field) for number, field in enumerate(text[1:], 4)}


def wchan(task: Task, target: Task) -> bytes:
    return task.read_proc(target, "wchan").read().rstrip(b"\0")


@pytest.mark.requirement("ptrace.stat-addresses")
def test_addresses(guest: Guest) -> None:
    """/proc/PID/stat has the addresses of a process for those who may look into it; for others it has 0 or 1."""
    target, own, other = guest.spawn("target", uid=OWN), guest.spawn("own", uid=OWN), guest.spawn("other", uid=OTHER)
    execute(target, Programs(guest).create()).result()
    admitted, refused = [own, guest.root()], [other]
    for dumpable in (True, False):
        target.set_dumpable(dumpable).result()
        if not dumpable:
            admitted, refused = [guest.root(), target], [own, other]
        for task in admitted:
            fields = stat(task, target)
            assert [name for number, name in ADDRESSES.items() if fields[number] <= 1] == []
        for task in refused:
            fields = stat(task, target)
            assert [name for number, name in ADDRESSES.items() if fields[number] > 1] == []


@pytest.mark.requirement("ptrace.stat-wchan")
def test_wchan_of_stat(guest: Guest) -> None:
    """Field 35 of /proc/PID/stat is 1 if the process waits, for those who may look into it, and 0 for others."""
    target, own, other = guest.spawn("target", uid=OWN), guest.spawn("own", uid=OWN), guest.spawn("other", uid=OTHER)
    target.wait_state("S")
    assert [stat(task, target)[WCHAN] for task in (own, other, guest.root())] == [1, 0, 1]
    target.set_dumpable(False).result()
    target.wait_state("S")
    assert [stat(task, target)[WCHAN] for task in (own, other, guest.root())] == [0, 0, 1]


@pytest.mark.requirement("ptrace.stat-registers")
def test_registers(guest: Guest) -> None:
    """/proc/PID/stat shows 0 as stack and instruction pointers while the process lives, to root too."""
    target = guest.spawn("target")
    for task in (target, guest.spawn("own"), guest.root()):
        fields = stat(task, target)
        assert (fields[ESP], fields[EIP]) == (0, 0)


@pytest.mark.requirement("ptrace.stat-exit-code")
@pytest.mark.parametrize(
    "dumpable",
    [
        pytest.param(True, id="dumpable"),
        pytest.param(False, id="not-dumpable", marks=pytest.mark.requirement("ptrace.stat-exit-code-dumpable")),
    ],
)
def test_exit_code(guest: Guest, dumpable: bool) -> None:
    """The exit status of a zombie is shown to those who might look into it while it lived."""
    parent, own, other = guest.spawn("parent"), guest.spawn("own"), guest.spawn("other", uid=OTHER)
    target = parent.spawn("target")
    target.set_dumpable(dumpable).result()
    target.exit(7).require(exited(7))
    assert stat(guest.root(), target)[EXIT_CODE] == 7 << 8
    assert stat(own, target)[EXIT_CODE] == (7 << 8 if dumpable else 0)
    assert stat(other, target)[EXIT_CODE] == 0


@pytest.mark.needs("KALLSYMS")
@pytest.mark.requirement("ptrace.wchan")
def test_wchan(guest: Guest) -> None:
    """/proc/PID/wchan names the function in which a process waits, or 0 to those who may not look into it."""
    target, own, other = guest.spawn("target", uid=OWN), guest.spawn("own", uid=OWN), guest.spawn("other", uid=OTHER)
    root, thread = guest.root(), target.thread("thread")
    ends = target.pipe()
    waiting = target.begin("read", ends[0], Out(1), 1)
    waiting.wait_until_blocked()
    for task in (own, root):
        assert b"pipe" in wchan(task, target)
    assert wchan(other, target) == b"0"
    descriptor = own.open_proc(target, "wchan").result()
    assert b"pipe" in own.call("pread64", descriptor, Out(64), 64, 0).read()
    thread.set_dumpable(False).result()
    assert wchan(own, target) == b"0"
    assert own.call("pread64", descriptor, Out(64), 64, 0).read().rstrip(b"\0") == b"0"
    assert b"pipe" in wchan(root, target)


# With another capability


def page_frame(task: Task, descriptor: int, address: int) -> tuple[bool, int]:
    """An entry of /proc/PID/pagemap: whether the page is present, and its frame."""
    place = address // task.hello().page_size * 8
    (entry,) = task.abi.unpack("Q", task.call("pread64", descriptor, Out(8), 8, place).read())
    return bool(entry >> 63), entry & ((1 << 55) - 1)


@pytest.mark.needs("PROC_PAGE_MONITOR")
@pytest.mark.requirement("ptrace.pagemap-frames")
def test_page_frames(guest: Guest) -> None:
    """pagemap shows whose pages are present; where, only if it was opened with CAP_SYS_ADMIN."""
    task, target = guest.spawn("task", caps=Cap.SYS_ADMIN), guest.spawn("target")
    address = wire.data_address(target.slot)
    with_it = task.open_proc(target, "pagemap").result()
    task.set_caps(Cap.NONE, permitted=Cap.SYS_ADMIN).result()
    without = task.open_proc(target, "pagemap").result()
    for effective in (Cap.NONE, Cap.SYS_ADMIN):
        task.set_caps(effective, permitted=Cap.SYS_ADMIN).result()
        present, frame = page_frame(task, without, address)
        assert (present, frame) == (True, 0)
        present, frame = page_frame(task, with_it, address)
        assert present
        assert frame != 0


@pytest.mark.needs("STACKTRACE")
@pytest.mark.requirement("ptrace.stack-admin")
def test_stack_needs_an_administrator(guest: Guest) -> None:
    """/proc/PID/stack needs CAP_SYS_ADMIN besides the access, when it is opened."""
    task, target = guest.spawn("task", caps=Cap.SYS_ADMIN), guest.spawn("target")
    with_it = task.open_proc(target, "stack").result()
    task.set_caps(Cap.NONE, permitted=Cap.SYS_ADMIN).result()
    without = task.open_proc(target, "stack").result()
    assert task.read(with_it) == OK
    assert task.read(without) == EACCES
    task.set_caps(Cap.SYS_ADMIN).result()
    assert task.read(without) == EACCES


@pytest.mark.requirement("ptrace.timerslack")
def test_timer_slack(guest: Guest) -> None:
    """timerslack_ns of another process is a matter of CAP_SYS_NICE, whoever may look into it."""
    target, own = guest.spawn("target"), guest.spawn("own")
    nice = guest.spawn("nice", uid=OTHER, caps=Cap.SYS_NICE)
    for task in (target, nice):
        assert task.write_text(f"/proc/{target.pid}/timerslack_ns", "40000") == OK
        assert task.read_proc(target, "timerslack_ns").read().startswith(b"40000\n")
    assert own.read_proc(target, "timerslack_ns") == EPERM
    assert own.write_text(f"/proc/{target.pid}/timerslack_ns", "50000") == EPERM
    assert target.read_proc(target, "timerslack_ns").read().startswith(b"40000\n")


@pytest.mark.needs("ADVISE_SYSCALLS")
@pytest.mark.requirement("ptrace.madvise-nice")
def test_advice_needs_nice(guest: Guest) -> None:
    """process_madvise() needs CAP_SYS_NICE besides the access."""
    target, own, nice = guest.spawn("target"), guest.spawn("own"), guest.spawn("nice", caps=Cap.SYS_NICE)
    address = wire.data_address(target.slot)
    assert nice.advise(target, address) == OK
    assert own.advise(target, address) == EPERM
    target.set_dumpable(False).result()
    assert nice.advise(target, address) == EACCES


@pytest.mark.needs("ADVISE_SYSCALLS")
@pytest.mark.requirement("ptrace.madvise-harmless")
def test_advice_that_destroys(guest: Guest) -> None:
    """process_madvise() does not take advice by which another process would lose what is in its memory."""
    target, nice = guest.spawn("target"), guest.spawn("nice", caps=Cap.SYS_NICE)
    pidfd, page = nice.pidfd_open(target), guest.hello.page_size
    range_ = nice.abi.words(wire.data_address(target.slot) & -page, page)
    for advice, wanted in ((MADV_COLD, returned(page)), *((advice, EINVAL) for advice in DESTRUCTIVE)):
        assert nice.call("process_madvise", pidfd, range_, 1, advice, 0) == wanted


@pytest.mark.needs("ADVISE_SYSCALLS")
@pytest.mark.requirement("ptrace.madvise-count")
def test_advice_that_ends_early(guest: Guest) -> None:
    """process_madvise() returns how many bytes come before a range that it cannot advise on, or else the error."""
    target, nice = guest.spawn("target"), guest.spawn("nice", caps=Cap.SYS_NICE)
    pidfd, page = nice.pidfd_open(target), guest.hello.page_size
    good, bad = wire.data_address(target.slot) & -page, page
    for ranges, wanted in (((good, good), returned(2 * page)), ((good, bad), returned(page)), ((bad, good), ENOMEM)):
        vector = nice.abi.words(ranges[0], page, ranges[1], page)
        assert nice.call("process_madvise", pidfd, vector, 2, MADV_COLD, 0) == wanted


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("ptrace.proc-mapped-files")
def test_mapped_files(guest: Guest) -> None:
    """A process's mapped files are named to those who may look into it, and opened for those with a capability."""
    target, own = guest.spawn("target"), guest.spawn("own")
    inside = own.spawn("inside", flags=Clone.NEWUSER)
    for caps in (CHECKPOINT_RESTORE, Cap.SYS_ADMIN):
        able = guest.spawn("able", caps=caps)
        assert able.open_proc(target, MAPPING) == OK
        able.set_caps(Cap.NONE, permitted=caps).result()
        assert able.open_proc(target, MAPPING) == EPERM
    for task, of in ((own, target), (target, target), (inside, inside)):
        assert task.read_link(of, MAPPING) == OK
        assert task.open_proc(of, MAPPING) == EPERM


# hidepid

HIDDEN = "/tmp/proc"  # noqa: S108 - the guest's
# fmt: off
HIDE = [
    #             hidepid=         another user's   one's own        one's own that is not dumpable
    pytest.param("off",            OK,              OK,              OK,               id="off"),
    pytest.param("noaccess",       EPERM,           OK,              EPERM,            id="noaccess"),
    pytest.param("invisible",      ENOENT,          OK,              ENOENT,           id="invisible"),
    pytest.param("2",              ENOENT,          OK,              ENOENT,           id="2"),
    pytest.param("ptraceable",     ENOENT,          OK,              ENOENT,           id="ptraceable"),
]
# fmt: on


@pytest.mark.requirement("ptrace.hidepid")
@pytest.mark.parametrize(("value", "others", "own", "closed"), HIDE)
def test_hidepid(guest: Guest, value: str, others: Expected, own: Expected, closed: Expected) -> None:
    """On a proc with hidepid, a process is there for those who may look into it, and for a group."""
    root = guest.root()
    root.mount("proc", HIDDEN, "proc", data=f"hidepid={value},gid=5000").result()
    task, member = guest.spawn("task", uid=OWN), guest.root("member")
    member.call("setgroups", 1, member.abi.pack("I", 5000)).result()
    member.call("setresgid", OWN, OWN, OWN).result()
    member.call("setresuid", OWN, OWN, OWN).result()
    targets = {
        "another user's": (guest.spawn("other", uid=OTHER), others),
        "one's own": (guest.spawn("own", uid=OWN), own),
        "not dumpable": (guest.spawn("closed", uid=OWN), closed),
    }
    targets["not dumpable"][0].set_dumpable(False).result()
    listed = set(names(task, HIDDEN))
    for target, wanted in targets.values():
        path = f"{HIDDEN}/{target.pid}/stat"
        assert task.read_text(path) == wanted
        assert member.read_text(path) == (wanted if value == "ptraceable" else OK)
        assert root.read_text(path) == OK
        # Now that the kernel knows the name, it may say so.
        assert value != "ptraceable" or member.read_text(path) in ((OK,) if wanted == OK else (ENOENT, EPERM))
        assert (str(target.pid) in listed) == (wanted != ENOENT)
        # Who may see that there is a process may know whose it is.
        seen = ENOENT if wanted == ENOENT else OK
        assert status(task, f"{HIDDEN}/{target.pid}") == seen
        assert status(member, f"{HIDDEN}/{target.pid}") == (seen if value == "ptraceable" else OK)
        assert status(root, f"{HIDDEN}/{target.pid}") == OK


def status(task: Task, path: str) -> Outcome:
    """stat(), which tells the owner."""
    return task.call("statx", AT_FDCWD, path, 0, STATX_BASIC_STATS, Out(256), shown=f'stat("{path}")')


def names(task: Task, path: str) -> list[str]:
    """The names in a directory."""
    found: list[str] = []
    descriptor = task.open(path).result()
    while (done := task.call("getdents64", descriptor, Out(4096), 4096)).result():
        raw, offset = done.read(), 0
        while offset < done.value:
            (length,) = task.abi.unpack_from("H", raw, offset + 16)
            found.append(raw[offset + 19 : offset + length].split(b"\0", 1)[0].decode())
            offset += length
    task.close(descriptor).result()
    return found
