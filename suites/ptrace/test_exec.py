# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumpability after execve(): what a program gains, whether it can be read, and fs.suid_dumpable."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import EPERM, OK, returned
from guests.promises import breaks
from guests.syscalls.seccomp import Poll
from guests.task import Task
from guests.uapi import MAP_SHARED, MS_NOSUID, MS_REMOUNT, PROT_READ, PROT_WRITE, Cap
from suites.process_accesses import read_memory
from suites.ptrace.support.programs import FOLDER, Programs, execute
from suites.ptrace.support.ways import few, not_closed, not_open, observer

pytestmark = pytest.mark.needs("CROSS_MEMORY_ATTACH")

GAINED = Cap.SYS_NICE
"""What a program with capabilities gives.  The observer has it too: its absence cannot be why it is refused."""
NOSUID = "/tmp/nosuid"  # noqa: S108 - the guest's

Make = Callable[[Programs, Task], str]
"""Creates the program that a task is to execute."""


def _file(mode: int, uid: int = 0, gid: int = 0, caps: Cap = Cap.NONE, folder: str = "") -> Make:
    return lambda programs, _: programs.create(mode=mode, uid=uid, gid=gid, caps=caps, folder=folder)


def _dynamic(mode: int, interpreters: int) -> Make:
    return lambda programs, _: programs.create_dynamic(programs.create(mode=interpreters), mode=mode)


def _script(mode: int, interpreters: int) -> Make:
    return lambda programs, task: programs.create_script(task, programs.create(mode=interpreters), mode=mode)


xattr = pytest.mark.needs("TMPFS_XATTR")
scripts = pytest.mark.needs("BINFMT_SCRIPT")

# fmt: off
GAINS = [
    #             the program                            who is it then?
    pytest.param(_file(0o4755, uid=1001),               (1001, 1000), id="set-uid"),
    pytest.param(_file(0o4755),                         (0, 1000),    id="set-uid-root"),
    pytest.param(_file(0o2755, gid=1001),               (1000, 1001), id="set-gid"),
    pytest.param(_file(0o6755, uid=1001, gid=1001),     (1001, 1001), id="set-uid-and-set-gid"),
    pytest.param(_file(0o755, caps=GAINED),             (1000, 1000), id="with-capabilities", marks=xattr),
]
# fmt: on


@pytest.mark.requirement("ptrace.exec-gains")
@pytest.mark.parametrize(("make", "ids"), GAINS)
def test_gains(guest: Guest, make: Make, ids: tuple[int, int]) -> None:
    """A process that gains by execve() is closed, even if it was dumpable before."""
    watcher, target = observer(guest), guest.spawn("target")
    path = make(Programs(guest), target)
    assert not_open(watcher, target, few(guest)) == []
    execute(target, path).result()
    assert target.call("geteuid") == returned(ids[0])
    assert target.call("getegid") == returned(ids[1])
    assert target.get_dumpable() == returned(0)
    assert not_closed(watcher, target, few(guest)) == []


@pytest.mark.requirement("ptrace.exec-gains")
@pytest.mark.parametrize("call", ["setresuid", "setresgid"])
def test_ids_that_differ_already(guest: Guest, call: str) -> None:
    """An ordinary program that a process executes whose effective id is not its real one is not dumpable either."""
    target = guest.spawn("target", caps=Cap.SETUID | Cap.SETGID)
    path = Programs(guest).create()
    target.call(call, -1, 1001, 1001).result()
    target.set_dumpable(True).result()
    execute(target, path).result()
    assert target.get_dumpable() == returned(0)


@pytest.mark.requirement("ptrace.exec-keeps-effective-ids")
@pytest.mark.parametrize("no_new_privs", [False, True], ids=["may-gain", "no-new-privs"])
def test_effective_ids_stay(guest: Guest, no_new_privs: bool) -> None:
    """A process whose effective ids are not its real ones keeps them over execve(), also if that may give nothing."""
    target = guest.spawn("target", caps=Cap.SETUID | Cap.SETGID)
    path = Programs(guest).create()
    for call in ("setresgid", "setresuid"):
        target.call(call, -1, 1001, 1001).result()
    target.set_caps(Cap.NONE).result()
    if no_new_privs:
        target.set_no_new_privs().result()
    execute(target, path).result()
    assert target.call("geteuid") == returned(1001)
    assert target.call("getegid") == returned(1001)


@pytest.mark.needs("PERF_EVENTS")
@pytest.mark.requirement("ptrace.exec-ends-events")
@pytest.mark.parametrize(
    ("make", "ends"),
    [
        pytest.param(_file(0o755), False, id="an-ordinary-program"),
        pytest.param(_file(0o4755), True, id="set-uid"),
        pytest.param(_file(0o711), True, id="unreadable"),
    ],
)
def test_events(guest: Guest, make: Make, ends: bool) -> None:
    """Whoever counted the events of a process learns nothing of a program that makes it non-dumpable."""
    watcher, target = guest.spawn("watcher"), guest.spawn("target")
    path = make(Programs(guest), target)
    events = watcher.count_events(target).result()
    # Only events with a buffer can be waited for.
    watcher.call("mmap", 0, 2 * guest.hello.page_size, PROT_READ | PROT_WRITE, MAP_SHARED, events, 0).result()
    assert not watcher.poll(events) & Poll.HUP
    execute(target, path).result()
    assert bool(watcher.poll(events) & Poll.HUP) == ends


# fmt: off
NO_GAINS = [
    pytest.param(_file(0o755),                                       id="an-ordinary-program"),
    pytest.param(_file(0o6755, uid=1000, gid=1000),                  id="set-uid-to-its-own-user"),
    pytest.param(_file(0o2745, gid=1001),                            id="set-gid-without-execution-by-the-group"),
    pytest.param(_file(0o755, caps=GAINED),                          id="capabilities-that-it-has", marks=xattr),
    pytest.param(_file(0o6755, folder=NOSUID),                       id="set-uid-on-nosuid"),
    pytest.param(_file(0o755, caps=Cap.KILL, folder=NOSUID),         id="capabilities-on-nosuid", marks=xattr),
]
# fmt: on


@pytest.mark.needs("TMPFS")
@pytest.mark.requirement("ptrace.exec-gains-nothing")
@pytest.mark.parametrize("make", NO_GAINS)
def test_gains_nothing(guest: Guest, make: Make) -> None:
    """A process that gains nothing by execve() is open, even if it was not dumpable before."""
    mounter = guest.root("mounter")
    mounter.mount("tmpfs", NOSUID, "tmpfs").result()
    watcher, target = observer(guest), guest.spawn("target", caps=GAINED)
    path = make(Programs(guest), target)
    mounter.call("mount", None, NOSUID, None, MS_REMOUNT | MS_NOSUID, None).result()
    target.set_dumpable(False).result()
    assert read_memory(watcher, target) == EPERM
    execute(target, path).result()
    assert target.get_dumpable() == returned(1)
    assert not_open(watcher, target, few(guest)) == []


@pytest.mark.requirement("ptrace.exec-gains-nothing")
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(_file(0o6755), id="set-uid"),
        pytest.param(_file(0o2755, gid=1001), id="set-gid"),
        pytest.param(_file(0o755, caps=GAINED), id="with-capabilities", marks=xattr),
    ],
)
def test_no_new_privs(guest: Guest, make: Make) -> None:
    """With no_new_privs, a program gives nothing, and the process stays open."""
    watcher, target = observer(guest), guest.spawn("target")
    path = make(Programs(guest), target)
    target.set_no_new_privs().result()
    execute(target, path).result()
    assert target.call("geteuid") == returned(1000)
    assert target.call("getegid") == returned(1000)
    assert target.get_dumpable() == returned(1)
    assert not_open(watcher, target, few(guest)) == []


# Programs that cannot be read

# fmt: off
READABLE = [
    #             the program                   is the process dumpable?
    pytest.param(_file(0o711),                  0, id="an-unreadable-program"),
    pytest.param(_file(0o711, uid=1000),        1, id="a-program-that-its-owner-can-read"),
    pytest.param(_dynamic(0o755, 0o755),        1, id="a-dynamic-program"),
    pytest.param(_dynamic(0o711, 0o755),        0, id="an-unreadable-dynamic-program"),
    pytest.param(_dynamic(0o755, 0o711),        0, id="a-dynamic-program-with-an-unreadable-interpreter"),
    pytest.param(_script(0o755, 0o755),         1, id="a-script", marks=scripts),
    pytest.param(_script(0o711, 0o755),         1, id="an-unreadable-script", marks=scripts),
    pytest.param(_script(0o755, 0o711),         0, id="a-script-with-an-unreadable-interpreter", marks=scripts),
]
# fmt: on


@pytest.mark.requirement("ptrace.exec-unreadable")
@pytest.mark.parametrize(("make", "wanted"), READABLE)
def test_unreadable(guest: Guest, make: Make, wanted: int) -> None:
    """What runs must be readable: the program and its ELF interpreter, or the interpreter of a script."""
    watcher, target = observer(guest), guest.spawn("target")
    path = make(Programs(guest), target)
    execute(target, path).result()
    assert target.get_dumpable() == returned(wanted)
    assert (not_open if wanted else not_closed)(watcher, target, few(guest)) == []


@pytest.mark.requirement("ptrace.exec-unreadable", "ptrace.exec-gains-nothing")
def test_readable_to_whoever_executes(guest: Guest) -> None:
    """The process that executes the program has to be able to read it, be it by a capability."""
    target = guest.spawn("target", caps=Cap.DAC_OVERRIDE)
    path = Programs(guest).create(mode=0o711)
    with breaks("ptrace.exec-unreadable"):
        assert execute(target, path) == OK
        assert target.get_dumpable() == returned(1)
        # It has lost the capability by execve().
        assert execute(target, path) == OK
        assert target.get_dumpable() == returned(0)
    with breaks("ptrace.exec-gains-nothing"):
        assert execute(target, guest.program) == OK
        assert target.get_dumpable() == returned(1)


# fs.suid_dumpable


@pytest.mark.needs("SYSCTL")
@pytest.mark.requirement("ptrace.suid-dumpable")
@pytest.mark.parametrize("value", range(3), ids=lambda value: f"suid-dumpable-{value}")
def test_suid_dumpable(guest: Guest, value: int) -> None:
    """fs.suid_dumpable 1 opens processes that gain by execve() or cannot read their program; 0 and 2 do not."""
    if guest.exists("/proc/sys/kernel/core_pattern"):
        # At 2, a kernel that writes core dumps warns of a pattern that is neither a pipe nor an absolute path.
        guest.set_sysctl("kernel.core_pattern", f"{FOLDER}/core")
    guest.set_sysctl("fs.suid_dumpable", value)
    programs, watcher, target = Programs(guest), observer(guest), guest.spawn("target")
    execute(target, programs.create(mode=0o711)).result()
    assert target.get_dumpable() == returned(value)
    assert (not_open if value == 1 else not_closed)(watcher, target, few(guest)) == []
    for what, make in (("set-uid", _file(0o4755)), ("set-gid", _file(0o2755))):
        gaining = guest.spawn(what)
        execute(gaining, make(programs, gaining)).result()
        assert gaining.get_dumpable() == returned(value)
    changed = guest.spawn("changed", caps=Cap.SETGID)
    changed.call("setresgid", -1, 1001, -1).result()
    assert changed.get_dumpable() == returned(value)
