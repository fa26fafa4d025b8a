# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent and its tasks, as processes of this host over a pair of pipes, without QEMU and a kernel under test."""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from guests.bpf import allow_list
from guests.call_arguments import InOut, Out
from guests.errors import AgentError, SetupFailed
from guests.outcome import (
    EBADF,
    EFAULT,
    EINVAL,
    ENOENT,
    ENOSYS,
    OK,
    error,
    exited,
    killed,
    returned,
)
from guests.protocol import wire
from guests.protocol.wire import Entry, State
from guests.syscall_sweep import sweep
from guests.uapi import (
    MAP_PRIVATE,
    MAP_SHARED,
    O_RDWR,
    PROT_READ,
    Cap,
    Clone,
    Signal,
    number,
)
from kconfigs.cache import Cache
from suites.harness.guests.fakes import (
    HostSession,
    await_end,
    host_session,
    pipe,
    quiet_child,
    root_only,
    status_of,
    x86_only,
)

UNUSED_FD = 900


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def host(store: Cache) -> Iterator[HostSession]:
    with host_session(store) as session:
        yield session


class TestHello:
    def test_the_agent_reports_its_version_and_its_kernel(self, host: HostSession) -> None:
        names = os.uname()
        assert (host.hello.version, host.hello.release, host.hello.machine) == (
            wire.VERSION,
            names.release,
            names.machine,
        )


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


class TestSweeps:
    """A task makes many calls at once."""

    def test_each_number_has_its_outcome(self, host: HostSession) -> None:
        task = host.child("task")
        kept = task.store(b"kept")
        unknown = range(5000, 5000 + wire.SWEEP_COUNT)
        left_out = unknown[: wire.SWEEP_LEFT_OUT]
        came = sweep(task, unknown, skip=left_out)
        assert came == dict.fromkeys(unknown[wire.SWEEP_LEFT_OUT :], ENOSYS)
        assert task.load(kept, 4) == b"kept"

    def test_a_large_value_is_reported_as_the_maximum(self, host: HostSession) -> None:
        task = host.child("task")
        lseek, fd = number("lseek"), task.call("memfd_create", "file", 0).result()
        for value in (wire.SWEEP_LARGE - 1, wire.SWEEP_LARGE, wire.SWEEP_LARGE + 1, 1 << 40):
            came = sweep(task, range(lseek, lseek + 1), [fd, value, 0])
            assert came == {lseek: returned(min(value, wire.SWEEP_LARGE))}

    def test_all_calls_have_these_arguments(self, host: HostSession) -> None:
        task = host.child("task")
        lseek, fd = number("lseek"), task.open("/dev/null", O_RDWR).result()
        assert sweep(task, range(lseek, lseek + 1), [fd, 0, 7]) == {lseek: EINVAL}
        assert sweep(task, range(lseek, lseek + 1), [fd, 0, 0]) == {lseek: returned(0)}
        assert sweep(task, range(lseek, lseek + 1), [UNUSED_FD, 0, 0]) == {lseek: EBADF}

    @x86_only
    def test_a_sweep_through_another_entry(self, host: HostSession) -> None:
        task = host.child("task")
        if task.call32("getpid") in (killed(Signal.SEGV), ENOSYS):
            pytest.skip("this host's kernel has no int $0x80 (CONFIG_IA32_EMULATION)")
        close = number("close", "i386")
        assert sweep(host.child("other"), range(close, close + 1), [UNUSED_FD], entry=Entry.INT80) == {close: EBADF}

    @pytest.mark.parametrize(
        ("numbers", "skip"),
        [
            (range(wire.SWEEP_COUNT + 1), ()),
            (range(0, 10, 2), ()),
            (range(wire.SWEEP_COUNT), range(wire.SWEEP_LEFT_OUT + 1)),
        ],
        ids=["too-many", "with-gaps", "too-many-left-out"],
    )
    def test_an_invalid_sweep_is_rejected(self, host: HostSession, numbers: range, skip: Sequence[int]) -> None:
        with pytest.raises(ValueError, match="at most 1024 consecutive numbers, and skips at most 64"):
            sweep(host.child("task"), numbers, skip=skip)

    def test_a_sweep_that_kills_the_task_fails_the_test(self, host: HostSession) -> None:
        task = host.child("task")
        end = number("exit_group")
        with pytest.raises(SetupFailed, match=rf"sweep\({end}..{end} by NATIVE\) -> exited with 3"):
            sweep(task, range(end, end + 1), [3])
        assert task.death == exited(3)

    def test_the_transcript_counts_them(self, host: HostSession) -> None:
        task = host.child("task")
        sweep(task, range(5000, 5003))
        assert host.transcript[-1].strip() == f"{task}.sweep(5000..5002 by NATIVE) -> 3 x ENOSYS"


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


class TestFiles:
    def test_init_reads_and_writes_files(self, host: HostSession, tmp_path: Path) -> None:
        path = str(tmp_path / "file")
        assert not host.exists(path)
        assert host.write_file(path, "text", create=True, mode=0o600) == returned(4)
        assert host.exists(path)
        assert host.read_file(path) == "text"
        assert Path(path).stat().st_mode & 0o777 == 0o600
        assert host.write_file(path, b"TE") == returned(2)
        assert host.read_bytes(path) == b"TExt"
        assert host.write_file(path, b"") == returned(0)

    def test_a_directory_exists_although_it_cannot_be_read(self, host: HostSession, tmp_path: Path) -> None:
        assert host.exists(str(tmp_path))
        assert not host.exists(str(tmp_path / "none"))
        assert not host.exists(str(tmp_path / "none" / "."))

    def test_a_write_that_fails_is_an_outcome(self, host: HostSession, tmp_path: Path) -> None:
        assert host.write_file(str(tmp_path / "none"), "text") == ENOENT
        assert host.write_file(str(tmp_path), "text") == error(errno.EISDIR)
        assert host.transcript[-1].endswith(f"init writes b'text' to {tmp_path} -> EISDIR")

    def test_a_read_that_fails_ends_the_test(self, host: HostSession, tmp_path: Path) -> None:
        with pytest.raises(SetupFailed, match=r"read_file\(.*/none\) -> ENOENT"):
            host.read_file(str(tmp_path / "none"))

    def test_a_file_that_is_too_long_is_an_error(self, host: HostSession, tmp_path: Path) -> None:
        longest = wire.BODY_MAX - wire.RESULT.size - 1
        content = (bytes(range(251)) * (longest // 251 + 1))[:longest]
        (tmp_path / "fits").write_bytes(content)
        (tmp_path / "longer").write_bytes(content + b"x")
        assert host.read_bytes(str(tmp_path / "fits")) == content
        with pytest.raises(SetupFailed, match="longer than a frame"):
            host.read_bytes(str(tmp_path / "longer"))
        assert host.read_bytes(str(tmp_path / "longer"), beginning=True) == content + b"x"

    @pytest.mark.parametrize("size", [0, 1, wire.BODY_MAX - 4096, 3 * wire.BODY_MAX + 7])
    def test_a_file_of_any_length_can_be_uploaded(self, host: HostSession, tmp_path: Path, size: int) -> None:
        content = bytes(range(251)) * (size // 251 + 1)
        host.upload(str(tmp_path / "file"), content[:size], mode=0o700)
        assert (tmp_path / "file").read_bytes() == content[:size]
        assert (tmp_path / "file").stat().st_mode & 0o777 == 0o700

    def test_an_upload_to_a_full_device_fails(self, host: HostSession) -> None:
        if not os.access("/dev/full", os.W_OK):
            pytest.skip("this host has no /dev/full")
        with pytest.raises(SetupFailed):
            host.upload("/dev/full", b"x")
