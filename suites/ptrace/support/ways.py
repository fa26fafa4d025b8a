# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways in: everything that asks ptrace_may_access() about another process, and the error if it says no.

They are the users of ptrace_may_access(), mm_access() and lock_trace() in Linux 6.12 that a test can call, except
those that hide a value instead of failing (/proc/PID/stat and wchan; test_shown.py), and PR_SCHED_CORE, which needs
a processor with SMT.  The errors are those of ptrace(2), process_vm_readv(2), pidfd_getfd(2), kcmp(2), proc(5) and so
on, where these name them, and otherwise the kernel's own.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from guests.guest import Guest
from guests.kernel_probes import ask
from guests.outcome import EACCES, EINVAL, ENOSYS, EPERM, OK, Expected, Outcome, error, mismatches
from guests.protocol import wire
from guests.task import Task
from guests.uapi import KCMP_VM, O_RDONLY, O_WRONLY, Cap, Clone
from suites.process_accesses import COMMON_DESCRIPTOR, attach, closed, read_memory, seize, write_memory

ENOTTY = error(errno.ENOTTY)
PIDFD_GET_USER_NAMESPACE = 0xFF09

OBSERVER = Cap.DAC_OVERRIDE | Cap.SYS_NICE | Cap.SYS_ADMIN | Cap.SYS_CHROOT
"""What an observer has, so that nothing but the check refuses it: the modes of files in /proc do not stop it, nor do
the capabilities that some calls need besides.  CAP_SYS_PTRACE, CAP_PERFMON and CAP_CHECKPOINT_RESTORE it lacks."""
_ADMIN = Cap.SYS_ADMIN | Cap.SYS_CHROOT

MAPPING = f"map_files/{wire.ARENA_BASE:x}-{wire.ARENA_BASE + wire.SLOT_COUNT * wire.SLOT_SIZE:x}"
"""The file that all tasks share."""

NOT_EMPTY = replace(OK, name="OK with some bytes", low=1)
"""A read that returns nothing has disclosed nothing."""


class Kind(enum.Flag):
    """What else there is to know about a way in."""

    PLAIN = 0
    FILE = enum.auto()
    """The check takes the filesystem ids and effective capabilities, as for opening a file, and not the real ids and
    permitted capabilities."""
    MEMORY = enum.auto()
    """A process that shares the target's memory has access anyway."""
    ADMIN = enum.auto()
    """It needs CAP_SYS_ADMIN besides."""
    TRACES = enum.auto()
    """It traces the target, which threads of one process may not do to one another."""


@dataclass(frozen=True)
class Way:
    """A way in.  `refused` is its result if the check refuses it."""

    name: str
    act: Callable[[Task, Task], Outcome]
    refused: Expected
    kind: Kind = Kind.PLAIN
    needs: str = ""
    since: tuple[int, ...] = ()
    asks: Callable[[Guest], bool] | None = None
    """Asks an older kernel whether it has the way in all the same: vendors backport."""
    empty_on: tuple[str, ...] = ()
    """Architectures on which there is nothing to read."""
    is_empty: bool = False

    @property
    def allowed(self) -> Expected:
        return NOT_EMPTY if self.name.startswith("/proc/") and not self.is_empty else OK

    def attempt(self, observer: Task, target: Task, *, as_it_is: bool = False) -> Outcome:
        """Make the access with the capabilities that it needs, unless `as_it_is`, and undo what it has done."""
        if as_it_is or Kind.ADMIN not in self.kind:
            return self.act(observer, target)
        # CAP_SYS_ADMIN includes CAP_PERFMON, with which perf events ask nobody.
        observer.set_caps(OBSERVER, permitted=OBSERVER).result()
        done = self.act(observer, target)
        observer.set_caps(OBSERVER & ~_ADMIN, permitted=OBSERVER).result()
        return done


def observer(guest: Guest, *, more: Cap = Cap.NONE) -> Task:
    """A task that only the check can refuse: of the default user, and with no capability that a target has, or with
    these."""
    task = guest.spawn("observer", caps=OBSERVER | more)
    task.set_caps((OBSERVER | more) & ~_ADMIN, permitted=OBSERVER | more).result()
    return task


def _has_call(name: str) -> Callable[[Guest], bool]:
    """Whether the kernel has a call that rejects flags that are all ones."""
    return lambda guest: guest.spawn("asking").call(name, *(-1,) * 6) != ENOSYS


def _has_use_of_pidfds(use: Callable[[Task, int], Outcome]) -> Callable[[Guest], bool]:
    """Whether the kernel knows this use of a pidfd, which a process without privilege tries with its own."""

    def asks(guest: Guest) -> bool:
        task = guest.spawn("asking")
        pidfd = task.call("pidfd_open", task.pid, 0)
        return not pidfd.errno and use(task, pidfd.value) not in (EINVAL, ENOTTY)

    return asks


def _with_pidfd(use: Callable[[Task, int], Outcome]) -> Callable[[Task, Task], Outcome]:
    def act(observer: Task, target: Task) -> Outcome:
        pidfd = observer.call("pidfd_open", target.pid, 0, shown=f"pidfd_open({target})").result()
        done = use(observer, pidfd)
        observer.close(pidfd).result()
        return done

    return act


def _descriptor(observer: Task, pidfd: int) -> Outcome:
    return closed(observer, observer.call("pidfd_getfd", pidfd, COMMON_DESCRIPTOR, 0))


def _namespace_of(observer: Task, pidfd: int) -> Outcome:
    return closed(observer, observer.call("ioctl", pidfd, PIDFD_GET_USER_NAMESPACE, 0))


def _enter(observer: Task, pidfd: int) -> Outcome:
    return observer.call("setns", pidfd, Clone.NEWUTS)


def _move_pages(observer: Task, target: Task) -> Outcome:
    """Asks where a page of the target is, and moves nothing."""
    page = observer.abi.words(wire.data_address(target.slot) & ~0xFFF)
    status = bytes(4)
    return observer.call("move_pages", target.tid, 1, page, None, status, 0, shown=f"move_pages({target})")


def _migrate_pages(observer: Task, target: Task) -> Outcome:
    """From node 0 to itself."""
    node = observer.abi.words(1)
    return observer.call("migrate_pages", target.tid, 2, node, node, shown=f"migrate_pages({target})")


def _opened(file: str, flags: int) -> Callable[[Task, Task], Outcome]:
    return lambda observer, target: closed(observer, observer.open_proc(target, file, flags))


def _read(file: str) -> Callable[[Task, Task], Outcome]:
    return lambda observer, target: observer.read_proc(target, file)


def _link(file: str) -> Callable[[Task, Task], Outcome]:
    return lambda observer, target: observer.read_link(target, file)


def _compare(observer: Task, target: Task) -> Outcome:
    return observer.kcmp(observer, target, KCMP_VM)


def _compare_first(observer: Task, target: Task) -> Outcome:
    return observer.kcmp(target, observer, KCMP_VM)


def _robust_list(observer: Task, target: Task) -> Outcome:
    return observer.robust_list(target)


def _advise(observer: Task, target: Task) -> Outcome:
    return observer.advise(target, wire.data_address(target.slot))


def _event(observer: Task, target: Task) -> Outcome:
    return closed(observer, observer.count_events(target))


def _event_with_signal(observer: Task, target: Task) -> Outcome:
    return closed(observer, observer.count_events(target, sigtrap=True))


def _proc(
    file: str, kind: Kind = Kind.PLAIN, needs: str = "", *, refused: Expected = EACCES, link: bool = False
) -> Way:
    return Way(f"/proc/PID/{file}", (_link if link else _read)(file), refused, Kind.FILE | kind, needs)


_NAMESPACES = {
    "user": "USER_NS",
    "pid": "PID_NS",
    "uts": "UTS_NS",
    "net": "NET_NS",
    "ipc": "IPC_NS",
    "time": "TIME_NS",
}
_FILE, _MEMORY = Kind.FILE, Kind.FILE | Kind.MEMORY

# fmt: off
WAYS = (
    #   name                        how                           refused  kind          needs, since, asks
    Way("process_vm_readv",         read_memory,                  EPERM,   Kind.MEMORY,  "CROSS_MEMORY_ATTACH"),
    Way("process_vm_writev",        write_memory,                EPERM,   Kind.MEMORY,  "CROSS_MEMORY_ATTACH"),
    Way("pidfd_getfd",              _with_pidfd(_descriptor),     EPERM,   Kind.PLAIN,   "", (5, 6),
        _has_call("pidfd_getfd")),
    Way("setns by a pidfd",         _with_pidfd(_enter),          EPERM,   Kind.ADMIN,   "UTS_NS", (5, 8),
        _has_use_of_pidfds(_enter)),
    Way("kcmp",                     _compare,                     EPERM,   Kind.PLAIN,   "KCMP"),
    Way("kcmp of the first",        _compare_first,               EPERM,   Kind.PLAIN,   "KCMP"),
    Way("get_robust_list",          _robust_list,                 EPERM,   Kind.PLAIN,   "FUTEX"),
    Way("move_pages",               _move_pages,                  EPERM,   Kind.PLAIN,   "NUMA"),
    Way("migrate_pages",            _migrate_pages,               EPERM,   Kind.PLAIN,   "NUMA"),
    Way("process_madvise",          _advise,                      EACCES,  _MEMORY,      "ADVISE_SYSCALLS", (5, 10),
        _has_call("process_madvise")),
    Way("namespace of a pidfd",     _with_pidfd(_namespace_of),   EACCES,  _FILE,        "USER_NS", (6, 11),
        _has_use_of_pidfds(_namespace_of)),
    Way("perf event",               _event,                       EACCES,  Kind.PLAIN,   "PERF_EVENTS"),
    Way("perf event with a signal", _event_with_signal,           EACCES,  Kind.PLAIN,   "PERF_EVENTS", (5, 13),
        lambda guest: ask(guest, "perf-attr-size 128")),
    Way("mem for reading",          _opened("mem", O_RDONLY),     EACCES,  _MEMORY),
    Way("mem for writing",          _opened("mem", O_WRONLY),     EACCES,  _MEMORY),
    Way("opening ns/user",          _opened("ns/user", O_RDONLY), EACCES,  _FILE,        "USER_NS"),
    Way("opening root",             _opened("root", O_RDONLY),    EACCES,  _FILE),
    _proc("maps", Kind.MEMORY),
    _proc("numa_maps", Kind.MEMORY, "NUMA"),
    *(_proc(file, Kind.MEMORY, "PROC_PAGE_MONITOR") for file in ("smaps", "smaps_rollup", "pagemap")),
    _proc("environ", Kind.MEMORY),
    _proc("auxv", Kind.MEMORY),
    _proc("io", needs="TASK_IO_ACCOUNTING"),
    _proc("syscall", refused=EPERM),
    _proc("personality", refused=EPERM),
    # arch/arm/kernel/stacktrace.c: with CONFIG_SMP, none but the caller's stack is walked.
    replace(_proc("stack", Kind.ADMIN, "STACKTRACE", refused=EPERM), empty_on=("arm",)),
    replace(_proc(f"fdinfo/{COMMON_DESCRIPTOR}"), since=(5, 14)),
    *(_proc(file, link=True) for file in ("exe", "root", "cwd", f"fd/{COMMON_DESCRIPTOR}", MAPPING, "ns/mnt")),
    *(_proc(f"ns/{kind}", needs=f"{kind.upper()}_NS", link=True) for kind in _NAMESPACES),
    _proc("ns/cgroup", needs="CGROUPS", link=True),
    Way("PTRACE_SEIZE",             seize,                       EPERM,   Kind.TRACES),
    Way("PTRACE_ATTACH",            attach,                      EPERM,   Kind.TRACES),
)
# fmt: on


_SILENT_NAMESPACES = (5, 10, 252), (5, 11)
"""From which version on and up to which other one namespace links report no error where they give nothing."""
_ANSWERS: dict[tuple[str, str], bool] = {}
"""What kernels have answered, by their digests and the names of ways."""


def _has(guest: Guest, way: Way) -> bool:
    """Whether the kernel has a way in, by its version or its own answer."""
    kernel = guest.kernel
    if kernel.version >= way.since or way.asks is None:
        return kernel.version >= way.since
    if (kernel.digest, way.name) not in _ANSWERS:
        _ANSWERS[kernel.digest, way.name] = way.asks(guest)
    return _ANSWERS[kernel.digest, way.name]


def _is_silent(version: tuple[int, ...]) -> bool:
    first, end = _SILENT_NAMESPACES
    return first <= version < end


def supported(guest: Guest) -> list[Way]:
    """The ways that this kernel has, but for those of which suites/yama/waivers.toml knows that they are broken."""
    kernel = guest.kernel
    ways = [way for way in WAYS if (not way.needs or kernel.config.enabled(way.needs)) and _has(guest, way)]
    ways = [replace(way, is_empty=kernel.arch in way.empty_on) for way in ways]
    return [way for way in ways if not ("ns/" in way.name and _is_silent(kernel.version))]


def differences(
    observer: Task, target: Task, ways: Iterable[Way], admits: Callable[[Way], bool], *, as_it_is: bool = False
) -> list[str]:
    """Try each way, and return a line for each that admits the observer, or not, other than `admits` tells."""
    found = {}
    for way in ways:
        done = way.attempt(observer, target, as_it_is=as_it_is)
        found[way.name] = done, way.allowed if admits(way) else way.refused
    return mismatches(found)


FEW = ("process_vm_readv", "pidfd_getfd", "kcmp", "mem for reading", "/proc/PID/maps", "/proc/PID/ns/user")
"""One of each kind: for tests that are about what the check finds, and not about who asks it."""


def few(guest: Guest) -> list[Way]:
    return [way for way in supported(guest) if way.name in FEW]


def not_closed(observer: Task, target: Task, ways: Iterable[Way]) -> list[str]:
    """The ways that do not refuse an observer as they should."""
    return differences(observer, target, ways, lambda _: False)


def not_open(observer: Task, target: Task, ways: Iterable[Way], *, as_it_is: bool = False) -> list[str]:
    """The ways that do not admit an observer, or (`as_it_is`) a task that has other capabilities."""
    return differences(observer, target, ways, lambda _: True, as_it_is=as_it_is)
