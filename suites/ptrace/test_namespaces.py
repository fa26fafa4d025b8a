# SPDX-License-Identifier: GPL-2.0-or-later
"""In which user namespace it is decided who may look into a process that is not dumpable."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, OK, Outcome, exited, returned
from guests.task import Task
from guests.uapi import Cap, Clone, Signal
from suites.process_accesses import read_memory
from suites.ptrace.support.privileges import permitted
from suites.ptrace.support.programs import Programs, execute, give_capabilities
from suites.ptrace.support.ways import Way, few, not_closed, not_open
from suites.user_namespaces import map_ids

pytestmark = pytest.mark.needs("USER_NS", "CROSS_MEMORY_ATTACH")

NS_MNT_GET_NEXT, NS_MNT_GET_PREV, MNT_NS_INFO = 0x8010B70B, 0x8010B70C, 16
"""include/uapi/linux/nsfs.h, and the size of struct mnt_ns_info."""

Make = Callable[[Programs, Task], str]


def namespace_root(guest: Guest) -> Task:
    """uid 0 of a namespace, with all capabilities there: user 1000 outside, who owns it."""
    creator = guest.spawn("creator")
    root = creator.spawn("namespace-root", flags=Clone.NEWUSER)
    map_ids(guest, root, "0 1000 1")
    return root


def ways(guest: Guest) -> list[Way]:
    """Those for which the owner of a file in /proc does not matter: it may be root outside."""
    return [way for way in few(guest) if way.name != "mem for reading"]


def enter(task: Task, inside: Task) -> Outcome:
    """setns() into a user namespace."""
    descriptor = task.open(f"/proc/{inside.pid}/ns/user").result()
    done = task.call("setns", descriptor, Clone.NEWUSER)
    task.close(descriptor).result()
    return done


@pytest.mark.requirement("ptrace.namespace-enter")
def test_root_outside_enters(guest: Guest) -> None:
    """Root of a namespace has no access to a process of root that enters it, unless that one is dumpable."""
    inside, visitor = namespace_root(guest), guest.root("visitor")
    enter(visitor, inside).result()
    assert visitor.get_dumpable() == returned(0)
    assert not_closed(inside, visitor, ways(guest)) == []
    visitor.set_dumpable(True).result()
    assert not_open(inside, visitor, ways(guest), as_it_is=True) == []


@pytest.mark.requirement("ptrace.namespace-enter")
def test_owner_enters(guest: Guest) -> None:
    """The memory of a process that enters the namespace is of outside, until it executes a program."""
    inside = namespace_root(guest)
    visitor = guest.spawn("visitor")
    path = Programs(guest).create()
    enter(visitor, inside).result()
    visitor.set_dumpable(False).result()
    assert not_closed(inside, visitor, ways(guest)) == []
    child = visitor.spawn("child")
    assert read_memory(inside, child) == EPERM
    execute(visitor, path).result()
    assert visitor.get_dumpable() == returned(1)
    visitor.set_dumpable(False).result()
    assert not_open(inside, visitor, ways(guest), as_it_is=True) == []


@pytest.mark.requirement("ptrace.namespace-enter")
def test_who_is_outside(guest: Guest) -> None:
    """The owner of the namespace has access to what was executed in it and is not dumpable; another user has not."""
    inside = namespace_root(guest)
    target = inside.spawn("target")
    execute(target, Programs(guest).create()).result()
    target.set_dumpable(False).result()
    assert read_memory(inside, target) == OK
    assert read_memory(guest.spawn("owner"), target) == OK
    assert read_memory(guest.spawn("other", uid=1001), target) == EPERM
    assert read_memory(guest.root(), target) == OK


@pytest.mark.requirement("ptrace.namespace-owner")
def test_owner_of_a_deeper_namespace(guest: Guest) -> None:
    """The owner of a namespace has its capabilities only from the namespace directly above it."""
    outer = guest.spawn("creator", uid=1001).spawn("outer", flags=Clone.NEWUSER)
    map_ids(guest, outer, "0 1001 1\n1 1000 1\n")
    outer.call("setresgid", 1, 1, 1).result()
    outer.call("setresuid", 1, 1, 1).result()
    outer.set_dumpable(True).result()
    inner = outer.spawn("inner", flags=Clone.NEWUSER)
    beside = guest.spawn("creator").spawn("beside", flags=Clone.NEWUSER)
    user = guest.spawn("user")
    assert read_memory(user, beside) == OK
    assert read_memory(user, inner) == EPERM
    assert read_memory(outer, inner) == OK


@pytest.mark.requirement("ptrace.namespace-shared-root")
def test_shared_root(guest: Guest) -> None:
    """A user namespace does not begin, and is not entered, with a root directory that a process outside shares."""
    creator = guest.spawn("creator")
    inside = creator.spawn("inside", flags=Clone.NEWUSER)
    assert creator.call("clone", Clone.NEWUSER | Clone.FS | Signal.CHLD, 0, 0, 0, 0) == EINVAL
    descriptor = creator.open(f"/proc/{inside.pid}/ns/user").result()
    sharer = creator.spawn("sharer", flags=Clone.FS)
    assert creator.call("setns", descriptor, Clone.NEWUSER) == EINVAL
    sharer.exit().require(exited(0))
    creator.reap(sharer).result()
    assert creator.call("setns", descriptor, Clone.NEWUSER) == OK


@pytest.mark.requirement("ptrace.namespace-threads")
def test_threads(guest: Guest) -> None:
    """A thread does not enter another user namespace without the others, which may always look into it."""
    creator = guest.spawn("creator")
    inside = creator.spawn("inside", flags=Clone.NEWUSER)
    thread = creator.thread("thread")
    # The threads share their root directory, too, which is a reason of its own.
    creator.call("unshare", Clone.FS).result()
    assert enter(creator, inside) == EINVAL
    assert creator.call("unshare", Clone.NEWUSER) == EINVAL
    thread.exit_thread()
    thread.wait_death()
    assert enter(creator, inside) == OK


@pytest.mark.requirement("ptrace.namespace-own")
def test_own_namespace(guest: Guest) -> None:
    """A process does not get the capabilities back that it lacks by entering the namespace in which it is."""
    outside = guest.spawn("outside", caps=Cap.SYS_ADMIN)
    inside = outside.spawn("inside", flags=Clone.NEWUSER)
    inside.set_caps(Cap.SYS_ADMIN).result()
    for task in (outside, inside):
        assert enter(task, task) == EINVAL
        assert permitted(task) == Cap.SYS_ADMIN
    assert enter(outside, inside) == OK


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("ptrace.namespace-list")
def test_list_of_mount_namespaces(guest: Guest) -> None:
    """From one mount namespace to the next or the one before comes root outside, but not root of a pid namespace."""
    root, other = guest.root(), guest.root("other", flags=Clone.NEWNS)
    first = guest.root("creator").spawn("first", flags=Clone.NEWPID)
    for task, wanted in ((root, OK), (first, EPERM)):
        for beginning, request in ((root, NS_MNT_GET_NEXT), (other, NS_MNT_GET_PREV)):
            descriptor = task.open(f"/proc/{beginning.pid}/ns/mnt").result()
            shown = f"mount_namespace_beside({beginning})"
            assert task.call("ioctl", descriptor, request, Out(MNT_NS_INFO), shown=shown) == wanted


def _file(mode: int, owner: int, group: int | None = None) -> Make:
    return lambda programs, _: programs.create(mode=mode, uid=owner, gid=owner if group is None else group)


def _dynamic(owner: int) -> Make:
    return lambda programs, _: programs.create_dynamic(programs.create(mode=0o111, uid=owner, gid=owner))


def _script(owner: int) -> Make:
    return lambda programs, task: programs.create_script(task, programs.create(mode=0o111, uid=owner, gid=owner))


scripts = pytest.mark.needs("BINFMT_SCRIPT")

# fmt: off
PROGRAMS = [
    #             the program           may root of the namespace look into the process?
    pytest.param(_file(0o755, 0),       True,  id="readable"),
    pytest.param(_file(0o111, 1000),    True,  id="unreadable-of-the-namespace"),
    pytest.param(_file(0o111, 0),       False, id="unreadable-of-root-outside"),
    pytest.param(_file(0o111, 1001),    False, id="unreadable-of-another-user-outside"),
    pytest.param(_file(0o111, 1000, 0), False, id="unreadable-of-a-group-outside"),
    pytest.param(_file(0o111, 0, 1000), False, id="unreadable-of-root-outside-and-the-namespaces-group"),
    pytest.param(_dynamic(1000),        True,  id="elf-interpreter-of-the-namespace"),
    pytest.param(_dynamic(0),           False, id="elf-interpreter-of-root-outside"),
    pytest.param(_script(1000),         True,  id="interpreter-of-the-namespace", marks=scripts),
    pytest.param(_script(0),            False, id="interpreter-of-root-outside", marks=scripts),
]
# fmt: on


@pytest.mark.requirement("ptrace.namespace-unreadable")
@pytest.mark.parametrize(("make", "admits"), PROGRAMS)
def test_unreadable(guest: Guest, make: Make, admits: bool) -> None:
    """A file that the namespace does not own, and that it cannot read, stays unread if it is executed there."""
    inside = namespace_root(guest)
    target = inside.spawn("target")
    path = make(Programs(guest), target)
    # Neither as the owner of the file, nor by a capability, may the process read it.
    target.set_caps(Cap.NONE).result()
    execute(target, path).result()
    target.set_dumpable(False).result()
    assert (
        not_open(inside, target, ways(guest), as_it_is=True) if admits else not_closed(inside, target, ways(guest))
    ) == []


@pytest.mark.requirement("ptrace.namespace-unreadable")
def test_dumpable_again(guest: Guest) -> None:
    """The process itself may open its memory to root of the namespace, as to its user."""
    inside = namespace_root(guest)
    target = inside.spawn("target")
    target.set_caps(Cap.NONE).result()
    execute(target, Programs(guest).create(mode=0o111)).result()
    assert read_memory(inside, target) == EPERM
    target.set_dumpable(True).result()
    assert read_memory(inside, target) == OK


# fmt: off
SET_IDS = [
    #             its uid, gid    the ids of the process
    pytest.param((1001, 1001),    (1001, 1001),  id="of-the-namespace"),
    pytest.param((0, 1001),       (1000, 1000),  id="uid-of-outside"),
    pytest.param((1001, 0),       (1000, 1000),  id="gid-of-outside"),
]
# fmt: on


@pytest.mark.requirement("ptrace.exec-unmapped-ids")
@pytest.mark.parametrize(("owner", "ids"), SET_IDS)
def test_set_uid_program(guest: Guest, owner: tuple[int, int], ids: tuple[int, int]) -> None:
    """In a namespace that lacks the uid or the gid of a set-uid and set-gid program, this gives neither of them."""
    target = guest.spawn("creator").spawn("target", flags=Clone.NEWUSER)
    map_ids(guest, target, "1000 1000 2")
    execute(target, Programs(guest).create(mode=0o6755, uid=owner[0], gid=owner[1])).result()
    assert target.call("geteuid") == returned(ids[0])
    assert target.call("getegid") == returned(ids[1])
    assert target.get_dumpable() == returned(0 if ids == owner else 1)


@pytest.mark.needs("TMPFS_XATTR")
@pytest.mark.requirement("ptrace.exec-namespaced-capabilities")
def test_capabilities_of_a_namespace(guest: Guest) -> None:
    """Capabilities that root of a namespace has given to a file count there and further inside, but not outside."""
    inside = guest.spawn("creator").spawn("namespace-root", flags=Clone.NEWUSER)
    map_ids(guest, inside, "0 1000 1\n1 1001 1\n")
    user = inside.spawn("user", uid=1)
    nested = user.spawn("nested", flags=Clone.NEWUSER)
    programs = Programs(guest)
    path, of_root_outside = programs.create(uid=1000, gid=1000), programs.create(caps=Cap.KILL)
    assert give_capabilities(inside, path, Cap.KILL) == OK
    for task in (user, nested):
        for program in (path, of_root_outside):
            execute(task, program).result()
            assert permitted(task) == Cap.KILL
    for uid in (1000, 1001):
        outside = guest.spawn("outside", uid=uid)
        execute(outside, path).result()
        assert permitted(outside) == Cap.NONE
        assert outside.get_dumpable() == returned(1)


@pytest.mark.requirement("ptrace.namespace-of-another")
def test_namespace_of_another_user(guest: Guest) -> None:
    """A descriptor of a user namespace lets nobody enter it but its owner, and root."""
    root = guest.root()
    inside = guest.spawn("creator").spawn("inside", flags=Clone.NEWUSER)
    descriptor = root.open(f"/proc/{inside.pid}/ns/user").result()
    for uid, wanted in ((1001, EPERM), (1000, OK)):
        # It has the descriptor from its creator.
        assert root.spawn("visitor", uid=uid).call("setns", descriptor, Clone.NEWUSER) == wanted
    assert root.call("setns", descriptor, Clone.NEWUSER) == OK
