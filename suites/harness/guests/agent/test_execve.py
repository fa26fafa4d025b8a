# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks that execute the agent again, and the threads of such a process."""

from __future__ import annotations

import struct

from guests.bpf import kill_thread, policy
from guests.outcome import ENOENT, GONE, OK, exited, returned
from guests.uapi import Clone, PtraceOption
from suites.harness.guests.fakes import ROUNDS, HostSession, quiet_child

PTRACE_EVENT_EXEC = 4


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
