# SPDX-License-Identifier: GPL-2.0-or-later
"""The relations between a tracer and its target that their credentials make: ids, capabilities, user namespaces.

The functions are like those of relations.py; unless a docstring says otherwise, neither task is the other's ancestor.
"""

from __future__ import annotations

from guests.guest import Guest
from guests.task import Task
from guests.uapi import Cap, Clone
from suites.user_namespaces import map_ids
from suites.yama.support.relations import Pair

Ids = tuple[int, int, int]
"""Real, effective and saved."""


def with_ids(guest: Guest, name: str, uids: Ids, gids: Ids) -> Task:
    """A dumpable task without capabilities that has these real, effective and saved ids."""
    task = guest.root(name)
    task.call("setresgid", *gids).result()
    task.call("setresuid", *uids).result()
    task.set_dumpable(True).result()
    return task


# Capabilities


def capable(guest: Guest) -> Pair:
    return guest.spawn("tracer", caps=Cap.SYS_PTRACE), guest.spawn("target")


def capable_other_user(guest: Guest) -> Pair:
    """The tracer also has CAP_DAC_OVERRIDE, so that it can open the files in /proc."""
    return guest.spawn("tracer", uid=1001, caps=Cap.SYS_PTRACE | Cap.DAC_OVERRIDE), guest.spawn("target")


def with_other_capabilities(guest: Guest) -> Pair:
    """The tracer has capabilities that might be mistaken for CAP_SYS_PTRACE."""
    return guest.spawn("tracer", caps=Cap.SYS_ADMIN | Cap.DAC_OVERRIDE | Cap.KILL), guest.spawn("target")


def root(guest: Guest) -> Pair:
    return guest.root("tracer"), guest.spawn("target")


# User namespaces: the creator of a namespace owns it, and its first task has all capabilities in it.


def owner(guest: Guest) -> Pair:
    """The tracer is outside the target's namespace, has the uid that created it, and has no capabilities."""
    return guest.spawn("tracer"), guest.spawn("creator").spawn("target", flags=Clone.NEWUSER)


def owner_of_parent_namespace(guest: Guest) -> Pair:
    outer = guest.spawn("creator").spawn("outer", flags=Clone.NEWUSER)
    # Only a task whose ids are mapped may create another namespace.
    map_ids(guest, outer, "0 1000 1")
    return guest.spawn("tracer"), outer.spawn("target", flags=Clone.NEWUSER)


def capable_in_ancestor_namespace(guest: Guest) -> Pair:
    """The tracer is capable in the initial namespace; the owner of the target's namespace is another uid."""
    target = guest.spawn("creator", uid=1001).spawn("target", flags=Clone.NEWUSER)
    return guest.spawn("tracer", uid=1000, caps=Cap.SYS_PTRACE | Cap.DAC_OVERRIDE), target


def not_the_owner(guest: Guest) -> Pair:
    return guest.spawn("tracer", uid=1002), guest.spawn("creator", uid=1001).spawn("target", flags=Clone.NEWUSER)


def capable_in_same_namespace(guest: Guest) -> Pair:
    """Both are in the same namespace, neither is the other's ancestor, and the tracer has kept its capabilities."""
    inside = guest.spawn("creator").spawn("inside", flags=Clone.NEWUSER)
    tracer, target = inside.spawn("tracer"), inside.spawn("target")
    target.set_caps(Cap.NONE).result()
    return tracer, target


def incapable_in_same_namespace(guest: Guest) -> Pair:
    tracer, target = capable_in_same_namespace(guest)
    tracer.set_caps(Cap.NONE).result()
    return tracer, target


def capable_in_child_namespace(guest: Guest) -> Pair:
    """The tracer has all capabilities, but in a namespace of its own; the target is outside."""
    return guest.spawn("creator").spawn("tracer", flags=Clone.NEWUSER), guest.spawn("target")


def capable_in_sibling_namespace(guest: Guest) -> Pair:
    """The tracer has all capabilities in one namespace; the target is in another."""
    first, second = guest.spawn("creator"), guest.spawn("creator")
    return first.spawn("tracer", flags=Clone.NEWUSER), second.spawn("target", flags=Clone.NEWUSER)


def capable_child_in_child_namespace(guest: Guest) -> Pair:
    target = guest.spawn("target")
    return target.spawn("tracer", flags=Clone.NEWUSER), target
