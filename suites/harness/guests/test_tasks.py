# SPDX-License-Identifier: GPL-2.0-or-later
"""The behaviour of tasks, as processes of this host: how they end, execute, wait quietly, and catch signals."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from guests.bpf import Action, allow_list, kill_process, kill_thread, policy, trap
from guests.call_arguments import Out
from guests.errors import AgentError, GuestBroke, SetupFailed
from guests.outcome import (
    EINTR,
    EINVAL,
    ENOENT,
    EPERM,
    GONE,
    OK,
    Expected,
    exited,
    killed,
    returned,
)
from guests.protocol import wire
from guests.protocol.wire import Op, State
from guests.task import Task
from guests.uapi import (
    O_RDWR,
    RLIMIT_CORE,
    Clone,
    PtraceOption,
    Signal,
)
from kconfigs.cache import Cache
from suites.harness.guests.fakes import HostSession, host_session, pipe, quiet_child, status_of

PTRACE_EVENT_EXEC = 4
ROUNDS = 30
"""Number of repetitions of a race, so that both results occur."""


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def host(store: Cache) -> Iterator[HostSession]:
    with host_session(store) as session:
        yield session


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


class TestExecution:
    def test_a_task_that_executes_the_agent_is_still_the_same_task(self, host: HostSession) -> None:
        task = host.child("task")
        assert task.execute_again() == returned(0)
        assert task.call("getpid") == returned(task.pid)
        assert task.open("/dev/null") == returned(3)
        assert task.exit(4) == exited(4)

    def test_a_thread_that_executes_becomes_the_leader_and_the_others_are_gone(self, host: HostSession) -> None:
        for number in range(ROUNDS):
            leader = host.child(f"leader-{number}")
            thread, other = leader.thread("thread"), leader.thread("other")
            old = thread.tid
            assert thread.execute_again() == returned(0)
            assert [leader.wait_death(), other.wait_death()] == [GONE, GONE]
            assert thread.tid == leader.pid != old
            assert thread.call("gettid") == returned(thread.tid)
            assert thread.leader is thread
            assert thread.thread("new").call("getpid") == returned(leader.pid)
            assert thread.exit(number) == exited(number)

    def test_a_thread_becomes_the_leader_although_another_process_shares_its_memory(self, host: HostSession) -> None:
        """The kernel then clears the thread's tid as if it had ended (exec_mm_release())."""
        for number in range(ROUNDS):
            leader = host.child(f"leader-{number}")
            thread = leader.thread("thread")
            sharer = leader.spawn("sharer", flags=Clone.VM)
            assert thread.execute_again() == returned(0)
            assert thread.call("gettid") == returned(leader.pid)
            assert sharer.call("getpid") == returned(sharer.pid)

    def test_a_thread_that_becomes_the_leader_slowly_is_not_gone_meanwhile(self, host: HostSession) -> None:
        """A tracer stops it between the two programs until the end of another thread has been reported."""
        tracer = host.child("tracer")
        leader = tracer.spawn("leader")
        thread = leader.thread("thread")
        leader.spawn("sharer", flags=Clone.VM)
        assert tracer.seize(thread, PtraceOption.TRACEEXEC) == OK
        words = [thread.store(word.encode() + b"\0") for word in ("agent", "task", str(thread.slot))]
        call = thread.begin("execve", host.program, thread.store(struct.pack("<4Q", *words, 0)), None)
        assert tracer.wait(leader).event == PTRACE_EVENT_EXEC
        assert host.child("other").thread("short-lived").exit_thread() == GONE
        assert thread.death is None
        assert tracer.resume(leader) == OK
        assert call.outcome() == returned(0)
        assert thread.call("gettid") == returned(leader.pid)

    def test_a_thread_that_is_killed_for_executing_is_gone(self, host: HostSession) -> None:
        leader = quiet_child(host, "leader")
        assert leader.install(policy(kill_thread("execve"))) == OK
        thread = leader.thread("thread")
        assert thread.execute_again() == GONE
        assert leader.call("getpid") == returned(leader.pid)

    def test_an_execution_that_fails_changes_nothing(self, host: HostSession) -> None:
        leader = host.child("leader")
        thread = leader.thread("thread")
        assert thread.call("execve", "/no/such/program", None, None) == ENOENT
        assert thread.call("getpid") == returned(leader.pid) == leader.call("getpid")


class TestQuiet:
    def test_a_task_with_only_two_permitted_calls_still_takes_orders(self, host: HostSession) -> None:
        """The filter allows neither read, write nor futex, so a task that used one to wait would be killed."""
        busy = host.child("busy")
        task = quiet_child(host)
        assert task.install(allow_list(["getpid", "exit_group"])) == OK
        for _ in range(50):
            assert task.call("getpid") == returned(task.pid)
            assert busy.call("getpid") == returned(busy.pid)
        assert task.exit(3) == exited(3)

    def test_the_same_filter_kills_for_any_other_call(self, host: HostSession) -> None:
        task = quiet_child(host)
        assert task.install(allow_list(["getpid", "exit_group"])) == OK
        assert task.call("futex", 0, 0, 0, None, 0, 0) == killed(Signal.SYS)

    def test_a_task_becomes_quiet_before_its_filter_is_installed(self, host: HostSession) -> None:
        """All its threads become quiet, including one that is in a call."""
        leader = host.child("leader")
        thread, blocked = leader.thread("thread"), leader.thread("blocked")
        reading, writing = pipe(leader)
        call = blocked.begin("read", reading, Out(1), 1)
        call.wait_until_blocked()
        assert leader.set_no_new_privs() == OK
        assert blocked.quiet is thread.quiet is leader.quiet is False
        assert leader.install(allow_list(["getpid", "write"], default=Action.KILL_PROCESS)) == OK
        assert blocked.quiet is thread.quiet is leader.quiet is True
        assert leader.write(writing, b"x") == returned(1)
        assert call.outcome() == returned(1)
        assert leader.call("getpid") == thread.call("getpid") == blocked.call("getpid") == returned(leader.pid)

    def test_a_task_that_is_about_to_sleep_becomes_quiet(self, host: HostSession) -> None:
        """The task is stopped after it checked whether to be quiet, and before it sleeps and can be woken.

        It is in futex(), which restarts when the task continues (futex_wait(), -ERESTARTSYS).
        """
        task = host.child("sleepy")
        assert task.set_no_new_privs() == OK
        os.kill(task.pid, Signal.STOP)
        host.wait_until(lambda: psutil.Process(task.pid).status() == psutil.STATUS_STOPPED, "the task to stop")
        pending = host.send(Op.QUIET, task.slot, b"", "to be quiet")
        agent = psutil.Process(host.process.pid)
        before = agent.num_ctx_switches().voluntary
        # By then, the agent has checked several times whether the task is awake.
        host.wait_until(lambda: agent.num_ctx_switches().voluntary > before + 5, "the agent to check")
        os.kill(task.pid, Signal.CONT)
        state, value, _ = wire.split_result(host.collect(pending, "to be quiet"))
        assert (state, value) == (State.RETURNED, 0)
        host.mark_quiet(task)
        assert task.install(allow_list(["getpid"])) == OK
        assert task.call("getpid") == returned(task.pid)

    def test_children_and_threads_of_a_quiet_task_are_quiet(self, host: HostSession) -> None:
        parent = quiet_child(host)
        assert parent.install(allow_list(["clone", "getppid", "getpid"])) == OK
        assert parent.spawn("child").call("getppid") == returned(parent.pid)
        assert parent.thread("thread").call("getpid") == returned(parent.pid)

    def test_a_task_in_strict_mode_still_takes_orders(self, host: HostSession) -> None:
        """Strict mode allows four calls; any other one kills the task with SIGKILL."""
        task = host.child("strict")
        fd = task.open("/dev/null", O_RDWR).result()
        assert task.enter_strict_mode() == OK
        assert task.write(fd, b"12") == returned(2)
        assert task.read(fd, 1) == returned(0)
        assert task.call("getpid") == killed(Signal.KILL)

    def test_strict_mode_allows_exit(self, host: HostSession) -> None:
        task = host.child("strict")
        assert task.enter_strict_mode() == OK
        assert task.exit_thread(4) == exited(4)


class TestSignals:
    def test_a_caught_signal_is_reported_with_its_siginfo(self, host: HostSession) -> None:
        task, sender = host.child("task"), host.child("sender")
        assert task.catch(Signal.USR1) == OK
        assert task.caught_signals() == []
        assert sender.kill(task, Signal.USR1) == OK
        host.wait_until(lambda: len(task.caught_signals()) == 1, "the signal")
        (caught,) = task.caught_signals()
        assert (caught.signal, caught.code, caught.errno) == (Signal.USR1, 0, 0)
        assert task.call("getpid") == returned(task.pid)

    def test_a_signal_interrupts_a_call_that_blocks(self, host: HostSession) -> None:
        task = host.child("task")
        assert task.catch(Signal.USR1) == OK
        call = task.begin("pause")
        call.wait_until_blocked()
        assert host.child("sender").kill(task, Signal.USR1) == OK
        assert call.outcome() == EINTR
        assert [one.signal for one in task.caught_signals()] == [Signal.USR1]

    def test_the_last_of_many_signals_are_kept_oldest_first(self, host: HostSession) -> None:
        task = host.child("task")
        sent = [34 + number for number in range(wire.CAUGHT_MAX + 3)]
        for number in sent:
            assert task.call("rt_sigaction", number, self.action(host), None, 8) == OK
            assert task.call("kill", task.pid, number) == OK
        assert [one.signal for one in task.caught_signals()] == sent[-wire.CAUGHT_MAX :]

    @staticmethod
    def action(host: HostSession) -> bytes:
        return struct.pack("<QQQQ", host.hello.signal_handler, 0x04000004, host.hello.signal_restorer, 0)

    def test_the_handler_sets_the_result_until_it_is_reconfigured(self, host: HostSession) -> None:
        """Reading the caught signals does not reconfigure the handler."""
        task = quiet_child(host)
        assert task.catch(Signal.SYS, result=42) == OK
        assert task.install(policy(trap("getppid", data=7))) == OK
        for _ in range(2):
            assert task.call("getppid") == returned(42)
            assert task.caught_signals()[-1].errno == 7
        assert task.catch(Signal.SYS, result=-22) == OK
        assert task.call("getppid") == EINVAL
        assert task.call("getpid") == returned(task.pid)

    def test_an_ignored_signal_does_nothing(self, host: HostSession) -> None:
        task = host.child("task")
        assert task.ignore(Signal.TERM) == OK
        assert task.call("kill", task.pid, Signal.TERM) == OK
        assert task.death is None

    def test_a_blocked_signal_waits(self, host: HostSession) -> None:
        task = host.child("task")
        assert task.block(Signal.TERM) == OK
        assert task.call("kill", task.pid, Signal.TERM) == OK
        assert int(status_of(task)["SigPnd"], 16) | int(status_of(task)["ShdPnd"], 16) == 1 << (Signal.TERM - 1)
