# SPDX-License-Identifier: GPL-2.0-or-later
"""The model of Yama alone: expectations from its documentation, without a guest."""

from __future__ import annotations

import pytest

from guests.outcome import EACCES, EINVAL, EPERM, OK
from guests.uapi import Cap
from suites.yama.support.access_model import PERFMON, AccessModel, traceme, write_scope
from suites.yama.support.model import ANYONE, TaskModel, World


@pytest.fixture
def world() -> World:
    return World()


def user(world: World, name: str, *, caps: Cap = Cap.NONE, uid: int = 1000) -> TaskModel:
    return world.spawn(world.init, name, uid=uid, caps=caps)


def may_read(world: World, tracer: TaskModel, target: TaskModel) -> bool:
    return AccessModel(world, tracer, target).memory_call().expected == OK


def test_scopes(world: World) -> None:
    """What a stranger, a parent and a capable task may do at each scope."""
    stranger, parent, capable = user(world, "a"), user(world, "b"), user(world, "c", caps=Cap.SYS_PTRACE)
    target = world.spawn(parent, "d")
    found = {}
    for world.scope in range(4):
        found[world.scope] = [may_read(world, tracer, target) for tracer in (stranger, parent, capable)]
    assert found == {0: [True] * 3, 1: [False, True, True], 2: [False, False, True], 3: [False] * 3}


def test_dac_decides_first(world: World) -> None:
    """Neither another user's nor a target that is not dumpable is open at scope 0, nor by an exception at scope 1."""
    tracer, other, closed = user(world, "a"), user(world, "b", uid=1001), user(world, "c")
    closed.process.memory.dumpable = False
    for world.scope in (0, 1):
        for target in (other, closed):
            world.declare(target, ANYONE)
            assert not may_read(world, tracer, target)


def test_who_monitors_sees_maps(world: World) -> None:
    """Where CAP_PERFMON or CAP_SYS_ADMIN decides, the model does not know; it does if the check admits anyway."""
    found = {}
    own, other = user(world, "own"), user(world, "other", uid=1001)
    for name, caps in (("a", Cap.NONE), ("b", PERFMON), ("c", Cap.SYS_ADMIN)):
        tracer = user(world, name, caps=caps)
        found[caps] = [AccessModel(world, tracer, target).open_maps() for target in (own, other)]
    expected = {caps: [maps and maps.expected for maps in both] for caps, both in found.items()}
    assert expected == {Cap.NONE: [OK, EACCES], PERFMON: [OK, None], Cap.SYS_ADMIN: [OK, None]}


def test_orphans(world: World) -> None:
    """An orphan is adopted by the nearest subreaper, or by init; a thread's children stay with its process."""
    top = user(world, "a")
    middle, forker = world.spawn(top, "b"), world.thread(top, "c")
    orphan, of_thread = world.spawn(middle, "d"), world.spawn(forker, "e")
    world.exit_process(middle.process)
    assert orphan.process.parent is world.init
    assert not may_read(world, top, orphan)
    world.exit_thread(forker)
    assert of_thread.process.parent is top
    top.process.subreaper = True
    again = world.spawn(of_thread, "f")
    world.exit_process(of_thread.process)
    assert again.process.parent is top
    assert may_read(world, top, again)


def test_exceptions(world: World) -> None:
    """A named tracer may attach, with its threads and descendants, until it ends, or the exception is replaced."""
    target, named, other = user(world, "a"), user(world, "b"), user(world, "c")
    child, thread = world.spawn(named, "d"), world.thread(named, "e")
    world.declare(target, thread)
    assert [may_read(world, each, target) for each in (named, child, thread, other)] == [True, True, True, False]
    assert not may_read(world, target, named)
    world.exit_thread(thread)
    assert not may_read(world, named, target)
    assert AccessModel(world, named, target).memory_call().settles
    world.declare(target, ANYONE)
    assert may_read(world, other, target)
    world.declare(target, None)
    refused = AccessModel(world, other, target).memory_call()
    assert (refused.expected, refused.promise, refused.settles) == (EPERM, "yama.revoke", False)


def test_execve(world: World) -> None:
    """The leader keeps its exception, another thread loses it; and capabilities end with execve()."""
    leader, tracer = user(world, "a", caps=Cap.SYS_PTRACE), user(world, "b")
    thread = world.thread(leader, "c")
    world.declare(leader, tracer)
    world.execute(leader)
    assert leader.process.exception is tracer
    assert (leader.permitted, "c" in world.tasks) == (Cap.NONE, False)
    thread = world.thread(leader, "d")
    world.execute(thread)
    assert leader.process.threads == [thread]
    assert leader.process.exception is None


def test_user_namespaces(world: World) -> None:
    """The owner of a namespace is capable in it, and its root is not outside."""
    creator, owner, outside = user(world, "a"), user(world, "b"), user(world, "c", uid=1001)
    inside = world.spawn(creator, "d", new_user=True)
    for world.scope in (1, 2):
        assert [may_read(world, each, inside) for each in (creator, owner, outside)] == [True, True, False]
        assert not may_read(world, inside, owner)


def test_active_tracer(world: World) -> None:
    """A tracer keeps its access to memory at scope 1, for its whole process, and not at scope 2."""
    target, tracer = user(world, "a"), user(world, "b")
    target.tracer, target.seized = tracer, True
    thread = world.thread(tracer, "c")
    assert may_read(world, thread, target)
    assert AccessModel(world, tracer, target).attach().expected == EPERM
    world.scope = 2
    assert not may_read(world, thread, target)


def test_traceme(world: World) -> None:
    """At scope 2 the parent needs the capability; the child's own is of no use."""
    plain, capable = user(world, "a"), user(world, "b", caps=Cap.SYS_PTRACE)
    children = [world.spawn(plain, "c"), world.spawn(capable, "d")]
    found = {}
    for world.scope in range(4):
        found[world.scope] = [traceme(world, child).expected == OK for child in children]
    assert found == {0: [True, True], 1: [True, True], 2: [False, True], 3: [False, False]}


def test_credentials(world: World) -> None:
    """setresuid() takes the current ids, or CAP_SETUID, which it may lose; and it ends dumpability."""
    plain, root = user(world, "a"), user(world, "b", caps=Cap.ALL, uid=0)
    assert not world.set_uids(plain, (1001, 1000, 1000))
    assert world.set_uids(root, (0, 1000, 0))
    assert (root.effective, root.permitted, root.process.memory.dumpable) == (Cap.NONE, Cap.ALL, False)
    assert world.set_uids(root, (1000, 1000, 1000))
    assert root.permitted == Cap.NONE


def test_sysctl(world: World) -> None:
    """It takes uid 0 and the capability to write the scope, and 3 is the last value."""
    root, weak = user(world, "a", uid=0, caps=Cap.ALL), user(world, "b", uid=0)
    assert write_scope(world, weak, 2).expected == EPERM
    assert [write_scope(world, root, value).expected for value in (-1, 0, 3, 4)] == [EINVAL, OK, OK, EINVAL]
    assert world.set_scope(3)
    assert not world.set_scope(0)
    assert write_scope(world, root, 0).promise == "yama.sysctl-lock"
