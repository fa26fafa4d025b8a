# SPDX-License-Identifier: GPL-2.0-or-later
"""Syscall user dispatch, which intercepts calls before their filters, and where it ends."""

from __future__ import annotations

import pytest

from guests import bpf
from guests.bpf import deny, kill_process, policy
from guests.guest import Guest
from guests.outcome import EINVAL, OK, killed
from guests.syscalls.signals import SYS_SECCOMP, SYS_USER_DISPATCH
from guests.uapi import Prctl, Signal
from suites.seccomp.support.filtered_tasks import code_after_handlers, trapped, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER", "GENERIC_ENTRY or SYSCALL_USER_DISPATCH")

DENY = policy(deny("getppid", errno=EINVAL))


def skip_without_dispatch(guest: Guest) -> None:
    """It is an option of its own since 7.3, and was part of the generic entry code before."""
    config = guest.kernel.config
    if config.enabled("ARCH_SUPPORTS_SYSCALL_USER_DISPATCH") and not config.enabled("SYSCALL_USER_DISPATCH"):
        pytest.skip("needs CONFIG_SYSCALL_USER_DISPATCH")


@pytest.mark.requirement("seccomp.entry-dispatch")
def test_user_dispatch_comes_first(guest: Guest) -> None:
    """A call that syscall user dispatch intercepts never reaches its filter; one that it lets pass does."""
    skip_without_dispatch(guest)
    task = unprivileged(guest)
    task.catch(Signal.SYS).result()
    task.install(policy(kill_process("getppid"), bpf.trap("getgid", data=9))).result()
    selector, block, allow = task.store(bytes(16)), task.store(b"\1"), task.store(b"\0")
    # The call that returns from a handler is never intercepted.
    task.call("prctl", Prctl.SET_SYSCALL_USER_DISPATCH, 1, *code_after_handlers(guest, task), selector).result()

    task.copy(selector, block, 1).result()
    assert task.call("getppid") == trapped(task)
    assert task.call("getgid") == trapped(task, "getgid")
    task.copy(selector, allow, 1).result()
    assert task.call("getgid") == trapped(task, "getgid")
    assert [one.code for one in task.caught_signals()] == [SYS_USER_DISPATCH, SYS_USER_DISPATCH, SYS_SECCOMP]
    assert task.call("getppid") == killed(Signal.SYS)


@pytest.mark.requirement("seccomp.entry-dispatch-ends")
def test_user_dispatch_is_not_inherited(guest: Guest) -> None:
    """The calls of a child, and of the program that a task executes, go to their filters although its own do not."""
    skip_without_dispatch(guest)
    task = unprivileged(guest)
    task.catch(Signal.SYS).result()
    task.install(DENY).result()
    selector, block, allow = task.store(bytes(16)), task.store(b"\1"), task.store(b"\0")
    task.call("prctl", Prctl.SET_SYSCALL_USER_DISPATCH, 1, *code_after_handlers(guest, task), selector).result()
    child = task.spawn("child")
    task.copy(selector, block, 1).result()
    assert task.call("getppid") == trapped(task)
    assert child.call("getppid") == EINVAL
    task.copy(selector, allow, 1).result()
    # The new program would be killed in its first call: the selector is not in its memory.
    assert task.execute_again() == OK
    task.copy(selector, block, 1).result()
    assert task.call("getppid") == EINVAL
