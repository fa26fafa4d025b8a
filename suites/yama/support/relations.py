# SPDX-License-Identifier: GPL-2.0-or-later
"""The relations between a tracer and its target: each is a function that creates the two tasks in a guest.

All tasks have uid 1000 and no capabilities, and are dumpable, unless the relation is about exactly that.  When an
access is refused, only the relation can be the reason.  Those by credentials: credential_relations.py.
"""

from __future__ import annotations

from guests.guest import Guest
from guests.task import Task
from guests.uapi import PTRACER_ANY, Cap, Clone

Pair = tuple[Task, Task]
"""Tracer and target."""

GENERATIONS = 40

# Relatives


def parent(guest: Guest) -> Pair:
    tracer = guest.spawn("tracer")
    return tracer, tracer.spawn("target")


def grandparent(guest: Guest) -> Pair:
    tracer = guest.spawn("tracer")
    return tracer, tracer.spawn("middle").spawn("target")


def distant_ancestor(guest: Guest) -> Pair:
    tracer = guest.spawn("tracer")
    return tracer, distant_descendant(tracer, "target")


def distant_descendant(ancestor: Task, name: str) -> Task:
    """A descendant so many generations below that no bound on a walk up the tree could pass for a large one."""
    for generation in range(1, GENERATIONS):
        ancestor = ancestor.spawn(f"generation-{generation}")
    return ancestor.spawn(name)


def thread_of_grandparent(guest: Guest) -> Pair:
    leader = guest.spawn("leader")
    return leader.thread("tracer"), leader.spawn("middle").spawn("target")


def parent_of_its_threads_child(guest: Guest) -> Pair:
    """A thread of the tracer has forked the target; the tracer is the leader."""
    tracer = guest.spawn("tracer")
    return tracer, tracer.thread("forker").spawn("target")


def parent_of_a_thread(guest: Guest) -> Pair:
    """The target is a thread other than its process's leader."""
    tracer = guest.spawn("tracer")
    return tracer, tracer.spawn("leader").thread("target")


def parent_of_its_exited_threads_child(guest: Guest) -> Pair:
    tracer = guest.spawn("tracer")
    forker = tracer.thread("forker")
    target = forker.spawn("target")
    forker.exit_thread()
    forker.wait_death()
    return tracer, target


def subreaper(guest: Guest) -> Pair:
    """The target was double-forked, and its subreaper has become its parent."""
    tracer = guest.spawn("tracer")
    tracer.become_subreaper().result()
    return tracer, tracer.spawn("shell").orphan("target")


def subreaper_that_comes_late(guest: Guest) -> Pair:
    """The tracer has become a subreaper after it had forked what then forks the target twice."""
    tracer = guest.spawn("tracer")
    shell = tracer.spawn("shell")
    tracer.become_subreaper().result()
    return tracer, shell.orphan("target")


def subreaper_outside_the_pid_namespace(guest: Guest) -> Pair:
    """The tracer, a subreaper, has forked the target twice into a pid namespace, whose first process adopts it."""
    tracer = guest.spawn("tracer", caps=Cap.SYS_ADMIN)
    first = guest.spawn("creator", caps=Cap.SYS_ADMIN).spawn("first", flags=Clone.NEWPID)
    namespace = tracer.open(f"/proc/{first.pid}/ns/pid").result()
    tracer.call("setns", namespace, Clone.NEWPID).result()
    tracer.close(namespace).result()
    tracer.become_subreaper().result()
    tracer.set_caps(Cap.NONE).result()
    return tracer, tracer.orphan("target")


def grandparent_of_orphan(guest: Guest) -> Pair:
    """The same without a subreaper: init is the target's parent, and the tracer is no longer its ancestor."""
    tracer = guest.spawn("tracer")
    return tracer, tracer.orphan("target")


def parent_by_clone_parent(guest: Guest) -> Pair:
    """Created with CLONE_PARENT, the target is its creator's sibling and therefore the tracer's child."""
    tracer = guest.spawn("tracer")
    return tracer, tracer.spawn("creator").spawn("target", flags=Clone.PARENT)


def creator_by_clone_parent(guest: Guest) -> Pair:
    tracer = guest.spawn("shell").spawn("tracer")
    return tracer, tracer.spawn("target", flags=Clone.PARENT)


def ancestor_outside_the_pid_namespace(guest: Guest) -> Pair:
    r"""tracer ── first (pid 1) ── middle ── target: all but the tracer are in a pid namespace."""
    tracer = guest.spawn("tracer", caps=Cap.SYS_ADMIN)
    first = tracer.spawn("first", flags=Clone.NEWPID)
    tracer.set_caps(Cap.NONE).result()
    first.set_caps(Cap.NONE).result()
    return tracer, first.spawn("middle").spawn("target")


def sibling(guest: Guest) -> Pair:
    shell = guest.spawn("shell")
    return shell.spawn("tracer"), shell.spawn("target")


def child(guest: Guest) -> Pair:
    target = guest.spawn("target")
    return target.spawn("tracer"), target


def grandchild(guest: Guest) -> Pair:
    target = guest.spawn("target")
    return target.spawn("middle").spawn("tracer"), target


def child_of_a_thread(guest: Guest) -> Pair:
    leader = guest.spawn("leader")
    return leader.spawn("tracer"), leader.thread("target")


def uncle(guest: Guest) -> Pair:
    shell = guest.spawn("shell")
    return shell.spawn("tracer"), shell.spawn("other").spawn("target")


def stranger(guest: Guest) -> Pair:
    return guest.spawn("shell").spawn("tracer"), guest.spawn("other").spawn("target")


def other_user(guest: Guest) -> Pair:
    return guest.spawn("tracer", uid=1001), guest.spawn("target", uid=1000)


def parent_of_non_dumpable(guest: Guest) -> Pair:
    tracer, target = parent(guest)
    target.set_dumpable(False).result()
    return tracer, target


# Declared tracers


def declared(guest: Guest) -> Pair:
    tracer, target = stranger(guest)
    target.set_ptracer(tracer).result()
    return tracer, target


def thread_of_declared(guest: Guest) -> Pair:
    leader, target = declared(guest)
    return leader.thread("tracer"), target


def leader_of_declared_thread(guest: Guest) -> Pair:
    tracer, target = stranger(guest)
    target.set_ptracer(tracer.thread("named")).result()
    return tracer, target


def child_of_declared(guest: Guest) -> Pair:
    named, target = declared(guest)
    return named.spawn("tracer"), target


def grandchild_of_declared(guest: Guest) -> Pair:
    named, target = declared(guest)
    return named.spawn("middle").thread("forker").spawn("tracer"), target


def distant_descendant_of_declared(guest: Guest) -> Pair:
    named, target = declared(guest)
    return distant_descendant(named, "tracer"), target


def declared_by_another_thread(guest: Guest) -> Pair:
    """One thread has declared the tracer, another is the target, and neither is the leader."""
    tracer, leader = stranger(guest)
    leader.thread("declarer").set_ptracer(tracer).result()
    return tracer, leader.thread("target")


def anyone_if_any_is_declared(guest: Guest) -> Pair:
    tracer, target = stranger(guest)
    target.set_ptracer(PTRACER_ANY).result()
    return tracer, target


def parent_of_declared(guest: Guest) -> Pair:
    tracer, target = stranger(guest)
    target.set_ptracer(tracer.spawn("named")).result()
    return tracer, target


def sibling_of_declared(guest: Guest) -> Pair:
    target, shell = guest.spawn("target"), guest.spawn("shell")
    target.set_ptracer(shell.spawn("named")).result()
    return shell.spawn("tracer"), target


def declared_by_the_targets_parent(guest: Guest) -> Pair:
    """An exception is not inherited: the target's parent has declared the tracer, the target has not."""
    tracer, declarer = declared(guest)
    return tracer, declarer.spawn("target")


def declared_by_the_targets_child(guest: Guest) -> Pair:
    tracer, target = stranger(guest)
    target.spawn("declarer").set_ptracer(tracer).result()
    return tracer, target


def declared_other_user(guest: Guest) -> Pair:
    tracer, target = other_user(guest)
    target.set_ptracer(PTRACER_ANY).result()
    return tracer, target


def declared_by_non_dumpable(guest: Guest) -> Pair:
    tracer, target = stranger(guest)
    target.set_ptracer(tracer).result()
    target.set_dumpable(False).result()
    return tracer, target


# Threads of one process, and shared memory


def thread(guest: Guest) -> Pair:
    """Two threads of one process."""
    leader = guest.spawn("leader")
    return leader.thread("tracer"), leader.thread("target")


def leader_of_the_thread(guest: Guest) -> Pair:
    leader = guest.spawn("tracer")
    return leader, leader.thread("target")


def sharer_of_memory(guest: Guest) -> Pair:
    """Two processes share one address space (CLONE_VM), and neither is the other's ancestor."""
    shell = guest.spawn("shell")
    return shell.spawn("tracer", flags=Clone.VM), shell.spawn("target", flags=Clone.VM)
