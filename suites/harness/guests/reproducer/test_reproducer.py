# SPDX-License-Identifier: GPL-2.0-or-later
"""Reproducers of scenarios on this host: they end with 0 if the kernel does what the scenario expects, otherwise
with 1, and with 2 if they cannot get that far."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from guests import call_plan
from guests.bpf import deny, policy
from guests.call_arguments import Out
from guests.outcome import EBADF, ENOSYS, EPERM, OK, exited, killed, returned
from guests.protocol.record import Sent
from guests.reproducer.orders import CannotReproduce
from guests.session import Session
from guests.task import Task
from guests.uapi import O_RDONLY, O_RDWR, Signal
from suites.harness.guests.fakes import UNUSED_FD, pipe, root_only, x86_only
from suites.harness.guests.reproducer.conftest import RecordedHost, built, run, source_of, story_of

pytestmark = [root_only, x86_only]


def filtered_task(host: Session) -> Task:
    task = host.init.spawn("filtered", quiet=True)
    assert task.set_no_new_privs() == OK
    return task


def truth(host: Session) -> None:
    """Processes, threads, descriptors, memory, signals and a filter, all as expected."""
    parent = host.init.spawn("parent")
    child, thread = parent.spawn("child"), parent.thread("thread")
    assert child.call("getppid") == returned(parent.tid)
    assert thread.call("close", UNUSED_FD) == EBADF
    reading, writing = pipe(parent)
    waiting = thread.begin("read", reading, Out(5), 5)
    assert waiting.blocks(), waiting
    assert parent.write(writing, b"hello") == returned(5)
    assert waiting.outcome().read() == b"hello"
    secret = child.store(b"hunter2!")
    assert parent.process_vm_readv(child, secret) == OK
    status = parent.open(f"/proc/{child.pid}/status").result()
    assert parent.close(status) == OK
    filtered = filtered_task(host)
    assert filtered.catch(Signal.USR1) == OK
    assert filtered.install(policy(deny("getuid", errno=EPERM))) == OK
    assert filtered.call("getuid") == EPERM
    assert filtered.kill(filtered, Signal.USR1) == OK
    assert [caught.signal for caught in filtered.caught_signals()] == [Signal.USR1]
    assert thread.execute_again() == OK
    assert thread.exit(3) == exited(3)
    assert filtered.call("kill", filtered, Signal.KILL) == killed(Signal.KILL)
    assert host.init.call("kill", child, Signal.TERM) == OK
    assert child.wait_death() == killed(Signal.TERM)


def lies(host: Session) -> None:
    host.init.spawn("control").call("getpid").result()
    assert host.init.spawn("liar").call("close", UNUSED_FD) == ENOSYS


def lies_in_a_buffer(host: Session) -> None:
    task = host.init.spawn("liar")
    reading, writing = pipe(task)
    task.write(writing, struct.pack("<I", 41)).result()
    assert struct.unpack("<I", task.read(reading, 4).read()) == (42,)


class TestExitStatus:
    def test_a_kept_promise_is_0(self, recorded: RecordedHost, tmp_path: Path) -> None:
        assert run(source_of(recorded, truth), tmp_path) == (0, "the promise is kept\n")

    def test_the_heap_is_never_where_tasks_share_memory(self, recorded: RecordedHost, tmp_path: Path) -> None:
        """Where the kernel puts the heap of a static program by chance, it is there once in some hundred times."""
        printing = 'dprintf(FD_OUTPUT, "%d", (unsigned long)sbrk(0) < ARENA);'
        source = source_of(recorded, truth).replace("\tstory();\n", f"\t{printing}\n\tstory();\n")
        for _ in range(8):
            assert run(source, tmp_path)[1] == "1the promise is kept\n"

    def test_a_broken_promise_is_1_and_names_the_call(self, recorded: RecordedHost, tmp_path: Path) -> None:
        """The host's close() fails with EBADF, which this scenario takes for wrong."""
        status, printed = run(source_of(recorded, lies), tmp_path)
        assert status == 1
        assert f"CALL(liar, close, {UNUSED_FD}): error 9 (Bad file descriptor) instead of ENOSYS\n" in printed

    def test_a_wrong_content_is_1(self, recorded: RecordedHost, tmp_path: Path) -> None:
        status, printed = run(source_of(recorded, lies_in_a_buffer), tmp_path)
        assert status == 1
        assert "liar: what read() wrote is 29 00 00 00 instead of 2a 00 00 00\n" in printed

    def test_what_a_wrong_text_has_is_not_expected(self, recorded: RecordedHost) -> None:
        """A kernel that keeps the promise has another one."""

        def lies_in_a_text(host: Session) -> None:
            task = host.init.spawn("liar")
            reading, writing = pipe(task)
            task.write(writing, b"cdef").result()
            assert task.read(reading, 4).read() == b"abef"

        story = "\n".join(story_of(source_of(recorded, lies_in_a_text)))
        assert "abef" in story
        assert story.count("cdef") == 1, story  # it is written

    def test_a_step_that_only_prepares_is_2(self, recorded: RecordedHost, tmp_path: Path) -> None:
        needed = tmp_path / "needed"
        needed.touch()

        def opens(host: Session) -> None:
            task = host.init.spawn("opener")
            assert task.close(task.open(str(needed), O_RDONLY).result()) == OK

        source = source_of(recorded, opens)
        assert run(source, tmp_path)[0] == 0
        needed.unlink()
        status, printed = run(source, tmp_path)
        assert status == 2
        assert "error 2 (No such file or directory) instead of success" in printed

    def test_a_call_that_does_not_block_is_1(self, recorded: RecordedHost, tmp_path: Path) -> None:
        def blocks(host: Session) -> None:
            task = host.init.spawn("reader")
            reading = task.begin("openat", -100, "/dev/null", O_RDWR, 0)
            assert reading.blocks()

        status, printed = run(source_of(recorded, blocks), tmp_path)
        assert status == 1
        assert "reader: openat() returns\n" in printed


def test_a_killed_program_leaves_no_task(recorded: RecordedHost, tmp_path: Path) -> None:
    """Not even one that polls, or that is not of its session."""

    def two_tasks(host: Session) -> None:
        assert host.init.spawn("waiting").call("setsid") != EPERM
        host.init.spawn("polling", quiet=True)

    waiting = 'dprintf(FD_OUTPUT, "%d %d\\n", tasks[1].tid, tasks[2].tid);\n\tpause();'
    source = source_of(recorded, two_tasks).replace("\tstory();\n", f"\tstory();\n\t{waiting}\n")
    with subprocess.Popen([built(source, tmp_path)], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        pids = [int(word) for word in running.stdout.readline().split()]
        ends = [os.pidfd_open(pid) for pid in pids]
        running.kill()
    try:
        assert [bool(select.select([end], [], [], 20)[0]) for end in ends] == [True, True]
    finally:
        for end in ends:
            os.close(end)


class TestStory:
    def test_values_have_names(self, recorded: RecordedHost) -> None:
        """Numbers of tasks, descriptors and addresses are not those of the recording."""

        def named(host: Session) -> None:
            tracer, target = host.init.spawn("tracer"), host.init.spawn("target")
            opened = tracer.open(f"/proc/{target.pid}/mem").result()
            tracer.close(opened).result()
            assert tracer.call("readlinkat", -100, f"/proc/self/fd/{opened}", Out(8), 8) != OK
            assert tracer.kill(target, Signal.CHLD) == OK

        story = story_of(source_of(recorded, named))
        assert 'text(tracer, 0x0, "/proc/%ld/mem", (long)target->tid);' in story
        (opened,) = (line for line in story if "openat" in line)
        name = opened.split()[1]
        assert opened == f"long {name} = NEED(OK, CALL(tracer, openat, AT_FDCWD, mem(tracer, 0x0), 0, 0600));"
        assert f"NEED(OK, CALL(tracer, close, {name}));" in story
        assert f'text(tracer, 0x0, "/proc/self/fd/%ld", (long){name});' in story
        assert "EXPECT(OK, CALL(tracer, kill, target->tid, SIGCHLD));" in story

    def test_a_filter_is_readable(self, recorded: RecordedHost) -> None:
        def filters(host: Session) -> None:
            task = filtered_task(host)
            assert task.install(policy(deny("getuid", errno=EPERM))) == OK

        story = story_of(source_of(recorded, filters))
        assert "JEQ(SYS_getuid, 0, 1)," in story
        assert "RET(SECCOMP_RET_ERRNO | 1)," in story

    def test_it_ends_where_the_kernel_went_wrong(self, recorded: RecordedHost) -> None:
        def lies_twice(host: Session) -> None:
            task = host.init.spawn("liar")
            wrong = [task.call("close", UNUSED_FD) == OK, task.call("getpid") == EPERM]
            assert all(wrong)

        assert "getpid" not in "".join(story_of(source_of(recorded, lies_twice)))

    def test_comments_tell_the_promise(self, recorded: RecordedHost) -> None:
        comment = source_of(recorded, truth).partition("*/")[0]
        assert "host.truth: The kernel tells the truth." in comment
        assert "cc -static -Wall -Wextra -Werror" in comment


class TestReasons:
    def test_a_test_that_does_something_else_each_time(self, recorded: RecordedHost) -> None:
        names = iter(["first", "second", "third"])

        def changes(host: Session) -> None:
            if next(names) == "first":
                host.init.spawn("task")
            else:
                host.read_file("/proc/version")

        with pytest.raises(CannotReproduce, match="does not do the same again"):
            source_of(recorded, changes)

    def test_a_comparison_of_what_was_counted(self, recorded: RecordedHost) -> None:
        """An earlier call, with another result, would have let the test fail before: it is not what went wrong."""

        def counts(host: Session) -> None:
            task = host.init.spawn("counting")
            assert task.call("close", UNUSED_FD) == EBADF
            assert task.read(pipe(task)[0], 0).read() == b""
            plan = call_plan.Plan(task.slot)
            plan.call("close", UNUSED_FD)
            assert call_plan.run(task, plan, 3) == [{"OK": 3}]

        with pytest.raises(CannotReproduce, match="it makes calls in a loop"):
            source_of(recorded, counts)

    def test_a_value_that_is_computed(self, recorded: RecordedHost) -> None:
        def computes(host: Session) -> None:
            task = host.init.spawn("task")
            opened = task.open("/dev/null").result()
            task.call("close", opened * 1000)

        with pytest.raises(CannotReproduce, match="computed from the result of an earlier call"):
            source_of(recorded, computes)


def test_recording_keeps_what_is_sent(recorded: RecordedHost) -> None:
    """The record refers to the bytes of requests, and copies nothing."""
    task = recorded.init.spawn("task")
    content = b"x" * 100
    task.store(content)
    (poke,) = (entry for entry in recorded.record.entries if isinstance(entry, Sent) and content in entry.body)
    assert poke.slot == task.slot


def test_signals_have_their_linux_numbers() -> None:
    """A reproducer is compiled on this host for the kernel's numbers."""
    assert all(getattr(signal, f"SIG{one.name}") == one for one in Signal if hasattr(signal, f"SIG{one.name}"))
