# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks are processes and threads, in trees that a test chooses."""

from __future__ import annotations

from pathlib import Path

import pytest

from guests.errors import AgentError
from guests.outcome import exited, returned
from guests.protocol import wire
from guests.protocol.wire import State
from guests.uapi import Clone
from suites.harness.guests.fakes import HostSession, root_only, status_of


class TestTheTree:
    def test_a_process_is_a_child_of_init_with_the_reported_pid(self, host: HostSession) -> None:
        task = host.child("first")
        assert task.call("getpid") == returned(task.pid)
        assert task.call("gettid") == returned(task.tid)
        assert task.call("getppid") == returned(host.process.pid)

    def test_a_thread_shares_its_leaders_process(self, host: HostSession) -> None:
        leader = host.child("leader")
        thread = leader.thread("thread")
        assert thread.call("getpid") == returned(leader.pid)
        assert thread.call("gettid") == returned(thread.tid)
        assert thread.pid == leader.pid != thread.tid
        assert thread.leader is leader

    def test_a_task_can_have_children_of_its_own(self, host: HostSession) -> None:
        parent = host.child("parent")
        thread = parent.thread("thread")
        assert parent.spawn("child").call("getppid") == returned(parent.pid)
        assert thread.spawn("of-thread").call("getppid") == returned(parent.pid)

    def test_a_double_forked_child_is_adopted_by_init(self, host: HostSession) -> None:
        parent = host.child("parent")
        orphan = parent.orphan("orphan")
        assert orphan.call("getppid") == returned(host.process.pid)
        assert orphan.call("getpid") == returned(orphan.pid)

    def test_the_kernel_and_ps_show_the_names_of_tasks(self, host: HostSession) -> None:
        leader = host.child("evil")
        thread = leader.thread("henchman")
        for task, name in ((leader, "evil"), (thread, "henchman")):
            assert Path(f"/proc/{leader.pid}/task/{task.tid}/comm").read_text() == f"{name}\n"
        assert Path(f"/proc/{leader.pid}/cmdline").read_bytes().rstrip(b"\0") == b"evil"

    def test_a_long_name_is_truncated_as_by_the_kernel(self, host: HostSession) -> None:
        task = host.child("seventeen letters")
        assert Path(f"/proc/{task.pid}/comm").read_text() == "seventeen lette\n"

    def test_a_bare_task_has_made_no_call_of_its_own(self, host: HostSession) -> None:
        """Setting the name is the only visible call: a bare task still has its parent's name."""
        parent = host.child("parent")
        bare = parent.spawn("bare", bare=True)
        assert Path(f"/proc/{bare.pid}/comm").read_text() == "parent\n"
        assert bare.call("getppid") == returned(parent.pid)

    def test_the_lowest_descriptors_are_free(self, host: HostSession) -> None:
        """The agent's own descriptors are closed in its children."""
        assert host.child("task").open("/dev/null") == returned(3)

    @root_only
    def test_a_task_in_a_pid_namespace_has_both_its_pids(self, host: HostSession) -> None:
        """This does not depend on names, which are all the same here, nor on calls of the task."""
        host.child("same")
        first = host.init.spawn("same", flags=Clone.NEWPID)
        child, bare = first.spawn("same"), first.spawn("same", bare=True)
        thread = child.thread("same")
        inner = [child.spawn("same", flags=Clone.NEWPID) for _ in range(2)]
        tasks = (first, child, bare, thread, *inner)
        assert [task.own_tid for task in tasks] == [1, 2, 3, 4, 1, 1]
        assert [status_of(task)["NSpid"].split()[-1] for task in tasks] == ["1", "2", "3", "4", "1", "1"]
        assert len({task.tid for task in tasks}) == len(tasks)
        assert [task.call("gettid") for task in tasks] == [returned(task.own_tid) for task in tasks]
        assert thread.pid == child.pid
        assert inner[1].exit(3) == exited(3)
        assert first.exit(0) == exited(0)
        # SIGKILL kills them, but the namespace's init may reap them before their status can be read.
        assert [task.wait_death().state for task in (child, bare, inner[0])] == [State.DIED] * 3

    def test_the_tree_shows_how_tasks_ended(self, host: HostSession) -> None:
        parent = host.child("parent")
        child, thread = parent.spawn("child"), parent.thread("thread")
        assert child.exit(3) == exited(3)
        assert host.process_tree().splitlines() == [
            f"init[{host.process.pid}]",
            f"    parent[{parent.pid}]",
            f"        child[{child.pid}]  exited with 3",
            f"        thread[{thread.tid}] (thread)",
        ]

    def test_the_number_of_tasks_has_the_documented_limit(self, host: HostSession) -> None:
        parent = host.child("parent")
        for count in range(wire.SLOT_COUNT - 1 - wire.SPARE_CHILDREN):
            assert parent.spawn(f"task-{count}").exit(0) == exited(0)
        with pytest.raises(AgentError, match="a guest can have 507 tasks"):
            parent.spawn("one-too-many")
