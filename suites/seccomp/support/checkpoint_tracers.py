# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracers with and without the privilege to read and suspend filters (CONFIG_CHECKPOINT_RESTORE)."""

from __future__ import annotations

import pytest

from guests.bpf import Action, deny, policy, ret
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINVAL
from guests.task import Task
from guests.uapi import PTRACE_EVENT_STOP, Cap, Clone

restore = pytest.mark.needs("CHECKPOINT_RESTORE")
DENY = policy(deny("getppid", errno=EINVAL))
ALLOW_ALL = (ret(Action.ALLOW),)


def capable(guest: Guest, caps: Cap = Cap.SYS_ADMIN) -> Task:
    return guest.spawn("tracer", caps=caps, quiet=True)


def capable_in_its_own_user_namespace(guest: Guest) -> Task:
    """It has every capability, but only in the user namespace that it has created."""
    return guest.spawn("outside").spawn("inside", flags=Clone.NEWUSER, quiet=True)


def child_of(tracer: Task, name: str = "tracee") -> Task:
    """The tracer's child, without capabilities, which may install filters."""
    tracee = tracer.spawn(name)
    tracee.set_caps(Cap.NONE).result()
    tracee.set_no_new_privs().result()
    return tracee


def stop(tracer: Task, tracee: Task) -> None:
    """Stop a tracee that was seized before."""
    tracer.interrupt(tracee).result()
    require(tracer.wait(tracee).event == PTRACE_EVENT_STOP, f"{tracee} did not stop when {tracer} interrupted it")


def without_capability(guest: Guest) -> Task:
    return capable(guest, Cap.ALL & ~Cap.SYS_ADMIN)


def filtered(guest: Guest) -> Task:
    tracer = capable(guest)
    tracer.install(ALLOW_ALL).result()
    return tracer


def filtered_thread(guest: Guest) -> Task:
    """A filtered thread of a process that is not filtered otherwise."""
    thread = capable(guest).thread("filtered")
    thread.install(ALLOW_ALL).result()
    return thread


def unfiltered_thread(guest: Guest) -> Task:
    """A thread without filters, of a process whose first thread is filtered."""
    leader = capable(guest)
    thread = leader.thread("unfiltered")
    leader.install(ALLOW_ALL).result()
    return thread
