# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks that have become 32-bit programs: they obey the same slots, with the calls and structures of their ABI."""

from __future__ import annotations

import platform
import struct

import pytest

from guests.abi import AgentProgram
from guests.abis import COMPAT
from guests.bpf import AUDIT_ARCH, deny, policy, trap
from guests.call_arguments import Out
from guests.call_plan import Plan, run
from guests.outcome import EBADF, EFAULT, ENOSYS, EPERM, GONE, OK, exited, returned
from guests.protocol.wire import Entry
from guests.syscall_sweep import sweep
from guests.syscalls.seccomp import Poll
from guests.task import Task
from guests.uapi import Signal, number
from guests.vm.initramfs import agent, compiles
from kconfigs.cache import Cache
from suites.harness.guests.fakes import UNUSED_FD, HostSession, pipe, quiet_child

MMAP_OF_I386 = (0, 4096, 3, 0x22, -1, 0)
"""An anonymous, writable page, wherever there is room: high addresses come first."""


@pytest.fixture
def program(store: Cache) -> AgentProgram:
    """The program for 32-bit tasks of this host, which must be able to run it."""
    abi = COMPAT.get(platform.machine())
    if abi is None or not compiles(abi.name):
        pytest.skip(f"needs a compiler for 32-bit programs of {platform.machine()}")
    return AgentProgram(str(agent(abi.name, store, for_tasks=True)), abi)


@pytest.fixture
def task(host: HostSession, program: AgentProgram) -> Task:
    child = host.child("32-bit")
    assert child.become(program) == OK
    return child


class TestCalls:
    def test_they_are_of_the_other_abi(self, task: Task) -> None:
        assert task.abi.word == 4
        assert task.call("getpid") == returned(task.pid)
        assert task.call(number("getpid", task.abi.name)) == returned(task.pid)
        assert task.call32("getpid") == returned(task.pid)
        assert task.call("getpid", entry=Entry.VDSO) == returned(task.pid)
        assert task.exit(4) == exited(4)

    def test_an_address_in_the_upper_half_is_no_error(self, task: Task) -> None:
        address = task.call("mmap2", *MMAP_OF_I386).result()
        assert 1 << 31 < address < 1 << 32
        assert task.copy(address, task.store(b"12345678"), 8) == OK
        stored = task.store(bytes(8))
        assert task.copy(stored, address, 8) == OK
        assert task.load(stored, 8) == b"12345678"
        assert task.call("uname", 0x1000) == EFAULT

    @pytest.mark.parametrize("entry", [Entry.NATIVE, Entry.VDSO], ids=lambda entry: entry.name.lower())
    def test_six_arguments(self, task: Task, entry: Entry) -> None:
        content, target = task.store(b"abc"), Out(3)
        reading, writing = struct.unpack("<ii", task.call("pipe2", Out(8), 0).read())
        assert task.call("write", writing, content, 3, entry=entry) == returned(3)
        assert task.call("read", reading, target, 3, entry=entry).reads == (b"abc",)
        file = task.call("memfd_create", "file", 0).result()
        assert task.call("ftruncate", file, 0x3000) == OK
        assert task.call("pwrite64", file, content, 3, 0x2000, 0, entry=entry) == returned(3)
        mapped = task.call("mmap2", 0, 4096, 1, 2, file, 2, entry=entry).result()
        stored = task.store(bytes(3))
        assert task.copy(stored, mapped, 3) == OK
        assert task.load(stored, 3) == b"abc"

    def test_a_poll_does_not_wait(self, task: Task) -> None:
        """Its timeout is as long as the kernel takes it to be: what an earlier call has left is no part of it."""
        reading, writing = pipe(task)
        assert task.write(UNUSED_FD, b"\xff" * 64) == EBADF
        assert task.poll(reading) == 0
        assert task.poll(writing) == Poll.OUT

    def test_a_sweep(self, task: Task) -> None:
        nr = number("getppid", task.abi.name)
        assert sweep(task, range(nr, nr + 1)) == {nr: OK}
        assert sweep(task, range(0x7FF, 0x800)) == {0x7FF: ENOSYS}

    def test_a_plan(self, task: Task) -> None:
        plan = Plan(task.slot, task.abi.name)
        plan.call("getppid")
        assert run(task, plan, rounds=3) == [{"OK": 3}]


class TestTree:
    def test_children_and_threads_are_32_bit_tasks_too(self, task: Task) -> None:
        child, thread = task.spawn("child"), task.thread("thread")
        assert child.call("getppid") == returned(task.pid)
        assert thread.call("gettid") == returned(thread.tid)
        assert child.spawn("grandchild").call("getppid") == returned(child.pid)
        assert thread.exit_thread() == GONE
        assert child.exit(3) == exited(3)

    def test_a_thread_that_executes_leads_its_process(self, task: Task, host: HostSession) -> None:
        thread = task.thread("thread")
        assert thread.execute_again() == returned(0)
        assert task.wait_death() == GONE
        assert thread.call("gettid") == returned(thread.tid) == returned(thread.pid)
        assert thread.become(host.native) == OK
        assert thread.abi.word == 8
        assert thread.call("getpid") == returned(thread.pid)


class TestSignals:
    def test_a_handler_finds_registers_and_sets_the_result(self, host: HostSession, program: AgentProgram) -> None:
        task = quiet_child(host)
        assert task.become(program) == OK
        assert task.catch(Signal.SYS, result=77) == OK
        arch = program.abi.name
        assert task.install(policy(trap("getppid", data=9), deny("getuid32", errno=EPERM), arch=arch)) == OK
        assert task.call("getppid", 1, 2, 3, 4, 5, 6) == returned(77)
        (caught,) = task.caught_signals()
        assert (caught.signal, caught.errno, caught.arch) == (Signal.SYS, 9, AUDIT_ARCH[arch])
        assert caught.syscall == number("getppid", arch)
        assert [caught.registers[name] for name in ("ebx", "ecx", "edx", "esi", "edi", "ebp")] == [1, 2, 3, 4, 5, 6]
        assert caught.registers["eip"] == caught.call_address
        assert task.call("getuid32") == EPERM

    def test_each_program_has_its_own_handler(self, host: HostSession, program: AgentProgram) -> None:
        task = host.child("both")
        assert task.catch(Signal.USR1) == OK
        assert task.kill(task, Signal.USR1) == OK
        assert task.become(program) == OK
        assert task.catch(Signal.USR1) == OK
        assert task.kill(task, Signal.USR1) == OK
        assert len(task.caught_signals()) == 2
