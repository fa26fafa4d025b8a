# SPDX-License-Identifier: GPL-2.0-or-later
"""Syscall user dispatch, which intercepts calls before their filters, and where it ends."""

from __future__ import annotations

import pytest

from guests import bpf
from guests.bpf import deny, kill_process, policy
from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EINVAL, OK, killed, returned
from guests.syscalls.base import Pending
from guests.syscalls.signals import SYS_SECCOMP, SYS_USER_DISPATCH, SignalInfo
from guests.task import Task
from guests.uapi import Prctl, Ptrace, PtraceOption, Signal
from suites.seccomp.support.filtered_tasks import code_after_handlers, trapped, unprivileged
from suites.seccomp.support.syscall_traced_pair import SYSCALL_STOP

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


def check_syscall_stop(tracer: Task, task: Task, call: Pending) -> None:
    """The task stops at the entry or the exit of a call, before this call has returned."""
    task.guest.wait_until(lambda: task.state() == "t" or call.finished(), f"{task} to stop, or {call} to return")
    assert not call.finished(), f"{task} has not stopped"
    assert tracer.wait(task).stopped_by == SYSCALL_STOP


@pytest.mark.requirement("seccomp.entry-dispatch-traced")
def test_what_a_tracer_sees(guest: Guest) -> None:
    """Of a call that is intercepted, a tracer sees the SIGSYS, and neither entry nor exit; of rt_sigreturn(), both.

    It sees the same of each such call, and entry and exit of one that is not intercepted.
    """
    skip_without_dispatch(guest)
    tracer = guest.spawn("tracer")
    task = unprivileged(guest, parent=tracer)
    task.catch(Signal.SYS).result()
    selector, block, allow = task.store(bytes(16)), task.store(b"\1"), task.store(b"\0")
    task.call("prctl", Prctl.SET_SYSCALL_USER_DISPATCH, 1, *code_after_handlers(guest, task), selector).result()
    tracer.seize_and_stop(task, PtraceOption.TRACESYSGOOD)
    tracer.resume_to_syscall(task).result()
    task.copy(selector, block, 1).result()
    for name in ("getppid", "getgid"):
        call = task.begin(name)
        stop = tracer.wait(task)
        assert (stop.stopped_by, stop.event) == (Signal.SYS, 0)
        siginfo = tracer.ptrace(Ptrace.GETSIGINFO, task, 0, Out(128)).read()
        info = SignalInfo.decode_siginfo(siginfo, tracer.abi)
        assert (info.code, info.syscall) == (SYS_USER_DISPATCH, task.number(name))
        tracer.ptrace(Ptrace.SYSCALL, task, 0, Signal.SYS).result()
        check_syscall_stop(tracer, task, call)
        assert tracer.registers(task).nr == task.number("rt_sigreturn")
        tracer.resume_to_syscall(task).result()
        check_syscall_stop(tracer, task, call)
        tracer.resume_to_syscall(task).result()
        assert call.outcome() == trapped(task, name)
    task.copy(selector, allow, 1).result()
    call = task.begin("getppid")
    for _ in ("entry", "exit"):
        check_syscall_stop(tracer, task, call)
        tracer.resume_to_syscall(task).result()
    assert call.outcome() == returned(tracer.pid)


@pytest.mark.requirement("seccomp.entry-dispatch-selector")
def test_a_selector_of_another_value(guest: Guest) -> None:
    """With a selector that is neither ALLOW nor BLOCK, a call raises a SIGSYS that cannot be caught."""
    skip_without_dispatch(guest)
    for value in (2, 0xFF):
        task = unprivileged(guest)
        task.catch(Signal.SYS).result()
        selector, other = task.store(bytes(16)), task.store(bytes([value]))
        task.call("prctl", Prctl.SET_SYSCALL_USER_DISPATCH, 1, *code_after_handlers(guest, task), selector).result()
        assert task.call("getppid") == returned(guest.init.tid)
        task.copy(selector, other, 1).result()
        assert task.call("getppid") == killed(Signal.SYS)
