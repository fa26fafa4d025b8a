# SPDX-License-Identifier: GPL-2.0-or-later
"""Every return action of a filter, once, as the caller, its threads, its tracer and the log see it."""

from __future__ import annotations

import pytest

from guests.bpf import Action, deny, kill_process, kill_thread, log, notify, policy, trace, trap
from guests.guest import Guest
from guests.outcome import EINVAL, ENOSYS, GONE, OK, killed, returned
from guests.syscalls.signals import SYS_SECCOMP
from guests.uapi import AT_FDCWD, PTRACE_EVENT_SECCOMP, PtraceOption, Signal
from suites.seccomp.support.filtered_tasks import MADE, check_caught, check_not_made, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")


@pytest.mark.requirement("seccomp.allow")
def test_allow(guest: Guest) -> None:
    """ALLOW runs the call; a second filter, which denies it, shows that filters are run."""
    task = unprivileged(guest)
    assert task.install(policy(default=Action.ALLOW)) == OK
    assert task.call("getppid") == returned(guest.init.tid)
    assert task.install(policy(deny("getppid", errno=EINVAL))) == OK
    assert task.call("getppid") == EINVAL


@pytest.mark.needs("AUDIT")
@pytest.mark.requirement("seccomp.log")
def test_log(guest: Guest) -> None:
    """LOG runs the call, and an audit record names the process and the call."""
    task = unprivileged(guest)
    assert task.install(policy(log("getppid"))) == OK
    assert task.call("getppid") == returned(guest.init.tid)
    record = guest.wait_for_log("type=1326")
    assert f" pid={task.pid} " in record
    assert f" sig=0 arch={task.abi.audit_arch:x} syscall={task.number('getppid')} compat=0 " in record
    assert record.endswith(f" code={Action.LOG:#x}")


@pytest.mark.requirement("seccomp.trace")
def test_trace(guest: Guest) -> None:
    """TRACE fails with ENOSYS without a tracer; with one, it stops the call and reports the filter's data."""
    tracer = guest.spawn("tracer")
    tracee = unprivileged(guest, "tracee", parent=tracer)
    assert tracee.install(policy(trace("getppid", data=0x1234))) == OK
    assert tracee.call("getppid") == ENOSYS

    tracer.seize(tracee, PtraceOption.TRACESECCOMP).result()
    call = tracee.begin("getppid")
    assert tracer.wait(tracee).event == PTRACE_EVENT_SECCOMP
    assert tracer.event_message(tracee) == 0x1234
    assert tracer.resume(tracee) == OK
    assert call.outcome() == returned(tracer.pid)


@pytest.mark.requirement("seccomp.user-notif")
def test_user_notif(guest: Guest) -> None:
    """USER_NOTIF hands the call to the supervisor, whose reply is its result; without one, it is ENOSYS."""
    orphan = unprivileged(guest, "without-listener")
    assert orphan.install(policy(notify("getppid"))) == OK
    assert orphan.call("getppid") == ENOSYS

    supervisor = guest.root("supervisor")
    target = unprivileged(guest, "target")
    installed = target.listen(policy(notify("getppid")))
    assert installed == OK
    listener = supervisor.pidfd_getfd(target, installed.value).result()
    call = target.begin("getppid")
    notif = supervisor.receive(listener)
    assert (notif.nr, notif.pid, notif.arch) == (target.number("getppid"), target.pid, target.abi.audit_arch)
    assert supervisor.reply(listener, notif.id, value=4711) == OK
    assert call.outcome() == returned(4711)


@pytest.mark.requirement("seccomp.errno")
def test_errno(guest: Guest) -> None:
    """ERRNO makes the call fail with the filter's data as errno, and does not run it."""
    task = unprivileged(guest)
    assert task.install(policy(deny("mkdirat", errno=EINVAL))) == OK
    assert task.call("mkdirat", AT_FDCWD, MADE, 0o755) == EINVAL
    assert task.call("chdir", "/tmp") == OK  # noqa: S108 - the guest's /tmp
    check_not_made(guest)


@pytest.mark.requirement("seccomp.trap")
def test_trap(guest: Guest) -> None:
    """TRAP raises SIGSYS instead of running the call; the handler learns the call and can set its result."""
    task = unprivileged(guest)
    task.catch(Signal.SYS, result=42).result()
    assert task.install(policy(trap("getppid", data=7))) == OK
    assert task.call("getppid") == returned(42)
    caught = check_caught(task)
    assert (caught.signal, caught.code, caught.errno) == (Signal.SYS, SYS_SECCOMP, 7)
    assert (caught.syscall, caught.arch) == (task.number("getppid"), task.abi.audit_arch)
    assert caught.call_address == caught.registers.ip


@pytest.mark.requirement("seccomp.kill-thread")
def test_kill_thread(guest: Guest) -> None:
    """KILL_THREAD ends only the calling thread while others remain, and the process with its last thread."""
    leader = unprivileged(guest, "leader")
    assert leader.install(policy(kill_thread("getppid"))) == OK
    thread = leader.thread("thread")
    assert thread.call("getppid") == GONE
    assert leader.call("getpid") == returned(leader.pid)
    assert leader.call("getppid") == killed(Signal.SYS)


@pytest.mark.requirement("seccomp.kill-process")
def test_kill_process(guest: Guest) -> None:
    """KILL_PROCESS ends every thread of the process, even if the process ignores the signal."""
    leader = unprivileged(guest, "leader")
    leader.ignore(Signal.SYS).result()
    assert leader.install(policy(kill_process("getppid"))) == OK
    thread = leader.thread("thread")
    assert thread.call("getpid") == returned(leader.pid)
    assert thread.call("getppid") == killed(Signal.SYS)
    assert leader.wait_death() == killed(Signal.SYS)
