# SPDX-License-Identifier: GPL-2.0-or-later
"""What else execve() does when a program gives ids or capabilities, and where it gives none."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import exited, returned
from guests.promises import breaks
from guests.task import Task
from guests.uapi import Cap, Clone, Prctl, Signal
from suites.ptrace.support.programs import Programs, execute

PR_GET_PDEATHSIG = 2
ADDR_NO_RANDOMIZE = 0x0040000
ASK = 0xFFFFFFFF
AT_SECURE = 23
ROOT_LINK = "/root"
RLIMIT_STACK = 3
USUAL_STACK = 8 << 20
"""_STK_LIM, in bytes."""
GAINED = Cap.SYS_NICE

# fmt: off
PROGRAMS = [
    #             how it is created                 does it give anything?
    pytest.param({},                                False,  id="an-ordinary-program"),
    pytest.param({"mode": 0o4755},                  True,   id="set-uid"),
    pytest.param({"mode": 0o2755},                  True,   id="set-gid"),
    pytest.param({"caps": GAINED},                  True,   id="with-capabilities",
                 marks=pytest.mark.needs("TMPFS_XATTR")),
]
# fmt: on


def secure(guest: Guest, task: Task) -> int:
    """AT_SECURE, by which the kernel tells the C library that the program has gained something."""
    return task.abi.pairs(guest.read_bytes(f"/proc/{task.pid}/auxv"))[AT_SECURE]


@pytest.mark.requirement("ptrace.exec-secure", "ptrace.exec-stack-limit")
@pytest.mark.parametrize(("made", "gives"), PROGRAMS)
def test_secure_execution(guest: Guest, made: dict[str, int], gives: bool) -> None:
    """A program that gives something is told so, and its addresses, signals and stack are not its caller's choice."""
    target = guest.spawn("target")
    path = Programs(guest).create(**made)  # type: ignore[arg-type]
    target.call("personality", ADDR_NO_RANDOMIZE).result()
    target.call("prctl", Prctl.SET_PDEATHSIG, Signal.TERM, 0, 0, 0).result()
    target.call("setrlimit", RLIMIT_STACK, target.abi.words(8 * USUAL_STACK, 8 * USUAL_STACK)).result()
    execute(target, path).result()
    with breaks("ptrace.exec-secure"):
        assert secure(guest, target) == int(gives)
        # An architecture may add flags of its own.
        assert target.call("personality", ASK).result() & ADDR_NO_RANDOMIZE == (0 if gives else ADDR_NO_RANDOMIZE)
        signal = target.store(bytes(4))
        target.call("prctl", PR_GET_PDEATHSIG, signal, 0, 0, 0).result()
        assert target.abi.integer(target.load(signal, 4)) == (0 if gives else Signal.TERM)
    with breaks("ptrace.exec-stack-limit"):
        soft, hard = target.abi.unpack("QQ", target.call("prlimit64", 0, RLIMIT_STACK, None, Out(16)).read())
        assert (soft, hard) == (USUAL_STACK if gives else 8 * USUAL_STACK, 8 * USUAL_STACK)


@pytest.mark.requirement("ptrace.exec-shared-directory")
def test_shared_directory(guest: Guest) -> None:
    """A process that shares its directory with another one gains nothing; with its own threads, it does."""
    path = Programs(guest).create(mode=0o6755)
    target, alone = guest.spawn("target"), guest.spawn("alone")
    sharer = target.spawn("sharer", flags=Clone.FS)
    alone.thread("thread")
    execute(target, path).result()
    execute(alone, path).result()
    assert target.call("geteuid") == returned(1000)
    assert target.call("getegid") == returned(1000)
    assert alone.call("geteuid") == returned(0)
    assert alone.call("getegid") == returned(0)
    sharer.exit().require(exited(0))
    target.reap(sharer).result()
    execute(target, path).result()
    assert target.call("geteuid") == returned(0)


@pytest.mark.needs("BINFMT_SCRIPT")
@pytest.mark.requirement("ptrace.exec-scripts")
def test_scripts(guest: Guest) -> None:
    """The set-uid bit of a script has no effect; that of its interpreter has."""
    programs = Programs(guest)
    for mode, interpreters, uid in ((0o4755, 0o755, 1000), (0o755, 0o4755, 0)):
        target = guest.spawn("target")
        execute(target, programs.create_script(target, programs.create(mode=interpreters), mode=mode)).result()
        assert target.call("geteuid") == returned(uid)
        assert target.call("prctl", Prctl.GET_DUMPABLE, 0, 0, 0, 0) == returned(1 if uid else 0)


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
