# SPDX-License-Identifier: GPL-2.0-or-later
"""The agents of other architectures, run on this host by QEMU's user emulation: their entry code, without a kernel.

It shows how a program starts, makes calls, clones, and returns from a handler.  What the kernel itself does, such as
filters and tracers, is not emulated.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
from collections.abc import Iterator

import pytest

from guests.abis import NATIVE
from guests.call_plan import Plan, run
from guests.outcome import EFAULT, GONE, OK, exited, returned
from guests.uapi import Signal
from guests.vm.initramfs import agent, compiler, compiles
from kconfigs.architectures import ARCHITECTURES
from kconfigs.cache import Cache
from suites.harness.guests.fakes import HostSession

FOREIGN = [arch for arch in ARCHITECTURES if arch != platform.machine()]


@pytest.fixture(params=FOREIGN)
def foreign(request: pytest.FixtureRequest, store: Cache) -> Iterator[HostSession]:
    """A session with the agent of another architecture; skipped without its compiler or its emulation."""
    arch = request.param
    emulator = shutil.which(f"qemu-{arch}") or shutil.which(f"qemu-{arch}-static")
    if emulator is None:
        pytest.skip(f"needs qemu-{arch}, which Debian's package qemu-user has")
    if not compiles(arch):
        pytest.skip(f"needs a C compiler for {arch}: {compiler(arch)}, and the kernel's headers for it")
    with contextlib.closing(HostSession(agent(arch, store), arch, emulator)) as session:
        yield session


def test_a_foreign_agent(foreign: HostSession) -> None:
    """Its processes and threads make calls with the numbers and the registers of their architecture."""
    assert foreign.hello.machine == (ARCHITECTURES[foreign.arch].machine or foreign.arch)
    assert foreign.hello.page_size in {0x1000, 0x4000, 0x10000}
    task = foreign.child("task")
    assert task.abi is NATIVE[foreign.arch]
    assert task.call("getpid") == returned(task.pid)
    assert task.call("uname", 0x1000) == EFAULT
    child = task.spawn("child")
    assert child.call("getppid") == returned(task.pid)
    thread = child.thread("thread")
    assert thread.call("gettid") == returned(thread.tid)
    assert thread.exit_thread() == GONE
    assert child.exit(3) == exited(3)
    plan = Plan(task.slot)
    plan.call("getuid")
    assert run(task, plan, rounds=3)[0]["OK"] == 3


def test_six_arguments(foreign: HostSession) -> None:
    """Each argument is in its register: a page of a file is mapped where the call says, from the given offset."""
    task = foreign.child("task")
    file = task.call("memfd_create", "file", 0).result()
    assert task.call("pwrite64", file, task.store(b"abc"), 3, 0x2000) == returned(3)
    mapped = task.call("mmap", 0, 4096, 1, 2, file, 0x2000).result()
    stored = task.store(bytes(3))
    assert task.copy(stored, mapped, 3) == OK
    assert task.load(stored, 3) == b"abc"


def test_a_handler(foreign: HostSession) -> None:
    """A handler finds the registers of what it interrupts, and returns from there."""
    task = foreign.child("task")
    assert task.catch(Signal.USR1) == OK
    assert task.kill(task, Signal.USR1) == OK
    (caught,) = task.caught_signals()
    assert caught.signal == Signal.USR1
    # The call has returned, and on some architectures its result replaces its number.
    registers = task.abi.context_call
    assert registers.number == registers.result or caught.registers.nr == task.number("kill")
    assert caught.registers[task.abi.context_call.arguments[1]] == Signal.USR1
    assert caught.registers.sp > caught.registers.ip > 0
    assert task.call("getpid") == returned(task.pid)
