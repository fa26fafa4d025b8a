# SPDX-License-Identifier: GPL-2.0-or-later
"""What else execve() does when a program gives ids or capabilities, and where it gives none."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EPERM, OK, Expected, exited, returned
from guests.promises import breaks
from guests.task import Task
from guests.uapi import ADDR_NO_RANDOMIZE, Cap, Clone, Signal
from suites.ptrace.support.privileges import (
    LONG_KNOWN,
    death_signal,
    drop_from_bounding_set,
    keep_capabilities,
    make_ambient,
    make_inheritable,
    permitted,
    set_death_signal,
)
from suites.ptrace.support.programs import Programs, execute, give_capabilities
from suites.ptrace.support.ways import few, not_closed, not_open, observer

SETPCAP = Cap(1 << 8)
ASK = 0xFFFFFFFF
AT_SECURE = 23
ROOT_LINK = "/root"
RLIMIT_STACK = 3
USUAL_STACK = 8 << 20
"""_STK_LIM, in bytes."""
GAINED = Cap.SYS_NICE
SENDS_SIGSYS = Clone(Signal.SYS)
"""Of clone(): the lowest byte is the signal.  The agent adds the bits of SIGCHLD, which SIGSYS has."""

xattr = pytest.mark.needs("TMPFS_XATTR")

# fmt: off
PROGRAMS = [
    #             who executes it   how it is created       does it give anything?
    pytest.param("user",            {},                     False,  id="an-ordinary-program"),
    pytest.param("user",            {"mode": 0o4755},       True,   id="set-uid"),
    pytest.param("user",            {"mode": 0o2755},       True,   id="set-gid"),
    pytest.param("user",            {"caps": GAINED},       True,   id="with-capabilities", marks=xattr),
    pytest.param("root",            {},                     False,  id="an-ordinary-program-by-root"),
    pytest.param("root",            {"caps": GAINED},       False,  id="with-capabilities-by-root", marks=xattr),
]
# fmt: on


def secure(guest: Guest, task: Task) -> int:
    """AT_SECURE, by which the kernel tells the C library that the program has gained something."""
    return task.abi.pairs(guest.read_bytes(f"/proc/{task.pid}/auxv"))[AT_SECURE]


@pytest.mark.requirement("ptrace.exec-secure", "ptrace.exec-stack-limit")
@pytest.mark.parametrize(("who", "made", "gives"), PROGRAMS)
def test_secure_execution(guest: Guest, who: str, made: dict[str, int], gives: bool) -> None:
    """A program that gives something is told so, and its addresses, signals and stack are not its caller's choice."""
    target = guest.root("target") if who == "root" else guest.spawn("target")
    path = Programs(guest).create(**made)  # type: ignore[arg-type]
    target.call("personality", ADDR_NO_RANDOMIZE).result()
    set_death_signal(target, Signal.TERM)
    target.call("setrlimit", RLIMIT_STACK, target.abi.words(8 * USUAL_STACK, 8 * USUAL_STACK)).result()
    execute(target, path).result()
    with breaks("ptrace.exec-secure"):
        assert secure(guest, target) == int(gives)
        # An architecture may add flags of its own.
        assert target.call("personality", ASK).result() & ADDR_NO_RANDOMIZE == (0 if gives else ADDR_NO_RANDOMIZE)
        assert death_signal(target) == (0 if gives else Signal.TERM)
    with breaks("ptrace.exec-stack-limit"):
        soft, hard = target.abi.unpack("QQ", target.call("prlimit64", 0, RLIMIT_STACK, None, Out(16)).read())
        assert (soft, hard) == (USUAL_STACK if gives else 8 * USUAL_STACK, 8 * USUAL_STACK)


@pytest.mark.requirement("ptrace.exec-signal-of-a-child")
def test_signal_of_a_child(guest: Guest) -> None:
    """The signal that a child sends when it ends is not one of the caller's choice any more after execve()."""
    path = Programs(guest).create(mode=0o4755)
    executed, other = guest.spawn("executed"), guest.spawn("other")
    other.catch(Signal.SYS).result()
    children = [parent.spawn("child", flags=SENDS_SIGSYS) for parent in (executed, other)]
    execute(executed, path).result()
    for parent, child in zip((executed, other), children, strict=True):
        child.exit().require(exited(0))
        assert parent.reap(child) == returned(child.tid)
    assert executed.call("geteuid") == returned(0)
    assert [caught.signal for caught in other.caught_signals()] == [Signal.SYS]


@pytest.mark.needs("BINFMT_SCRIPT")
@pytest.mark.requirement("ptrace.exec-scripts")
def test_scripts(guest: Guest) -> None:
    """The set-uid bit of a script has no effect; that of its interpreter has."""
    programs = Programs(guest)
    for mode, interpreters, uid in ((0o4755, 0o755, 1000), (0o755, 0o4755, 0)):
        target = guest.spawn("target")
        execute(target, programs.create_script(target, programs.create(mode=interpreters), mode=mode)).result()
        assert target.call("geteuid") == returned(uid)
        assert target.get_dumpable() == returned(1 if uid else 0)


@pytest.mark.requirement("ptrace.exec-foreign-mount")
def test_mounts_of_others(guest: Guest) -> None:
    """A set-uid program gives nothing if it is executed through the root of a process in another mount namespace."""
    path = Programs(guest).create(mode=0o4755)
    for flags, uid in ((Clone.NEWNS, 1000), (Clone.NONE, 0)):
        other, target = guest.root("other", flags=flags), guest.spawn("target")
        other.call("setresgid", 1000, 1000, 1000).result()
        other.call("setresuid", 1000, 1000, 1000).result()
        other.set_dumpable(True).result()
        execute(target, f"/proc/{other.pid}{ROOT_LINK}{path}").result()
        assert target.call("geteuid") == returned(uid)


# Capabilities, and saved ids

# fmt: off
BOUNDED = [
    #             the program         what it gives, and to a process that has dropped CAP_KILL
    pytest.param({"mode": 0o4755},    LONG_KNOWN,    OK,    LONG_KNOWN & ~Cap.KILL,  id="set-uid-root"),
    pytest.param({"caps": Cap.KILL},  Cap.KILL,      EPERM, Cap.NONE,                id="with-capabilities",
                 marks=xattr),
]
# fmt: on


@pytest.mark.requirement("ptrace.exec-bounding-set")
@pytest.mark.parametrize(("made", "gives", "executed", "remains"), BOUNDED)
def test_bounding_set(guest: Guest, made: dict[str, int], gives: Cap, executed: Expected, remains: Cap) -> None:
    """A program gives nothing that its process has dropped from the bounding set, or cannot be executed."""
    path = Programs(guest).create(**made)  # type: ignore[arg-type]
    free, bounded = guest.spawn("free"), guest.spawn("bounded", caps=SETPCAP)
    drop_from_bounding_set(bounded, Cap.KILL)
    bounded.set_caps(Cap.NONE).result()
    assert execute(free, path) == OK
    assert permitted(free) & LONG_KNOWN == gives
    assert execute(bounded, path) == executed
    assert permitted(bounded) & LONG_KNOWN == remains


@xattr
@pytest.mark.requirement("ptrace.exec-set-uid-with-capabilities")
def test_set_uid_program_with_capabilities(guest: Guest) -> None:
    """A set-uid program of root gives a user the capabilities of its file if that has any, and root all."""
    programs = Programs(guest)
    without, with_kill = programs.create(mode=0o4755), programs.create(mode=0o4755, caps=Cap.KILL)
    for uid, path, gives in ((1000, without, LONG_KNOWN), (1000, with_kill, Cap.KILL), (0, with_kill, LONG_KNOWN)):
        target = guest.spawn("target", uid=uid)
        execute(target, path).result()
        assert target.call("geteuid") == returned(0)
        assert permitted(target) & LONG_KNOWN == gives


@xattr
@pytest.mark.requirement("ptrace.exec-inheritable")
def test_inheritable_capabilities(guest: Guest) -> None:
    """A file's inheritable capability is given only to a process that has it in its own inheritable set."""
    programs = Programs(guest)
    ordinary, with_kill = programs.create(), programs.create()
    give_capabilities(guest.root(), with_kill, Cap.NONE, inheritable=Cap.KILL).result()
    for path, inheritable, gives in (
        (ordinary, Cap.KILL, Cap.NONE),
        (with_kill, Cap.NONE, Cap.NONE),
        (with_kill, Cap.KILL, Cap.KILL),
    ):
        target = guest.spawn("target", caps=Cap.KILL)
        make_inheritable(target, inheritable)
        execute(target, path).result()
        assert permitted(target) == gives


@pytest.mark.requirement("ptrace.exec-kept-capabilities")
def test_kept_capabilities(guest: Guest) -> None:
    """A program that gives up uid 0 keeps its capabilities if it has set PR_SET_KEEPCAPS, not if its caller has."""
    path = Programs(guest).create(mode=0o4755)
    set_before, set_after = guest.spawn("set before"), guest.spawn("set after")
    keep_capabilities(set_before)
    for target in (set_before, set_after):
        execute(target, path).result()
    keep_capabilities(set_after)
    for target, remains in ((set_before, Cap.NONE), (set_after, LONG_KNOWN)):
        target.call("setresuid", 1000, 1000, 1000).result()
        assert permitted(target) & LONG_KNOWN == remains


# fmt: off
AMBIENT = [
    #             the program                       what a process has then whose ambient set is CAP_KILL
    pytest.param({},                                Cap.KILL,  id="an-ordinary-program"),
    pytest.param({"mode": 0o4755, "uid": 1001},     Cap.NONE,  id="set-uid"),
    pytest.param({"mode": 0o2755, "gid": 1001},     Cap.NONE,  id="set-gid"),
    pytest.param({"caps": GAINED},                  GAINED,    id="with-capabilities", marks=xattr),
]
# fmt: on


@pytest.mark.requirement("ptrace.exec-ambient")
@pytest.mark.parametrize(("made", "remains"), AMBIENT)
def test_ambient_capabilities(guest: Guest, made: dict[str, int], remains: Cap) -> None:
    """A process keeps its ambient capabilities when it executes a program, unless that gives ids or capabilities."""
    target = guest.spawn("target", caps=Cap.KILL)
    path = Programs(guest).create(**made)  # type: ignore[arg-type]
    make_ambient(target, Cap.KILL)
    execute(target, path).result()
    assert permitted(target) == remains


@pytest.mark.requirement("ptrace.exec-saved-ids")
@pytest.mark.parametrize("call", ["setresuid", "setresgid"])
def test_saved_id_that_is_lost(guest: Guest, call: str) -> None:
    """An id that a process has only as its saved one, which closes it to its user, is gone after execve()."""
    watcher, target = observer(guest), guest.spawn("target", caps=Cap.SETUID | Cap.SETGID)
    path = Programs(guest).create()
    target.call(call, -1, -1, 1001).result()
    target.set_caps(Cap.NONE).result()
    assert not_closed(watcher, target, few(guest)) == []
    assert target.call(call, -1, 1001, -1) == OK
    assert target.call(call, -1, 1000, -1) == OK
    execute(target, path).result()
    assert target.call(call, -1, 1001, -1) == EPERM
    assert not_open(watcher, target, few(guest)) == []


@pytest.mark.requirement("ptrace.exec-saved-ids")
@pytest.mark.parametrize("call", ["setresuid", "setresgid"])
def test_saved_id_of_a_program(guest: Guest, call: str) -> None:
    """A set-uid and set-gid program can act as its caller, and then take its own id again."""
    target = guest.spawn("target")
    execute(target, Programs(guest).create(mode=0o6755, uid=1001, gid=1001)).result()
    assert target.call(call, -1, 1000, -1) == OK
    assert target.call(call, -1, 1001, -1) == OK
    assert target.call(call, -1, 1002, -1) == EPERM
