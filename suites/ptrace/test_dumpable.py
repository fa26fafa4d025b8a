# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumpability: whose it is, and what changes it, as every way in sees it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, OK, returned
from guests.promises import breaks
from guests.task import Task
from guests.uapi import Cap, Clone, Prctl, Signal
from suites.process_accesses import read_memory
from suites.ptrace.support.privileges import death_signal, set_death_signal
from suites.ptrace.support.ways import OBSERVER, Kind, differences, not_closed, not_open, observer, supported

pytestmark = pytest.mark.needs("CROSS_MEMORY_ATTACH")


@pytest.mark.requirement("ptrace.dumpable")
def test_by_every_way(guest: Guest) -> None:
    """A process of the same user is open while it is dumpable, closed after PR_SET_DUMPABLE 0, and open again."""
    watcher, target = observer(guest), guest.spawn("target")
    assert not_open(watcher, target, supported(guest)) == []
    assert target.set_dumpable(False) == OK
    assert not_closed(watcher, target, supported(guest)) == []
    assert target.set_dumpable(True) == OK
    assert not_open(watcher, target, supported(guest)) == []


@pytest.mark.requirement("ptrace.dumpable")
def test_with_the_capability(guest: Guest) -> None:
    """Root has access to a process that is not dumpable, by every way."""
    root, target = guest.root(), guest.spawn("target")
    target.set_dumpable(False).result()
    assert not_open(root, target, supported(guest), as_it_is=True) == []


# Whose it is


@pytest.mark.requirement("ptrace.dumpable-memory")
def test_threads_and_sharers(guest: Guest) -> None:
    """PR_SET_DUMPABLE by a thread, or by another process that shares the memory, is for all of them."""
    watcher, target = observer(guest), guest.spawn("target")
    thread, sharer = target.thread("thread"), target.spawn("sharer", flags=Clone.VM)
    for task in (thread, sharer):
        assert task.set_dumpable(False) == OK
        for each in (target, thread, sharer):
            assert each.get_dumpable() == returned(0)
            assert read_memory(watcher, each) == EPERM
        assert task.set_dumpable(True) == OK
        for each in (target, thread, sharer):
            assert each.get_dumpable() == returned(1)
            assert read_memory(watcher, each) == OK


@pytest.mark.requirement("ptrace.dumpable")
def test_access_to_what_is_shared(guest: Guest) -> None:
    """Threads may do everything but trace one another; a process that shares the memory has access to it alone."""
    target = guest.spawn("target", caps=OBSERVER)
    thread, sharer = target.thread("thread"), target.spawn("sharer", flags=Clone.VM)
    for task in (target, sharer):
        task.set_caps(OBSERVER & ~Cap.SYS_ADMIN, permitted=OBSERVER).result()
    target.set_dumpable(False).result()
    with_threads, ways = [way for way in supported(guest) if Kind.ADMIN not in way.kind], supported(guest)
    assert differences(thread, target, with_threads, lambda way: Kind.TRACES not in way.kind, as_it_is=True) == []
    assert differences(sharer, target, ways, lambda way: Kind.MEMORY in way.kind) == []


@pytest.mark.requirement("ptrace.dumpable-memory")
def test_children(guest: Guest) -> None:
    """A child has the dumpability that its parent had, and each then changes its own."""
    watcher, parent = observer(guest), guest.spawn("parent")
    parent.set_dumpable(False).result()
    closed = parent.spawn("closed")
    assert read_memory(watcher, closed) == EPERM
    assert parent.set_dumpable(True) == OK
    opened = parent.spawn("opened")
    assert read_memory(watcher, closed) == EPERM
    assert read_memory(watcher, opened) == OK
    assert opened.set_dumpable(False) == OK
    assert read_memory(watcher, opened) == EPERM
    assert read_memory(watcher, parent) == OK


@pytest.mark.requirement("ptrace.dumpable-memory")
def test_values(guest: Guest) -> None:
    """PR_SET_DUMPABLE accepts 0 and 1; 2, which only the kernel sets, and anything else are EINVAL."""
    target = guest.spawn("target")
    for value in (2, 3, -1, target.abi.highest_bit):
        assert target.call("prctl", Prctl.SET_DUMPABLE, value, 0, 0, 0) == EINVAL
        assert target.get_dumpable() == returned(1)
    assert target.set_dumpable(False) == OK
    assert target.get_dumpable() == returned(0)


# Credentials

Change = Callable[[Task], object]


def _ids(call: str, *arguments: int) -> Change:
    return lambda task: task.call(call, *arguments).result()


CAPABLE = Cap.SETUID | Cap.SETGID

# fmt: off
CHANGES = {
    # what changes                            how                                         is it dumpable then?
    "effective-uid":                          (_ids("setresuid", -1, 1001, -1),            0),
    "effective-gid":                          (_ids("setresgid", -1, 1001, -1),            0),
    "filesystem-uid":                         (_ids("setfsuid", 1001),                     0),
    "filesystem-gid":                         (_ids("setfsgid", 1001),                     0),
    "all-uids":                               (_ids("setresuid", 1001, 1001, 1001),        0),
    "all-gids":                               (_ids("setresgid", 1001, 1001, 1001),        0),
    "real-uid":                               (_ids("setresuid", 1001, -1, -1),            1),
    "saved-uid":                              (_ids("setresuid", -1, -1, 1001),            1),
    "real-gid":                               (_ids("setresgid", 1001, -1, -1),            1),
    "saved-gid":                              (_ids("setresgid", -1, -1, 1001),            1),
    "nothing":                                (_ids("setresuid", 1000, 1000, 1000),        1),
    "groups":                                 (_ids("setgroups", 0, 0),                    1),
    "no-new-privs":                           (lambda task: task.set_no_new_privs().result(), 1),
    "fewer-capabilities":                     (lambda task: task.set_caps(Cap.NONE).result(), 1),
    "fewer-effective-capabilities":           (lambda task: task.set_caps(Cap.NONE, CAPABLE).result(), 1),
}
# fmt: on


@pytest.mark.requirement("ptrace.dumpable-credentials", "ptrace.death-signal-credentials")
@pytest.mark.parametrize("what", CHANGES)
def test_change_of_credentials(guest: Guest, what: str) -> None:
    """Only effective and filesystem ids matter, and capabilities that are gained; the dumpability is not restored."""
    change, wanted = CHANGES[what]
    target = guest.spawn("target", caps=CAPABLE)
    thread = target.thread("thread")
    assert target.get_dumpable() == returned(1)
    set_death_signal(target, Signal.TERM)
    change(target)
    with breaks("ptrace.dumpable-credentials"):
        assert target.get_dumpable() == returned(wanted)
        assert thread.get_dumpable() == returned(wanted)
    with breaks("ptrace.death-signal-credentials"):
        assert death_signal(target) == (Signal.TERM if wanted else 0)


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("ptrace.dumpable-credentials")
def test_entering_a_namespace(guest: Guest) -> None:
    """Entering a user namespace gains capabilities, except for the user who owns it and has them there anyway."""
    owner = guest.spawn("owner")
    inside = owner.spawn("inside", flags=Clone.NEWUSER)
    visitor = guest.root("visitor")
    for task, wanted in ((owner, 1), (visitor, 0)):
        namespace = task.open(f"/proc/{inside.pid}/ns/user").result()
        assert task.get_dumpable() == returned(1)
        task.call("setns", namespace, Clone.NEWUSER).result()
        assert task.get_dumpable() == returned(wanted)


@pytest.mark.requirement("ptrace.dumpable-credentials")
def test_effective_again(guest: Guest) -> None:
    """Capabilities that are permitted and become effective again were not gained."""
    target = guest.spawn("target", caps=CAPABLE)
    target.set_caps(Cap.NONE, permitted=CAPABLE).result()
    assert target.get_dumpable() == returned(1)
    target.set_caps(CAPABLE).result()
    assert target.get_dumpable() == returned(1)


@pytest.mark.requirement("ptrace.dumpable-credentials", "ptrace.death-signal-credentials")
@pytest.mark.parametrize(("before", "change"), [("setfsuid", "setresuid"), ("setfsgid", "setresgid")])
def test_change_of_an_effective_id_alone(guest: Guest, before: str, change: str) -> None:
    """An effective id matters by itself, also if the filesystem id, which follows it, is the new one already."""
    target = guest.spawn("target", caps=CAPABLE)
    target.call(before, 1001).result()
    target.set_dumpable(True).result()
    set_death_signal(target, Signal.TERM)
    # Nothing changes, and so neither do these.
    target.call(change, -1, -1, -1).result()
    assert target.get_dumpable() == returned(1)
    assert death_signal(target) == Signal.TERM
    target.call(change, -1, 1001, -1).result()
    with breaks("ptrace.dumpable-credentials"):
        assert target.get_dumpable() == returned(0)
    with breaks("ptrace.death-signal-credentials"):
        assert death_signal(target) == 0
