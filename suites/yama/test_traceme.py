# SPDX-License-Identifier: GPL-2.0-or-later
"""PTRACE_TRACEME: a child asks to be traced by its parent, and Yama checks the parent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EPERM, OK, Expected, mismatches
from guests.promises import breaks
from guests.task import Task
from guests.uapi import Cap, Clone, Ptrace, Signal
from suites.yama.support.accesses import LOCKING, SCOPE, scopes

pytestmark = pytest.mark.needs("SECURITY_YAMA", "SYSCTL")

Build = Callable[[Guest], Task]


def of_a_plain_parent(guest: Guest) -> Task:
    return guest.spawn("parent").spawn("child")


def thread_of_a_plain_parent(guest: Guest) -> Task:
    return guest.spawn("parent").spawn("leader").thread("child")


def of_a_capable_parent(guest: Guest) -> Task:
    child = guest.spawn("parent", caps=Cap.SYS_PTRACE).spawn("child")
    child.set_caps(Cap.NONE).result()
    return child


def of_a_thread_of_a_capable_parent(guest: Guest) -> Task:
    """The thread that forked the child is its parent, and has the capability too."""
    child = guest.spawn("parent", caps=Cap.SYS_PTRACE).thread("forker").spawn("child")
    child.set_caps(Cap.NONE).result()
    return child


def of_a_thread_that_alone_is_capable(guest: Guest) -> Task:
    """The thread that forked the child has kept the capability, which the leader has dropped."""
    leader = guest.spawn("parent", caps=Cap.SYS_PTRACE)
    child = leader.thread("forker").spawn("child")
    for task in (leader, child):
        task.set_caps(Cap.NONE).result()
    return child


def of_a_plain_thread_of_a_capable_leader(guest: Guest) -> Task:
    forker = guest.spawn("parent", caps=Cap.SYS_PTRACE).thread("forker")
    forker.set_caps(Cap.NONE).result()
    return forker.spawn("child")


def of_root(guest: Guest) -> Task:
    return guest.root("parent").spawn("child", uid=1000)


def root_of_root(guest: Guest) -> Task:
    return guest.root("parent").spawn("child")


def capable_of_a_parent_that_is_not(guest: Guest) -> Task:
    """The child's effective capability is only permitted to the parent: enough for DAC, but not for Yama."""
    parent = guest.spawn("parent", caps=Cap.SYS_PTRACE)
    child = parent.spawn("child")
    parent.set_caps(Cap.NONE, permitted=Cap.SYS_PTRACE).result()
    return child


def in_a_namespace_its_parent_owns(guest: Guest) -> Task:
    """The parent owns the child's user namespace, which it created together with the child."""
    return guest.spawn("parent").spawn("child", flags=Clone.NEWUSER)


def in_a_namespace_with_its_parent(guest: Guest) -> Task:
    """Both are in the same user namespace, and the parent is capable there."""
    child = guest.spawn("creator").spawn("parent", flags=Clone.NEWUSER).spawn("child")
    child.set_caps(Cap.NONE).result()
    return child


def in_a_namespace_with_its_plain_parent(guest: Guest) -> Task:
    parent = guest.spawn("creator").spawn("parent", flags=Clone.NEWUSER)
    parent.set_caps(Cap.NONE).result()
    return parent.spawn("child")


def orphan(guest: Guest) -> Task:
    """The child's own parent is gone, and init, which is capable, has become its parent."""
    return guest.spawn("grandparent").orphan("child")


def orphan_of_a_plain_subreaper(guest: Guest) -> Task:
    subreaper = guest.spawn("subreaper")
    subreaper.become_subreaper().result()
    return subreaper.spawn("grandparent").orphan("child")


# fmt: off
ROWS: tuple[tuple[str, Build, Expected, Expected, Expected, Expected], ...] = (
    #                                                                                       scope
    #  the child is ...                                                                     0   1   2      3
    ("child-of-a-plain-parent",                  of_a_plain_parent,                        OK, OK, EPERM, EPERM),
    ("thread-of-a-plain-parents-child",          thread_of_a_plain_parent,                 OK, OK, EPERM, EPERM),
    ("child-of-a-capable-parent",                of_a_capable_parent,                      OK, OK, OK,    EPERM),
    ("child-of-a-capable-parents-thread",        of_a_thread_of_a_capable_parent,          OK, OK, OK,    EPERM),
    ("child-of-a-thread-that-alone-is-capable",  of_a_thread_that_alone_is_capable,        OK, OK, OK,    EPERM),
    ("child-of-a-capable-leaders-plain-thread",  of_a_plain_thread_of_a_capable_leader,    OK, OK, EPERM, EPERM),
    ("child-of-root",                            of_root,                                  OK, OK, OK,    EPERM),
    ("root-child-of-root",                       root_of_root,                             OK, OK, OK,    EPERM),
    ("capable-child-of-a-plain-parent",          capable_of_a_parent_that_is_not,          OK, OK, EPERM, EPERM),
    ("child-in-a-namespace-its-parent-owns",     in_a_namespace_its_parent_owns,           OK, OK, OK,    EPERM),
    ("child-in-its-capable-parents-namespace",   in_a_namespace_with_its_parent,           OK, OK, OK,    EPERM),
    ("child-in-its-plain-parents-namespace",     in_a_namespace_with_its_plain_parent,     OK, OK, EPERM, EPERM),
    ("orphan-of-init",                           orphan,                                   OK, OK, OK,    EPERM),
    ("orphan-of-a-plain-subreaper",              orphan_of_a_plain_subreaper,              OK, OK, EPERM, EPERM),
)
# fmt: on

IN_USER_NAMESPACES = (
    in_a_namespace_its_parent_owns,
    in_a_namespace_with_its_parent,
    in_a_namespace_with_its_plain_parent,
)
"""Rows of kernels that have user namespaces (CONFIG_USER_NS)."""

SUMMARIES = (
    "any-child-may-be-traced",
    "any-child-may-be-traced",
    "child-of-the-capable-may-be-traced",
    "no-child-may-be-traced",
)


@pytest.mark.requirement("yama.traceme")
@pytest.mark.parametrize("scope", scopes(*range(4)), ids=lambda scope: f"scope-{scope}-{SUMMARIES[scope]}")
def test_traceme(guest: Guest, scope: int) -> None:
    """Any child may call TRACEME at scopes 0 and 1, a child of a capable parent at scope 2, and none at scope 3."""
    guest.set_sysctl(SCOPE, scope)
    found = {}
    for name, build, *wanted in ROWS:
        if build in IN_USER_NAMESPACES and not guest.kernel.config.enabled("USER_NS"):
            continue
        found[name] = build(guest).traceme(), wanted[scope]
    assert mismatches(found) == []


@LOCKING
@pytest.mark.requirement("yama.traceme", "yama.at-access")
def test_traceme_before_the_scope_was_raised(guest: Guest) -> None:
    """A trace begun by TRACEME continues at scope 3, while the next child is refused."""
    guest.set_sysctl(SCOPE, 1)
    gdb = guest.spawn("gdb")
    first, second = gdb.spawn("first"), gdb.spawn("second")
    secret = first.store(b"password")
    with breaks("yama.traceme"):
        assert first.traceme() == OK
    guest.set_sysctl(SCOPE, 3)
    with breaks("yama.at-access"):
        stopping = first.begin("kill", first, Signal.STOP)
        assert gdb.wait(first).stopped_by == Signal.STOP
        peeked = gdb.ptrace(Ptrace.PEEKDATA, first, secret, Out(gdb.abi.word))
        assert peeked == OK
        assert peeked.read() == b"password"[: gdb.abi.word]
        assert gdb.detach(first) == OK
        assert stopping.outcome() == OK
    with breaks("yama.traceme"):
        assert second.traceme() == EPERM
