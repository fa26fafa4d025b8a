# SPDX-License-Identifier: GPL-2.0-or-later
"""How tasks begin: spare children, credentials, and the notification of the agent."""

from __future__ import annotations

import os
import platform
import signal
import struct
from pathlib import Path

import psutil
import pytest

from guests.bpf import allow_list
from guests.call_arguments import Out
from guests.errors import SetupFailed
from guests.outcome import OK, exited, returned
from guests.protocol import wire
from guests.protocol.wire import Op, SpawnOption
from guests.uapi import Cap, Clone, Signal, number
from suites.harness.guests.fakes import HostSession, await_end, quiet_child, root_only, status_of, x86_only

NR_CLONE = number("clone", platform.machine())


class TestSpareChildren:
    """Init's first children exist before a test requests them, and cannot be distinguished from others."""

    def test_they_are_like_new_children_of_init(self, host: HostSession) -> None:
        before = host.children()
        made = [host.child(f"child-{number}") for number in range(wire.SPARE_CHILDREN + 2)]
        assert len(before) == wire.SPARE_CHILDREN
        assert [task.tid in before for task in made] == [True] * wire.SPARE_CHILDREN + [False] * 2
        for task in made:
            assert task.call("getppid") == returned(host.process.pid)
            assert Path(f"/proc/{task.pid}/comm").read_text() == f"{task.name}\n"
            assert task.open("/dev/null") == returned(3)
            assert task.exit(3) == exited(3)

    def test_changes_of_init_are_inherited(self, host: HostSession) -> None:
        """Therefore none of them is used once init has made a call for the test."""
        before = host.children()
        assert host.init.call("umask", 0o27) == OK
        child = host.child("child")
        assert child.tid not in before
        assert child.call("umask", 0o22) == returned(0o27)

    def test_a_dead_one_is_replaced(self, host: HostSession) -> None:
        host.child("first").spawn("with a higher slot")
        for pid in host.children():
            end = os.pidfd_open(pid)
            os.kill(pid, Signal.KILL)
            assert await_end(end)
            os.close(end)
        made = [host.child(f"child-{count}") for count in range(wire.SPARE_CHILDREN)]
        assert [task.exit(3) for task in made] == [exited(3)] * wire.SPARE_CHILDREN

    def test_a_quiet_spare_child(self, host: HostSession) -> None:
        """It waits without system calls: a filter that only allows getpid does not kill it."""
        before = host.children()
        task = quiet_child(host)
        assert task.tid in before
        assert task.install(allow_list(["getpid"])) == OK
        assert task.call("getpid") == returned(task.pid)

    @root_only
    @pytest.mark.parametrize("how", ["file", "sharing"])
    def test_other_changes_of_init(self, host: HostSession, tmp_path: Path, how: str) -> None:
        before = host.children()
        if how == "file":
            assert host.write_file("/proc/self/coredump_filter", "0x21") == OK
        else:
            assert host.init.spawn("sharing", flags=Clone.FS).call("chdir", str(tmp_path)) == OK
        child = host.child("child")
        assert child.tid not in before
        if how == "file":
            assert Path(f"/proc/{child.pid}/coredump_filter").read_text() == "00000021\n"
        else:
            assert Path(f"/proc/{child.pid}/cwd").readlink() == tmp_path


class TestCredentials:
    @root_only
    def test_a_task_is_unprivileged_by_default(self, host: HostSession) -> None:
        found = status_of(host.spawn("user"))
        assert found["Uid"].split() == found["Gid"].split() == ["1000"] * 4
        assert found["Groups"] == ""
        assert {int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff")} == {0}

    @root_only
    def test_a_task_has_the_requested_uid_and_capabilities(self, host: HostSession) -> None:
        found = status_of(host.spawn("user", uid=4711, caps=Cap.SYS_PTRACE | Cap.KILL))
        assert found["Uid"].split() == ["4711"] * 4
        assert int(found["CapPrm"], 16) == int(found["CapEff"], 16) == Cap.SYS_PTRACE | Cap.KILL

    @root_only
    def test_a_task_that_changes_its_uid_loses_its_capabilities(self, host: HostSession) -> None:
        """PR_SET_KEEPCAPS, which the agent used to set the task's credentials, is no longer set."""
        task = host.spawn("root", uid=0, caps=Cap.SETUID)
        assert task.call("setresuid", 1000, 1000, 1000) == OK
        assert int(status_of(task)["CapPrm"], 16) == 0

    @root_only
    def test_changing_the_uid_leaves_a_task_dumpable_if_requested(self, host: HostSession) -> None:
        assert host.spawn("plain").call("prctl", 3, 0, 0, 0, 0) == returned(1)
        assert host.spawn("secret", dumpable=False).call("prctl", 3, 0, 0, 0, 0) != returned(1)

    def test_a_child_inherits_its_parents_credentials_by_default(self, host: HostSession) -> None:
        child = host.child("parent").spawn("child")
        assert child.call("getuid") == returned(os.geteuid())
        assert status_of(child)["CapEff"] == status_of(host.init)["CapEff"]

    def test_credentials_that_are_refused_are_an_error_and_leave_no_task(self, host: HostSession) -> None:
        parent = host.spawn("user") if os.geteuid() == 0 else host.child("user")
        with pytest.raises(SetupFailed, match=r"spawn\(greedy\) -> EPERM"):
            parent.spawn("greedy", uid=0, caps=Cap.ALL)
        assert parent.call("wait4", -1, Out(4), 0, None).read() == struct.pack("<I", 1 << 8)
        assert parent.spawn("modest").call("getppid") == returned(parent.pid)

    def test_a_clone_that_the_kernel_refuses_is_told_with_its_error(self, host: HostSession) -> None:
        with pytest.raises(SetupFailed, match=r"spawn\(odd\) -> EINVAL"):
            host.init.spawn("odd", flags=Clone.SIGHAND)
        assert host.child("even").call("getpid") == OK


class TestBeginnings:
    """The agent sleeps until a notification: that of a new task must not be lost."""

    @root_only
    def test_a_quiet_child_whose_parent_waits_for_it(self, host: HostSession) -> None:
        """Neither can notify the agent, which has a higher priority than both, as in a guest, and has to poll."""
        parent = host.child("parent")
        for pid in (host.process.pid, parent.pid):
            os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})
        try:
            os.sched_setscheduler(host.process.pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        except PermissionError:
            pytest.skip("the host permits no real-time priority, as in a cgroup without a share of it")
        child = parent.spawn("child", flags=Clone.VFORK | Clone.VM, quiet=True)
        assert child.call("getppid") == returned(parent.pid)
        os.sched_setscheduler(host.process.pid, os.SCHED_OTHER, os.sched_param(0))

    @x86_only
    def test_a_child_that_was_ready_before_its_parent_died_in_clone(self, host: HostSession) -> None:
        tracer = host.child("tracer")
        parent = tracer.spawn("parent")
        tracer.seize_and_stop(parent)
        body = wire.spawn_body(
            child=20, clone_flags=0, name=b"x", uid=0, gid=0, capabilities=0, options=SpawnOption(0)
        )
        sequence = host.send(Op.SPAWN, parent.slot, body, "spawn")
        child = 0
        while not child:
            assert tracer.resume_to_syscall(parent) == OK
            tracer.wait(parent)
            at = tracer.registers(parent)
            child = at["rax"] if at["orig_rax"] == NR_CLONE and at["rax"] < 1 << 31 else 0
        host.wait_until(lambda: psutil.Process(child).status() == psutil.STATUS_SLEEPING, "the child to wait")
        os.kill(parent.pid, signal.SIGKILL)
        assert wire.SPAWN_REPLY.unpack(host.collect(sequence, "spawn"))[0] == 0
