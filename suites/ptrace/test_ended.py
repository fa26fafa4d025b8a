# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets that exit or have ended: their memory is gone, and its dumpability still counts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from guests.guest import Guest
from guests.outcome import (
    EACCES,
    EBADF,
    EINVAL,
    ENOENT,
    EPERM,
    ESRCH,
    OK,
    Expected,
    Outcome,
    exited,
    mismatches,
    returned,
)
from guests.task import Task
from guests.uapi import PTRACE_EVENT_EXIT, Clone, PtraceOption
from suites.process_accesses import COMMON_DESCRIPTOR
from suites.ptrace.support.ways import NOT_EMPTY, Kind, Way, few, not_closed, not_open, observer, supported
from suites.user_namespaces import map_ids

NOTHING = returned(0)
"""A file that can be read, and is empty."""
OF_NSPROXY = ("mnt", "uts", "net", "ipc", "time", "cgroup")
"""The namespaces that a process leaves when it ends."""
OF_MEMORY = ("environ", "auxv", "pagemap")


@dataclass(frozen=True)
class OfZombies:
    """The results of a way in for a zombie whose memory was dumpable, and for one whose memory was not."""

    way: str
    dumpable: tuple[Expected, ...]
    """Where there are several, kernels differ."""
    closed: tuple[Expected, ...]


def _row(way: str, dumpable: Expected, closed: Expected) -> OfZombies:
    return OfZombies(way, (dumpable,), (closed,))


# fmt: off
ZOMBIES = (
    #   way                              dumpable     not dumpable
    _row("process_vm_readv",             ESRCH,       ESRCH),
    _row("process_vm_writev",            ESRCH,       ESRCH),
    _row("setns by a pidfd",             ESRCH,       EPERM),
    _row("kcmp",                         OK,          EPERM),
    _row("kcmp of the first",            OK,          EPERM),
    _row("get_robust_list",              OK,          EPERM),
    _row("move_pages",                   EINVAL,      EPERM),
    _row("migrate_pages",                EINVAL,      EPERM),
    _row("process_madvise",              ESRCH,       ESRCH),
    _row("namespace of a pidfd",         ESRCH,       EACCES),
    *(_row(f"/proc/PID/{file}",          NOTHING,     NOTHING) for file in ("maps", "numa_maps", "smaps")),
    _row("/proc/PID/smaps_rollup",       ESRCH,       ESRCH),
    _row("/proc/PID/io",                 NOT_EMPTY,   EACCES),
    _row("/proc/PID/syscall",            NOT_EMPTY,   EPERM),
    _row("/proc/PID/personality",        NOT_EMPTY,   EPERM),
    _row(f"/proc/PID/fdinfo/{COMMON_DESCRIPTOR}", ENOENT, EACCES),
    _row(f"/proc/PID/fd/{COMMON_DESCRIPTOR}",     ENOENT, ENOENT),
    _row("opening root",                 ENOENT,      EACCES),
    _row("opening ns/user",              OK,          EACCES),
    *(_row(f"/proc/PID/{file}",          ENOENT,      EACCES) for file in ("exe", "root", "cwd")),
    *(_row(f"/proc/PID/ns/{kind}",       ENOENT,      EACCES) for kind in OF_NSPROXY),
    *(_row(f"/proc/PID/ns/{kind}",       NOT_EMPTY,   EACCES) for kind in ("user", "pid")),
    _row("PTRACE_SEIZE",                 EPERM,       EPERM),
    _row("PTRACE_ATTACH",                EPERM,       EPERM),
    # Some kernels return EBADF, because the descriptors are gone, as they may from a process that lives.
    OfZombies("pidfd_getfd",             (ESRCH, EBADF), (EPERM,)),
    # Some kernels open the file, and let it be empty.
    *(OfZombies(f"/proc/PID/{file}",     (ESRCH, NOTHING), (ESRCH, NOTHING)) for file in OF_MEMORY),
    # Some kernels look whether the process ends before they look whose it is.
    *(OfZombies(f"perf event{kind}",     (ESRCH,), (EACCES, ESRCH)) for kind in ("", " with a signal")),
)
# fmt: on
OF_ZOMBIES = {row.way: row for row in ZOMBIES}


def attempt(way: Way, watcher: Task, target: Task) -> Outcome:
    """Make the access.  A zombie that is traced does not stop, so that there would be nothing to undo."""
    if Kind.TRACES not in way.kind:
        return way.attempt(watcher, target)
    return watcher.seize(target) if way.name == "PTRACE_SEIZE" else watcher.attach(target)


zombies = pytest.mark.parametrize(
    "dumpable",
    [
        pytest.param(True, id="dumpable", marks=pytest.mark.requirement("ptrace.zombie")),
        pytest.param(False, id="not-dumpable", marks=pytest.mark.requirement("ptrace.zombie-dumpable")),
    ],
)
"""Zombies of both kinds of memory."""


def mistaken(guest: Guest, watcher: Task, target: Task, *, dumpable: bool) -> list[str]:
    """The ways whose result for a zombie differs from the table."""
    lines = []
    for way in supported(guest):
        row = OF_ZOMBIES.get(way.name)
        if row is not None:
            wanted, done = row.dumpable if dumpable else row.closed, attempt(way, watcher, target)
            if done not in wanted:
                lines.append(f"{way.name}: {done!r}, expected {' or '.join(map(repr, wanted))}")
    return lines


@zombies
def test_zombie(guest: Guest, dumpable: bool) -> None:
    """A zombie is as open or closed as its memory was; what it no longer has cannot be had."""
    watcher, parent = observer(guest), guest.spawn("parent")
    target = parent.spawn("target")
    target.set_dumpable(dumpable).result()
    target.exit(7).require(exited(7))
    assert mistaken(guest, watcher, target, dumpable=dumpable) == []


@zombies
def test_leader_that_has_exited(guest: Guest, dumpable: bool) -> None:
    """A first thread that has exited before the others is as open or closed as its memory was."""
    watcher, target = observer(guest), guest.spawn("target")
    thread = target.thread("thread")
    target.set_dumpable(dumpable).result()
    target.exit_thread()
    target.wait_state("Z")
    assert mistaken(guest, watcher, target, dumpable=dumpable) == []
    by_thread = [way for way in few(guest) if way.name != "pidfd_getfd"]
    assert (not_open if dumpable else not_closed)(watcher, thread, by_thread) == []


@pytest.mark.requirement("ptrace.exiting")
@pytest.mark.parametrize("dumpable", [True, False], ids=["dumpable", "not-dumpable"])
def test_exiting(guest: Guest, dumpable: bool) -> None:
    """A process that exits is as open or closed as before, as long as it has its memory."""
    watcher, tracer, target = observer(guest), guest.root("tracer"), guest.spawn("target")
    target.set_dumpable(dumpable).result()
    tracer.seize(target, PtraceOption.TRACEEXIT).result()
    ending = target.begin("exit_group", 0)
    assert tracer.wait(target).event == PTRACE_EVENT_EXIT
    assert (not_open if dumpable else not_closed)(watcher, target, few(guest)) == []
    tracer.resume(target).result()
    ending.outcome().require(exited(0))


@pytest.mark.requirement("ptrace.zombie")
def test_capable_of_a_zombie(guest: Guest) -> None:
    """CAP_SYS_PTRACE opens a zombie that was not dumpable."""
    root, parent = guest.root(), guest.spawn("parent")
    target = parent.spawn("target")
    target.set_dumpable(False).result()
    target.exit(7).require(exited(7))
    for way in supported(guest):
        if way.name in ("kcmp", "get_robust_list", "/proc/PID/ns/user", "/proc/PID/personality"):
            assert way.act(root, target) == OK


@pytest.mark.needs("USER_NS")
@zombies
def test_zombie_of_a_visitor(guest: Guest, dumpable: bool) -> None:
    """A process that has entered a user namespace and has ended is as open to root there as it was."""
    inside = guest.spawn("creator").spawn("namespace-root", flags=Clone.NEWUSER)
    map_ids(guest, inside, "0 1000 1")
    visitor = guest.spawn("parent").spawn("visitor")
    namespace = visitor.open(f"/proc/{inside.pid}/ns/user").result()
    visitor.call("setns", namespace, Clone.NEWUSER).result()
    visitor.set_dumpable(dumpable).result()
    visitor.exit(7).require(exited(7))
    ways = [way for way in supported(guest) if way.name in ("kcmp", "get_robust_list", "/proc/PID/ns/user")]
    if dumpable:
        assert not_open(inside, visitor, ways, as_it_is=True) == []
    else:
        assert not_closed(inside, visitor, ways) == []
    assert not_open(guest.root(), visitor, ways, as_it_is=True) == []


@pytest.mark.requirement("ptrace.reaped")
def test_reaped(guest: Guest) -> None:
    """Once a process has been reaped there is none of its number: ESRCH, and ENOENT for its files."""
    watcher, parent = observer(guest), guest.spawn("parent")
    target = parent.spawn("target")
    pidfd = watcher.pidfd_open(target)
    files = {name: watcher.open_proc(target, name).result() for name in ("stat", "status", "personality", "syscall")}
    ns = watcher.open_proc(target, "ns").result()
    target.exit(0).require(exited(0))
    parent.reap(target).result()
    found = {}
    for way in supported(guest):
        if "pidfd" not in way.name and way.name != "process_madvise":
            wanted = ENOENT if way.name.startswith(("/proc/", "mem ", "opening ")) else ESRCH
            found[way.name] = way.attempt(watcher, target), wanted
    assert mismatches(found) == []
    assert b"\nPid:\t-1\n" in watcher.content(f"/proc/self/fdinfo/{pidfd}")
    assert watcher.call("pidfd_getfd", pidfd, COMMON_DESCRIPTOR, 0) == ESRCH
    assert {name: watcher.read(fd) == ESRCH for name, fd in files.items()} == dict.fromkeys(files, True)
    assert watcher.call("openat", ns, "user", 0, 0) == ENOENT
