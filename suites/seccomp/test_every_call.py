# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that are easily forgotten are filtered too: the return from a handler, exit, and seccomp itself."""

from __future__ import annotations

import errno

import pytest

from guests.bpf import Action, arg, deny, kill_process, policy, ret
from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, OK, killed, returned
from guests.uapi import Prctl, Signal
from suites.seccomp.support.filtered_tasks import unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")


@pytest.mark.requirement("seccomp.every-call")
def test_the_return_from_a_handler_is_filtered(guest: Guest) -> None:
    """rt_sigreturn is filtered like any other call: without it, a signal handler cannot return."""
    for forbidden in (False, True):
        task = unprivileged(guest)
        task.catch(Signal.USR1).result()
        task.install(policy(kill_process("rt_sigreturn") if forbidden else kill_process("getppid"))).result()
        outcome = task.call("kill", task.pid, Signal.USR1)
        assert outcome == (killed(Signal.SYS) if forbidden else OK)


@pytest.mark.requirement("seccomp.every-call")
def test_exit_calls_are_filtered(guest: Guest) -> None:
    """exit and exit_group can be denied, and then the task lives on."""
    task = unprivileged(guest)
    task.install(policy(deny("exit", "exit_group", errno=EPERM))).result()
    assert task.exit(3) == EPERM
    assert task.exit_thread(3) == EPERM
    assert task.call("getuid") == returned(1000)
    guest.init.kill(task, Signal.KILL).result()
    assert task.wait_death() == killed(Signal.KILL)


@pytest.mark.requirement("seccomp.every-call")
def test_seccomp_is_filtered(guest: Guest) -> None:
    """A filter can deny the installation of further filters, by seccomp() and by prctl()."""
    task = unprivileged(guest)
    task.install(
        policy(deny("seccomp", errno=EPERM), deny("prctl", errno=EPERM, when=arg(0) == Prctl.SET_SECCOMP))
    ).result()
    assert task.install((ret(Action.ALLOW),)) == EPERM
    assert task.install_by_prctl((ret(Action.ALLOW),)) == EPERM


@pytest.mark.requirement("seccomp.every-call")
def test_the_installing_call_is_not_filtered(guest: Guest) -> None:
    """A filter applies from the next call on: installing one that denies everything succeeds."""
    task = unprivileged(guest)
    assert task.install((ret(Action.ERRNO, errno.EINVAL),)) == OK
    assert task.call("getuid") == EINVAL
