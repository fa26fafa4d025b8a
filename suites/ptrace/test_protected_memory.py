# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that its process has mapped without permission to write or read: who may do that all the same."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EFAULT, EIO, OK, Outcome, returned
from guests.task import Task
from guests.uapi import MAP_ANONYMOUS, MAP_PRIVATE, O_RDWR, PROT_READ, PROT_WRITE

PROT_NONE = 0
CONTENT = b"kconform"


def map_page(guest: Guest, task: Task, protection: int) -> int:
    """The address of a new page of the task's memory."""
    size = guest.hello.page_size
    return task.call("mmap", 0, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0).result()


@pytest.mark.needs("CROSS_MEMORY_ATTACH")
@pytest.mark.requirement("ptrace.process-vm-protection")
def test_calls_and_tracers(guest: Guest) -> None:
    """process_vm_writev() and process_vm_readv() do what the memory permits; a tracer writes to read-only one."""
    watcher, tracer, target = guest.spawn("watcher"), guest.spawn("tracer"), guest.spawn("target")
    writable, read_only, closed = (
        map_page(guest, target, protection) for protection in (PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE)
    )
    assert watcher.process_vm_writev(target, writable, CONTENT) == returned(8)
    assert watcher.process_vm_writev(target, read_only, CONTENT) == EFAULT
    assert watcher.process_vm_writev(target, closed, CONTENT) == EFAULT
    assert watcher.process_vm_readv(target, read_only) == returned(8)
    assert watcher.process_vm_readv(target, closed) == EFAULT
    local, remote = watcher.abi.words(watcher.store(bytes(16)), 16), watcher.abi.words(writable, 8, read_only, 8)
    assert watcher.call("process_vm_writev", target.tid, local, 1, remote, 2, 0) == returned(8)
    tracer.seize_and_stop(target)
    assert tracer.peek(target, read_only) == 0
    assert tracer.poke(target, read_only, 1) == OK
    assert tracer.peek(target, read_only) == 1


@pytest.mark.boot("proc_mem.force_override=ptrace")
@pytest.mark.requirement("ptrace.mem-forced-by-tracers")
def test_mem(guest: Guest) -> None:
    """With proc_mem.force_override=ptrace, the tracer alone writes to read-only memory by /proc/PID/mem."""
    watcher, tracer, target = guest.spawn("watcher"), guest.spawn("tracer"), guest.spawn("target")
    writable, read_only = (map_page(guest, target, protection) for protection in (PROT_READ | PROT_WRITE, PROT_READ))
    opened = {task: task.open_proc(target, "mem", O_RDWR).result() for task in (watcher, tracer)}

    def write(task: Task, address: int) -> Outcome:
        return task.call("pwrite64", opened[task], CONTENT, 8, address)

    for task in (watcher, tracer):
        assert write(task, writable) == returned(8)
        assert write(task, read_only) == EIO
    tracer.seize_and_stop(target)
    assert write(watcher, writable) == returned(8)
    assert write(watcher, read_only) == EIO
    assert write(tracer, read_only) == returned(8)
    tracer.detach(target).result()
    assert write(tracer, read_only) == EIO


@pytest.mark.boot("proc_mem.force_override=always")
@pytest.mark.requirement("ptrace.mem-forced-or-not")
def test_mem_is_always_forced(guest: Guest) -> None:
    """With proc_mem.force_override=always, whoever may open the memory writes to it, and reads what is closed."""
    watcher, target = guest.spawn("watcher"), guest.spawn("target")
    descriptor = watcher.open_proc(target, "mem", O_RDWR).result()
    for protection in (PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE):
        address = map_page(guest, target, protection)
        assert watcher.call("pwrite64", descriptor, CONTENT, 8, address) == returned(8)
        assert watcher.call("pread64", descriptor, Out(8), 8, address).read() == CONTENT


@pytest.mark.boot("proc_mem.force_override=never")
@pytest.mark.requirement("ptrace.mem-forced-or-not")
def test_mem_is_never_forced(guest: Guest) -> None:
    """With proc_mem.force_override=never, the memory's protection holds for its tracer too, by this file."""
    tracer, target = guest.spawn("tracer"), guest.spawn("target")
    writable, read_only, closed = (
        map_page(guest, target, protection) for protection in (PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE)
    )
    descriptor = tracer.open_proc(target, "mem", O_RDWR).result()
    tracer.seize_and_stop(target)
    assert tracer.call("pwrite64", descriptor, CONTENT, 8, writable) == returned(8)
    assert tracer.call("pread64", descriptor, Out(8), 8, read_only) == returned(8)
    for address in (read_only, closed):
        assert tracer.call("pwrite64", descriptor, CONTENT, 8, address) == EIO
    assert tracer.call("pread64", descriptor, Out(8), 8, closed) == EIO
