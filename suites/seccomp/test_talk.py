# SPDX-License-Identifier: GPL-2.0-or-later
"""seccomp's scenarios from the talk, under the names used on its slides: the minijail walk-through, and the race."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from guests.bpf import Action, Policy, allow, arg, deny, notify, policy, trace
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EACCES, EINVAL, OK, exited, killed
from guests.promises import breaks
from guests.syscalls.base import Pending
from guests.syscalls.seccomp import USER_NOTIF_FLAG_CONTINUE
from guests.task import Task
from guests.uapi import (
    AT_FDCWD,
    MAP_ANONYMOUS,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
    PTRACE_EVENT_SECCOMP,
    PtraceOption,
    Signal,
    number,
)
from guests.vm.programs_for_guests import ProgramError
from suites.seccomp.support.jailed_program import JailedProgram
from suites.seccomp.support.traced_program import trace as trace_program

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
with_programs = pytest.mark.boot(programs=("cat", "ls"))

DIRECTORY = "/tmp"  # noqa: S108 - in the guest
MOTD, TEXT = f"{DIRECTORY}/motd", "the message of the day\n"
LISTING = "motd\n"
PUBLIC, SECRET = "/tmp/public", "/tmp/secret"  # noqa: S108

OPENING = ("open", "openat", "openat2")
"""Calls by which C libraries open a file."""


def only(calls: Iterable[str]) -> Policy:
    """A policy that allows only these calls."""
    return policy(allow(*calls), default=Action.KILL_PROCESS)


@pytest.mark.requirement("seccomp.privilege")
def test_without_no_new_privs(guest: Guest) -> None:
    """An ordinary user cannot filter what a set-uid program would do: EACCES, until no_new_privs rules that out."""
    user = guest.spawn("user", quiet=True)
    assert user.install(only(("exit_group",))) == EACCES
    assert user.set_no_new_privs() == OK
    assert user.install(only(("exit_group",))) == OK


@with_programs
@pytest.mark.needs("CROSS_MEMORY_ATTACH")
@pytest.mark.requirement("seccomp.allow")
def test_cat_under_the_policy_of_its_calls(guest: Guest) -> None:
    """The calls that strace shows are all that cat needs.

    On Debian 12 they are the talk's nine: openat, newfstatat, fadvise64, mmap, read, write, munmap, close and
    exit_group.  On Debian 13, cat calls fstat instead of newfstatat.
    """
    guest.upload(MOTD, TEXT.encode())
    calls = trace_program(guest, "cat", MOTD).names
    cat = JailedProgram(guest, "cat", MOTD, policy=only(calls))
    assert cat.finish() == exited(0)
    assert cat.output() == TEXT


@with_programs
@pytest.mark.needs("CROSS_MEMORY_ATTACH")
@pytest.mark.requirement("seccomp.errno")
def test_cat_whose_openat_returns_einval(guest: Guest) -> None:
    """`openat: return EINVAL`: cat is not killed, and reports the error."""
    guest.upload(MOTD, TEXT.encode())
    cat = JailedProgram(guest, "cat", MOTD, policy=policy(deny(*OPENING, errno=EINVAL)))
    outcome, calls = cat.run_traced()
    opened = [call.outcome for call in calls if call.name in OPENING]
    for opening in opened:
        assert opening == EINVAL
    assert outcome != killed(Signal.SYS)
    # How a program handles the error is up to the program: cat of uutils aborts.
    output = cat.output()
    if not opened or outcome != exited(1) or "Invalid argument" not in output:
        raise ProgramError(
            f"{cat.program} does not report that it could not open a file: {outcome!r}; its output: {output}"
        )


@with_programs
@pytest.mark.needs("AUDIT", "CROSS_MEMORY_ATTACH")
@pytest.mark.requirement("seccomp.kill-process", "seccomp.log")
def test_ls_under_the_policy_of_cat(guest: Guest) -> None:
    """ls makes a call that cat never makes: it dies of SIGSYS, and the log names the call.

    On Debian, this is ioctl, with which ls asks its terminal for the width.
    """
    guest.upload(MOTD, TEXT.encode())
    calls = trace_program(guest, "cat", MOTD).names
    first = trace_program(guest, "ls", DIRECTORY).first_outside(calls)
    ls = JailedProgram(guest, "ls", DIRECTORY, policy=only(calls))
    with breaks("seccomp.kill-process"):
        assert ls.run() == killed(Signal.SYS)
    with breaks("seccomp.log"):
        assert f" syscall={number(first, guest.arch)} " in guest.wait_for_log("type=1326")


@with_programs
@pytest.mark.needs("CROSS_MEMORY_ATTACH")
@pytest.mark.requirement("seccomp.arguments")
def test_ls_with_ioctl_on_its_standard_output(guest: Guest) -> None:
    """`ioctl: arg0 == 1` allows ls to call ioctl on its standard output, and on no other descriptor."""
    guest.upload(MOTD, TEXT.encode())
    others = calls_except_ioctl(guest)

    def ls(descriptor: int) -> JailedProgram:
        rules = allow("ioctl", when=arg(0) == descriptor), allow(*others)
        return JailedProgram(guest, "ls", DIRECTORY, policy=policy(*rules, default=Action.KILL_PROCESS))

    allowed = ls(1)
    assert allowed.finish() == exited(0)
    assert allowed.output() == LISTING
    assert ls(0).run() == killed(Signal.SYS)


def calls_except_ioctl(guest: Guest) -> tuple[str, ...]:
    """The calls of ls but ioctl.  ProgramError unless it calls ioctl only on its standard output, as GNU's does."""
    ls = trace_program(guest, "ls", DIRECTORY)
    if {call.arguments[0] for call in ls.calls if call.name == "ioctl"} != {1}:
        raise ProgramError(
            f"{ls.program} does not call ioctl on its standard output only, which the test relies on",
            hint="install GNU coreutils",
        )
    return tuple(name for name in ls.names if name != "ioctl")


class Victim:
    """A process that opens a path in its own memory, and a thread of it that can overwrite the path meanwhile."""

    def __init__(self, guest: Guest, parent: Task) -> None:
        for path in (PUBLIC, SECRET):
            guest.upload(path, path.encode())
        self.opener = parent.spawn("opener", quiet=True)
        self.rewriter = self.opener.thread("rewriter")
        protection, sharing = PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
        self.path = self.opener.call("mmap", None, 4096, protection, sharing, -1, 0).result()
        self._write(PUBLIC)
        self.opener.set_no_new_privs().result()

    def rewrite(self) -> None:
        """Let the other thread replace the approved path with the other one."""
        self._write(SECRET)

    def _write(self, path: str) -> None:
        content = path.encode() + b"\0"
        self.rewriter.copy(self.path, self.rewriter.store(content), len(content)).result()


@pytest.mark.needs("CROSS_MEMORY_ATTACH")
@pytest.mark.requirement("seccomp.pointer-race", "seccomp.trace")
def test_argument_race_under_a_tracer(guest: Guest) -> None:
    """The tracer approves the path that it reads; a thread overwrites it; the kernel then opens the new path."""
    tracer = guest.spawn("tracer")
    victim = Victim(guest, tracer)
    victim.opener.install(policy(trace("openat"))).result()
    tracer.seize(victim.opener, PtraceOption.TRACESECCOMP).result()
    call = victim.opener.begin("openat", AT_FDCWD, victim.path, 0, 0)
    with breaks("seccomp.trace"):
        assert tracer.wait(victim.opener).event == PTRACE_EVENT_SECCOMP
    approve(tracer, victim)
    victim.rewrite()
    tracer.resume(victim.opener).result()
    with breaks("seccomp.pointer-race"):
        check_opened_secret(victim, call)


@pytest.mark.needs("CROSS_MEMORY_ATTACH")
@pytest.mark.requirement("seccomp.pointer-race", "seccomp.user-notif-continue")
def test_argument_race_under_a_listener(guest: Guest) -> None:
    """A supervisor reads a path and lets the call continue; a thread overwrites it; the kernel opens the new path."""
    supervisor = guest.root("supervisor")
    victim = Victim(guest, guest.spawn("parent"))
    target_fd = victim.opener.listen(policy(notify("openat"))).result()
    listener = supervisor.pidfd_getfd(victim.opener, target_fd).result()
    call = victim.opener.begin("openat", AT_FDCWD, victim.path, 0, 0)
    notif = supervisor.receive(listener)
    approve(supervisor, victim)
    victim.rewrite()
    with breaks("seccomp.user-notif-continue"):
        assert supervisor.reply(listener, notif.id, flags=USER_NOTIF_FLAG_CONTINUE) == OK
    with breaks("seccomp.pointer-race"):
        check_opened_secret(victim, call)


def approve(supervisor: Task, victim: Victim) -> None:
    """A careful supervisor reads the path through the pointer, and finds nothing wrong with it."""
    path = supervisor.read_memory(victim.opener, victim.path, len(PUBLIC) + 1)
    require(path == PUBLIC.encode() + b"\0", f"{supervisor} reads {path!r}")


def check_opened_secret(victim: Victim, call: Pending) -> None:
    """The call has opened the other file, not the one that was approved."""
    opened = call.outcome()
    assert opened == OK
    assert victim.opener.read(opened.value, len(SECRET)).read().decode() == SECRET
