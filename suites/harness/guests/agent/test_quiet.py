# SPDX-License-Identifier: GPL-2.0-or-later
"""Quiet tasks, which wait for orders without a system call of their own."""

from __future__ import annotations

import os

import psutil

from guests.bpf import Action, allow_list
from guests.call_arguments import Out
from guests.outcome import OK, exited, killed, returned
from guests.protocol import wire
from guests.protocol.wire import Op, State
from guests.uapi import O_RDWR, Signal
from suites.harness.guests.fakes import HostSession, pipe, quiet_child


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
