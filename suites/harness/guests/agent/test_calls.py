# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls by a task: arguments, buffers, entries, and calls that block."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import pytest

from guests.call_arguments import InOut, Out
from guests.errors import AgentError, SetupFailed
from guests.outcome import EBADF, EFAULT, ENOENT, ENOSYS, OK, exited, killed, returned
from guests.protocol.wire import Entry
from guests.uapi import MAP_PRIVATE, MAP_SHARED, O_RDWR, PROT_READ, Signal
from suites.harness.guests.fakes import UNUSED_FD, HostSession, pipe, x86_only


class TestCalls:
    def test_an_error_is_reported_by_its_number(self, host: HostSession) -> None:
        task = host.child("task")
        assert task.call("close", UNUSED_FD) == EBADF
        assert task.open("/no/such/file") == ENOENT
        assert task.call("uname", 1) == EFAULT

    def test_the_contents_of_buffers_are_returned(self, host: HostSession) -> None:
        task = host.child("task")
        where = task.call("getcwd", Out(512), 512)
        assert where.read()[: where.value] == os.fsencode(Path.cwd()) + b"\0"
        reading, writing = pipe(task)
        assert task.write(writing, b"hello") == returned(5)
        assert task.read(reading, 100).reads == (b"hello" + bytes(95),)

    def test_a_buffer_can_be_passed_and_returned(self, host: HostSession) -> None:
        """poll() reads the requested events, and writes the events that occurred next to them."""
        task = host.child("task")
        _, writing = pipe(task)
        polled = task.call("poll", InOut(struct.pack("<ihh", writing, 4, 0)), 1, 0)
        assert polled.read() == struct.pack("<ihh", writing, 4, 4)

    @pytest.mark.parametrize("through", ["native", pytest.param("int80", marks=x86_only)])
    def test_all_six_arguments_arrive(self, host: HostSession, tmp_path: Path, through: str) -> None:
        """mmap's last argument is the offset in the file: the memory shows the data at that offset."""
        page = struct.pack("<Q", 0x1122334455667788) + bytes(4088)
        (tmp_path / "file").write_bytes(bytes(4096) + page)
        task = host.child("task")
        fd = task.open(str(tmp_path / "file"), O_RDWR).result()
        if through == "native":
            mapped = task.call("mmap", 0, 4096, PROT_READ, MAP_PRIVATE, fd, 4096)
        else:
            mapped = task.call32("mmap2", 0, 4096, PROT_READ, MAP_SHARED, fd, 1)
            if mapped in (killed(Signal.SEGV), ENOSYS):
                pytest.skip("this host's kernel has no int $0x80 (CONFIG_IA32_EMULATION)")
        there = task.store(bytes(8))
        assert task.copy(there, mapped.result(), 8) == OK
        assert task.load(there, 8) == page[:8]

    @x86_only
    def test_int80_takes_i386_numbers(self, host: HostSession) -> None:
        task = host.child("task")
        found = task.call32("getpid")
        if found in (killed(Signal.SEGV), ENOSYS):
            pytest.skip("this host's kernel has no int $0x80 (CONFIG_IA32_EMULATION)")
        assert found == returned(task.pid)
        assert task.call32("close", UNUSED_FD) == EBADF
        assert task.call32("write", -1, b"x", 1) == EBADF

    @x86_only
    def test_an_instruction_can_be_executed_instead_of_a_call(self, host: HostSession) -> None:
        assert host.child("task").call(0, entry=Entry.RDTSC) == OK

    def test_init_can_make_calls_itself(self, host: HostSession) -> None:
        assert host.init.call("getpid") == returned(host.process.pid)

    def test_the_transcript_shows_the_task_the_call_and_the_outcome(self, host: HostSession) -> None:
        task = host.child("task")
        assert task.call("close", UNUSED_FD) == EBADF
        assert task.exit(1) == exited(1)
        shown = [re.sub(r"^ *\d+\.\d{4}  ", "", line) for line in host.transcript]
        assert shown == [
            f"init[{host.process.pid}].spawn(task) -> OK({task.pid})",
            f"task[{task.pid}].close(900) -> EBADF",
            f"task[{task.pid}].exit_group(1) -> exited with 1",
        ]


class TestBlockingCalls:
    def test_other_tasks_work_while_a_call_blocks(self, host: HostSession) -> None:
        parent = host.child("parent")
        reading, writing = pipe(parent)
        readers = [parent.spawn(f"reader-{i}") for i in range(3)]
        calls = [reader.begin("read", reading, Out(1), 1) for reader in readers]
        for call in calls:
            call.wait_until_blocked()
        assert [parent.call("getpid") for _ in range(3)] == [returned(parent.pid)] * 3
        assert not any(call.finished() for call in calls)
        assert parent.write(writing, b"abc") == returned(3)
        assert sorted(call.outcome().read() for call in calls) == [b"a", b"b", b"c"]

    def test_an_outcome_is_kept_and_added_to_the_transcript_once(self, host: HostSession) -> None:
        call = host.child("task").begin("getppid")
        first = call.outcome()
        noted = len(host.transcript)
        assert call.outcome() is first
        assert call.finished()
        assert len(host.transcript) == noted

    def test_a_call_that_should_block_but_does_not_fails_the_test(self, host: HostSession) -> None:
        call = host.child("task").begin("getppid")
        with pytest.raises(SetupFailed, match="the test needs it to block"):
            call.wait_until_blocked()

    def test_a_task_with_a_pending_call_takes_no_second_one(self, host: HostSession) -> None:
        task = host.child("task")
        reading, writing = pipe(task)
        other = task.spawn("other")
        call = task.begin("read", reading, Out(1), 1)
        with pytest.raises(AgentError, match=r"getpid\(\): EBUSY"):
            task.call("getpid")
        with pytest.raises(SetupFailed, match=r"spawn\(child\) -> EBUSY"):
            task.spawn("child")
        assert other.write(writing, b"x") == returned(1)
        assert call.outcome() == returned(1)
        assert task.call("getpid") == returned(task.pid)

    def test_the_death_of_a_task_in_a_call_is_the_calls_outcome(self, host: HostSession) -> None:
        task = host.child("task")
        call = task.begin("pause")
        call.wait_until_blocked()
        assert host.child("killer").kill(task, Signal.TERM) == OK
        assert call.outcome() == killed(Signal.TERM)
        assert task.death == killed(Signal.TERM)
