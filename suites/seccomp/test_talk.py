# SPDX-License-Identifier: GPL-2.0-or-later
"""seccomp's scenarios from the talk, by the names that the slides give them: the minijail walk, and the race."""

from __future__ import annotations

import pytest

from guests.bpf import Action, Program, allow, arg, deny, notify, policy, trace
from guests.guest import Guest
from guests.outcome import EACCES, EINVAL, OK, exited, killed
from guests.syscalls.seccomp import USER_NOTIF_FLAG_CONTINUE
from guests.task import Task
from guests.uapi import AT_FDCWD, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE, PtraceOption, Signal, number
from suites.seccomp.support.jail import Jail

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
programs = pytest.mark.boot(programs=("cat", "ls"))

MOTD, TEXT = "/tmp/motd", "the message of the day\n"  # noqa: S108 - in the guest
PUBLIC, SECRET = "/tmp/public", "/tmp/secret"  # noqa: S108

CAT_CALLS = (
    *("openat", "newfstatat", "fadvise64", "mmap", "read"),
    *("write", "munmap", "close", "exit_group"),
)
"""cat.policy: nine calls, and no others."""


def cat_policy() -> Program:
    return policy(allow(*CAT_CALLS), default=Action.KILL_PROCESS)


@pytest.mark.requirement("seccomp.privilege")
def test_without_no_new_privs(guest: Guest) -> None:
    """An ordinary user may not filter what a set-uid program would do: EACCES, until no_new_privs rules that out."""
    user = guest.spawn("user", quiet=True)
    assert user.install(cat_policy()) == EACCES
    assert user.no_new_privs() == OK
    assert user.install(cat_policy()) == OK


@programs
@pytest.mark.requirement("seccomp.allow")
def test_cat_under_its_nine_call_policy(guest: Guest) -> None:
    """Nine calls are all that cat needs."""
    guest.upload(MOTD, TEXT.encode())
    cat = Jail(guest, "cat", MOTD, policy=cat_policy())
    assert cat.run() == exited(0)
    assert cat.output() == TEXT


@programs
@pytest.mark.requirement("seccomp.errno")
def test_cat_whose_openat_returns_einval(guest: Guest) -> None:
    """`openat: return EINVAL`: cat lives on, and reports what it was told."""
    guest.upload(MOTD, TEXT.encode())
    cat = Jail(guest, "cat", MOTD, policy=policy(deny("openat", errno=EINVAL)))
    assert cat.run() == exited(1)
    assert cat.output() == f"cat: {MOTD}: Invalid argument\n"


@programs
@pytest.mark.needs("AUDIT")
@pytest.mark.requirement("seccomp.kill-process", "seccomp.log")
def test_ls_under_the_policy_of_cat(guest: Guest) -> None:
    """ls asks its terminal for its width, which cat never does: SIGSYS, and the log names the call."""
    ls = Jail(guest, "ls", "/proc/sys/kernel/random", policy=cat_policy())
    assert ls.run() == killed(Signal.SYS)
    assert f" syscall={number('ioctl')} " in guest.wait_for_log("type=1326")


@programs
@pytest.mark.requirement("seccomp.arguments")
def test_ls_with_ioctl_on_its_standard_output(guest: Guest) -> None:
    """`ioctl: arg0 == 1` lets ls ask about its standard output, and about nothing else."""
    more = ("statx", "getdents64", "getxattr", "lgetxattr", "fcntl")

    def ls(descriptor: int) -> Jail:
        rules = allow("ioctl", when=arg(0) == descriptor), allow(*CAT_CALLS, *more)
        return Jail(guest, "ls", "/proc/sys/net", policy=policy(*rules, default=Action.KILL_PROCESS))

    allowed = ls(1)
    assert allowed.run() == exited(0)
    assert "unix" in allowed.output().split()
    assert ls(0).run() == killed(Signal.SYS)


class Victim:
    """A process that opens the path in its own memory, and a thread of it that may rewrite it meanwhile."""

    def __init__(self, guest: Guest, parent: Task) -> None:
        for path in (PUBLIC, SECRET):
            guest.upload(path, path.encode())
        self.opener = parent.spawn("opener", quiet=True)
        self.rewriter = self.opener.thread("rewriter")
        protection, sharing = PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
        self.path = self.opener.call("mmap", None, 4096, protection, sharing, -1, 0).result()
        self._write(PUBLIC)
        self.opener.no_new_privs().result()

    def rewrite(self) -> None:
        """The other thread puts the other path in the place of the approved one."""
        self._write(SECRET)

    def _write(self, path: str) -> None:
        content = path.encode() + b"\0"
        assert self.rewriter.copy(self.path, self.rewriter.store(content), len(content)) == OK


@pytest.mark.requirement("seccomp.pointer-race", "seccomp.trace")
def test_argument_race_under_a_tracer(guest: Guest) -> None:
    """The tracer reads the path and approves it; it is rewritten; the kernel, reading it last, opens the other."""
    tracer = guest.spawn("tracer")
    victim = Victim(guest, tracer)
    victim.opener.install(policy(trace("openat"))).result()
    tracer.seize(victim.opener, PtraceOption.TRACESECCOMP).result()
    call = victim.opener.begin("openat", AT_FDCWD, victim.path, 0, 0)
    tracer.wait(victim.opener)
    assert approved_path(tracer, victim) == PUBLIC
    victim.rewrite()
    tracer.resume(victim.opener).result()
    opened = call.outcome().result()
    assert victim.opener.read(opened, len(SECRET)).read().decode() == SECRET


@pytest.mark.requirement("seccomp.pointer-race", "seccomp.user-notif-continue")
def test_argument_race_under_a_listener(guest: Guest) -> None:
    """The same with a supervisor that reads the path and lets the call continue."""
    supervisor = guest.root("supervisor")
    victim = Victim(guest, guest.spawn("parent"))
    there = victim.opener.listen(policy(notify("openat"))).result()
    listener = supervisor.pidfd_getfd(victim.opener, there).result()
    call = victim.opener.begin("openat", AT_FDCWD, victim.path, 0, 0)
    asked = supervisor.receive(listener)
    assert approved_path(supervisor, victim) == PUBLIC
    victim.rewrite()
    assert supervisor.reply(listener, asked.id, flags=USER_NOTIF_FLAG_CONTINUE) == OK
    opened = call.outcome().result()
    assert victim.opener.read(opened, len(SECRET)).read().decode() == SECRET


def approved_path(supervisor: Task, victim: Victim) -> str:
    """What a careful supervisor finds behind the pointer."""
    return supervisor.read_memory(victim.opener, victim.path, len(PUBLIC)).decode()
