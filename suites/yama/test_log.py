# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines that Yama logs: their text, names and numbers, and the cases in which it logs nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from guests.call_arguments import Out
from guests.call_plan import Plan, run
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EACCES, EAGAIN, EINVAL, EPERM, OK
from guests.task import Task
from guests.uapi import O_NONBLOCK, O_RDONLY, PTRACER_ANY, Cap, Clone, Ptrace
from suites.yama.support import relations
from suites.yama.support.accesses import ACCESSES, LOCKING, SCOPE, Access, missing_for, prepare, scopes
from suites.yama.support.denials import denials

pytestmark = pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "PRINTK")

LEVEL, NOTICE = 7, 5
"""The bits of a record's first number that are its level, and one of the levels (printk(9))."""


@pytest.mark.requirement("yama.log")
@pytest.mark.parametrize(
    "access", [pytest.param(access, id=access.name.replace(" ", "-").replace("/", "-")) for access in ACCESSES]
)
def test_every_access_is_logged(guest: Guest, access: Access) -> None:
    """For every kind of access, the line says `attach` and names the target and the task that attempted it."""
    if missing := missing_for(guest, access):
        pytest.skip(missing)
    prepare(guest, 1)
    tracer, target = relations.stranger(guest)
    assert access.attempt(tracer, target) == access.refused
    wanted = f'ptrace attach of "target"[{target.pid}] was attempted by "tracer"[{tracer.pid}]'
    assert denials(guest) == [wanted]


@pytest.mark.requirement("yama.log")
@pytest.mark.parametrize("scope", scopes(1, 2, 3), ids=lambda scope: f"scope-{scope}-denial-is-logged")
def test_attach(guest: Guest, scope: int) -> None:
    """At each scope that refuses, each attempt is logged once."""
    guest.set_sysctl(SCOPE, scope)
    tracer, target = relations.stranger(guest)
    assert tracer.attach(target) == EPERM
    line = f'ptrace attach of "target"[{target.pid}] was attempted by "tracer"[{tracer.pid}]'
    assert denials(guest) == [line]
    assert tracer.seize(target) == EPERM
    assert denials(guest) == [line, line]


@pytest.mark.requirement("yama.log")
@pytest.mark.parametrize("scope", scopes(2, 3), ids=lambda scope: f"scope-{scope}-denied-traceme-is-logged")
def test_traceme(guest: Guest, scope: int) -> None:
    """The log names the task that called TRACEME as target, and its parent as the one that attempted it."""
    guest.set_sysctl(SCOPE, scope)
    parent = guest.spawn("parent")
    child = parent.spawn("child")
    assert child.traceme() == EPERM
    assert denials(guest) == [f'ptrace traceme of "child"[{child.pid}] was attempted by "parent"[{parent.pid}]']


@pytest.mark.requirement("yama.log")
def test_threads_have_their_own_numbers(guest: Guest) -> None:
    """The numbers in the log are those of the threads, the names those of their processes."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = relations.stranger(guest)
    attempting, attempted = tracer.thread("attempting"), target.thread("attempted")
    assert attempting.attach(attempted) == EPERM
    assert denials(guest) == [
        f'ptrace attach of "target"[{attempted.tid}] was attempted by "tracer"[{attempting.tid}]'
    ]


@pytest.mark.requirement("yama.log")
def test_traceme_of_threads(guest: Guest) -> None:
    """A refused TRACEME is logged with the numbers of the calling thread and of the one that forked the child."""
    guest.set_sysctl(SCOPE, 2)
    forker = guest.spawn("parent").thread("forker")
    thread = forker.spawn("child").thread("thread")
    assert thread.traceme() == EPERM
    assert denials(guest) == [f'ptrace traceme of "child"[{thread.tid}] was attempted by "parent"[{forker.tid}]']


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("yama.log")
def test_numbers_are_those_of_the_initial_pid_namespace(guest: Guest) -> None:
    """The numbers in the log are those of the initial pid namespace, whatever namespace the tasks are in."""
    guest.set_sysctl(SCOPE, 1)
    first = guest.spawn("first", flags=Clone.NEWPID)
    tracer, target = first.spawn("tracer"), first.spawn("target")
    require(tracer.own_tid != tracer.tid, f"{tracer} has the same number in both pid namespaces")
    assert tracer.open_proc(target, "mem") == EACCES
    assert denials(guest) == [f'ptrace attach of "target"[{target.tid}] was attempted by "tracer"[{tracer.tid}]']


@pytest.mark.requirement("yama.log-names")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param('say "hi"', r"say \x22hi\x22", id="quotes"),
        pytest.param("two\nlines", r"two\x0alines", id="a-newline"),
        pytest.param("tab\tbell\a", r"tab\x09bell\x07", id="control-characters"),
        pytest.param("erase\x1b[2J\rover", r"erase\x1b[2J\x0dover", id="what-commands-a-terminal"),
        pytest.param("form\ffeed\vtab", r"form\x0cfeed\x0btab", id="what-moves-down-the-page"),
        pytest.param("back\\slash", r"back\x5cslash", id="a-backslash"),
        pytest.param("two words", "two words", id="a-space"),
    ],
)
def test_names_cannot_forge_lines(guest: Guest, name: str, shown: str) -> None:
    """Whatever name a task gives itself, the log shows it as one quoted name on one line."""
    guest.set_sysctl(SCOPE, 1)
    target, stranger = guest.spawn(name), guest.spawn("stranger")
    assert stranger.attach(target) == EPERM
    assert target.attach(stranger) == EPERM
    assert denials(guest) == [
        f'ptrace attach of "{shown}"[{target.pid}] was attempted by "stranger"[{stranger.pid}]',
        f'ptrace attach of "stranger"[{stranger.pid}] was attempted by "{shown}"[{target.pid}]',
    ]


@pytest.mark.requirement("yama.log-names")
@pytest.mark.parametrize("word", ["short", "long" * 100], ids=["short", "long"])
def test_name_is_the_command_line(guest: Guest, word: str) -> None:
    """The name in the log is the whole command line, with spaces between arguments, not the 15 characters of comm."""
    guest.set_sysctl(SCOPE, 1)
    target, stranger = guest.spawn("target"), guest.spawn("stranger")
    target.execute_again(word).result()
    assert stranger.attach(target) == EPERM
    name = f"/init task {target.slot} {word}"
    assert denials(guest) == [f'ptrace attach of "{name}"[{target.pid}] was attempted by "stranger"[{stranger.pid}]']


@pytest.mark.requirement("yama.log-silence")
def test_what_is_allowed_is_not_logged(guest: Guest) -> None:
    """Nothing is logged for an ancestor, a declared or capable tracer, a refusal by DAC alone, or a declaration."""
    guest.set_sysctl(SCOPE, 1)
    shell, stranger = guest.spawn("shell"), guest.spawn("stranger")
    target = shell.spawn("target")
    assert shell.attach_and_wait(target) == OK
    assert shell.detach(target) == OK
    assert target.set_ptracer(PTRACER_ANY) == OK
    assert stranger.attach_and_wait(target) == OK
    assert stranger.detach(target) == OK
    assert target.spawn("child").traceme() == OK
    assert guest.spawn("capable", caps=Cap.SYS_PTRACE).seize(stranger) == OK
    assert guest.spawn("other", uid=1001).attach(shell) == EPERM
    assert target.set_ptracer(0x3FFFFF) == EINVAL
    assert denials(guest) == []
    assert stranger.attach(shell) == EPERM
    assert len(denials(guest)) == 1


@LOCKING
@pytest.mark.requirement("yama.log-silence")
def test_read_accesses_are_not_logged(guest: Guest) -> None:
    """Read accesses, which Yama does not govern, log nothing, even at scope 3."""
    guest.set_sysctl(SCOPE, 3)
    reader, target = relations.stranger(guest)
    for file in ("maps", "environ", "auxv", "stat", "status"):
        assert reader.read_proc(target, file) == OK
    assert denials(guest) == []
    assert reader.attach(target) == EPERM
    assert len(denials(guest)) == 1


@pytest.mark.requirement("yama.log")
def test_level(guest: Guest) -> None:
    """The log level is notice, neither warning nor info."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = relations.stranger(guest)
    reader = guest.root("reader")
    fd = reader.open("/dev/kmsg", O_RDONLY | O_NONBLOCK).result()
    reader.call("lseek", fd, 0, os.SEEK_END).result()
    assert tracer.attach(target) == EPERM
    facility_and_levels = [int(each.split(b",")[0]) for each in records(reader, fd) if b";ptrace attach" in each]
    assert [number & LEVEL for number in facility_and_levels] == [NOTICE]


def records(reader: Task, kmsg: int) -> Iterator[bytes]:
    """The records of /dev/kmsg from here on, one per read: the kernel may have logged other lines as well."""
    while not (got := reader.read(kmsg, 8192)).errno:
        yield got.read()
    got.require(EAGAIN)


@pytest.mark.requirement("yama.log-rate")
def test_rate(guest: Guest) -> None:
    """Ten lines are logged in five seconds, however many denials there are; access is still denied."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = relations.stranger(guest)
    plan = Plan(tracer.slot)
    plan.call("ptrace", Ptrace.ATTACH, target.tid, 0, 0)
    began = seconds(tracer)
    assert run(tracer, plan, rounds=500) == [{"EPERM": 500}]
    # On a machine that stalls, another interval may begin; jiffies may be a little ahead of the clock.
    intervals = 1 + int((seconds(tracer) - began + 1) / 5)
    logged = len(denials(guest))
    assert 10 <= logged <= 10 * intervals, f"{logged} of 500 denials were logged in {intervals} intervals of 5 s"


def seconds(task: Task) -> float:
    """The guest's monotonic clock."""
    now = task.call("clock_gettime", time.CLOCK_MONOTONIC, Out(16)).read()
    whole, nanoseconds = task.abi.unpack("qq", now)
    return float(whole + nanoseconds / 1e9)
