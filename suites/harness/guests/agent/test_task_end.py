# SPDX-License-Identifier: GPL-2.0-or-later
"""How tasks end, and how the agent distinguishes the end of a thread from that of its process."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from guests.bpf import kill_process, policy
from guests.errors import AgentError, GuestBroke, SetupFailed
from guests.outcome import EPERM, GONE, OK, Expected, exited, killed, returned
from guests.protocol.wire import State
from guests.task import Task
from guests.uapi import RLIMIT_CORE, Signal
from suites.harness.guests.fakes import ROUNDS, HostSession, quiet_child


class TestDeaths:
    @pytest.mark.parametrize("code", [0, 3, 255])
    def test_an_exit_is_reported_with_its_code(self, host: HostSession, code: int) -> None:
        task = host.child("task")
        assert task.exit(code) == exited(code)
        assert task.wait_death() == exited(code)

    @pytest.mark.parametrize("number", [Signal.TERM, Signal.KILL, Signal.SYS, 34], ids=str)
    def test_the_death_of_an_idle_task_by_a_signal_is_reported(self, host: HostSession, number: int) -> None:
        task = host.child("task")
        assert task.call("prlimit64", 0, RLIMIT_CORE, struct.pack("<QQ", 0, 0), None) == OK
        assert host.child("killer").call("kill", task.pid, number) == OK
        assert task.wait_death() == killed(number, core=False)

    def test_a_core_dump_is_reported(self, host: HostSession, tmp_path: Path) -> None:
        if Path("/proc/sys/kernel/core_pattern").read_text().startswith(("|", "/", "@")):
            pytest.skip("this host's kernel.core_pattern hands core dumps to a program or another folder")
        task = host.child("task")
        if task.call("prlimit64", 0, RLIMIT_CORE, struct.pack("<qq", -1, -1), None) == EPERM:
            pytest.skip("the user's hard limit allows no core dump (ulimit -Hc)")
        assert task.write_text("/proc/self/coredump_filter", "0") == OK
        assert task.call("chdir", str(tmp_path)) == OK
        assert task.call("kill", task.pid, Signal.SEGV) == killed(Signal.SEGV, core=True)

    def test_a_dead_task_takes_no_orders(self, host: HostSession) -> None:
        task = host.child("task")
        assert task.exit(0) == exited(0)
        with pytest.raises(AgentError, match="ESRCH"):
            task.call("getpid")
        with pytest.raises(AgentError, match="ESRCH"):
            task.copy(0, 0, 0)
        with pytest.raises(SetupFailed, match=r"-> ESRCH"):
            task.spawn("child")

    def test_an_order_for_a_task_that_was_killed_fails_the_test(self, host: HostSession) -> None:
        """Only the kernel kills tasks in a guest, and the test expected this one to be alive."""
        task, thread = host.child("task"), host.child("process").thread("thread")
        assert task.call("kill", task.pid, Signal.SEGV) == killed(Signal.SEGV)
        with pytest.raises(GuestBroke, match=r"getpid\(\) failed because the task is dead: killed by SIGSEGV"):
            task.call("getpid")
        assert thread.call("exit", 0) == GONE
        with pytest.raises(GuestBroke, match="failed because the task is dead: the thread ended alone"):
            thread.call("getpid")

    def test_the_death_of_a_reaped_child_is_reported(self, host: HostSession) -> None:
        """If SIGCHLD is ignored, the kernel reaps children immediately, and reports their status to no process."""
        parent = host.child("parent")
        assert parent.ignore(Signal.CHLD) == OK
        child = parent.spawn("child")
        done = child.exit(3)
        assert (done.state, done.value, done.signal, done.core) == (State.DIED, -1, 0, False)
        assert str(done).endswith("-> died, and was reaped before its status could be read")
        assert child.wait_death() == done

    def test_a_dead_child_is_a_zombie_until_its_parent_waits(self, host: HostSession) -> None:
        parent = host.child("parent")
        child = parent.spawn("child")
        assert parent.wait_nohang(child) == returned(0)
        assert child.exit(7) == exited(7)
        assert child.state() == "Z"
        assert parent.wait(child).exit_code == 7


def exit_of_leader(leader: Task, _thread: Task, _killer: Task) -> tuple[object, Expected]:
    return leader.exit(5), exited(5)


def exit_of_thread(_leader: Task, thread: Task, _killer: Task) -> tuple[object, Expected]:
    return thread.exit(6), exited(6)


def kill_from_outside(leader: Task, _thread: Task, killer: Task) -> tuple[object, Expected]:
    assert killer.kill(leader, Signal.KILL) == OK
    return leader.wait_death(), killed(Signal.KILL)


def signal_of_its_own(leader: Task, thread: Task, _killer: Task) -> tuple[object, Expected]:
    return thread.call("kill", leader.pid, Signal.TERM), killed(Signal.TERM)


class TestThreads:
    def test_a_thread_that_ends_alone_is_gone_and_its_process_lives(self, host: HostSession) -> None:
        leader = host.child("leader")
        for number in range(ROUNDS):
            first, second = leader.thread(f"first-{number}"), leader.thread(f"second-{number}")
            assert first.exit_thread(3) == GONE
            assert second.call("getpid") == returned(leader.pid)
            assert second.exit_thread() == GONE
        assert leader.call("getpid") == returned(leader.pid)
        assert leader.death is None

    @pytest.mark.parametrize("end", [exit_of_leader, exit_of_thread, kill_from_outside, signal_of_its_own])
    def test_a_process_that_ends_takes_its_threads_along_with_one_status(
        self, host: HostSession, end: Callable[[Task, Task, Task], tuple[object, Expected]]
    ) -> None:
        """In whatever order the threads end, none of them is reported as one that ended alone."""
        killer = host.child("killer")
        for number in range(ROUNDS):
            leader = host.child(f"leader-{number}")
            threads = [leader.thread(f"thread-{i}") for i in range(3)]
            blocked = threads[2].begin("pause")
            came, wanted = end(leader, threads[0], killer)
            assert came == wanted
            assert [task.wait_death() for task in (leader, *threads)] == [wanted] * 4
            assert blocked.outcome() == wanted

    def test_a_leader_that_ends_alone_is_gone_too(self, host: HostSession) -> None:
        """The process continues until its last thread ends, and its end is reported for that thread."""
        for number in range(ROUNDS):
            leader = host.child(f"leader-{number}")
            first, last = leader.thread("first"), leader.thread("last")
            assert leader.exit_thread(1) == GONE
            assert first.call("getpid") == returned(leader.pid)
            assert first.exit_thread(2) == GONE
            assert last.call("getpid") == returned(leader.pid)
            assert last.exit(9) == exited(9)
            assert leader.wait_death() == GONE

    @pytest.mark.parametrize(
        "pending",
        [(Signal.USR1, Signal.USR2), (Signal.SEGV, Signal.USR2), (Signal.USR1, Signal.SEGV, Signal.USR2)],
        ids=["digit-a", "digit-c", "digit-e"],
    )
    def test_a_thread_that_ends_alone_is_gone_whatever_signals_another_blocks(
        self, host: HostSession, pending: Sequence[Signal]
    ) -> None:
        """These signals share a digit of /proc/PID/status with SIGKILL, which is a letter then."""
        leader = host.child("leader")
        other = leader.thread("other")
        for signal in pending:
            assert other.block(signal) == OK
            assert other.call("tgkill", leader.pid, other.tid, signal) == OK
        assert leader.thread("thread").exit_thread() == GONE

    def test_a_spawn_that_kills_its_parent_is_an_error(self, host: HostSession) -> None:
        parent = quiet_child(host)
        assert parent.install(policy(kill_process("clone"))) == OK
        with pytest.raises(SetupFailed, match=r"spawn\(child\) -> ESRCH"):
            parent.spawn("child")
        assert parent.wait_death() == killed(Signal.SYS)
        assert host.child("next").call("getppid") == returned(host.process.pid)
