# SPDX-License-Identifier: GPL-2.0-or-later
"""Files in /proc/PID that are open when the process changes: its own, and those of others."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import EBUSY, EINVAL, EPERM, OK, exited, returned
from guests.promises import breaks
from guests.protocol import wire
from guests.uapi import MAP_SHARED, O_CREAT, O_RDWR, O_WRONLY, PROT_READ, PROT_WRITE, Cap
from suites.process_accesses import UNUSED
from suites.ptrace.support.programs import Programs, execute

LENT = "/tmp/lent"  # noqa: S108 - the guest's
PAGE = 4096
MAC_ADMIN = Cap(1 << 33)
JUDGED = (EINVAL, returned(1))
"""What a security module returns for a value that only some accept; without a module, it is EINVAL."""


@pytest.mark.requirement("ptrace.open-mem")
def test_own_mem(guest: Guest) -> None:
    """/proc/self/mem that a process has opened does not let it into the program that it executes."""
    task = guest.spawn("task")
    descriptor = task.open("/proc/self/mem", O_RDWR).result()
    address = wire.data_address(task.slot, UNUSED)
    assert task.call("pwrite64", descriptor, bytes(8), 8, address) == returned(8)
    for path in (guest.program, Programs(guest).create(mode=0o4755)):
        execute(task, path).result()
        assert task.call("pread64", descriptor, bytes(8), 8, address) == returned(0)
        assert task.call("pwrite64", descriptor, bytes(8), 8, address) == returned(0)


@pytest.mark.requirement("ptrace.open-memory-ends")
def test_memory_ends_with_the_process(guest: Guest) -> None:
    """An open file of a process does not keep its memory: what it has mapped can be unmounted once it ends."""
    root, watcher, target = guest.root(), guest.spawn("watcher"), guest.spawn("target")
    root.mount("tmpfs", LENT, "tmpfs", data="mode=0777").result()
    descriptor = target.open(f"{LENT}/file", O_RDWR | O_CREAT).result()
    target.write(descriptor, bytes(PAGE)).result()
    target.call("mmap", 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0).result()
    target.close(descriptor).result()
    names = ["mem", "environ", "auxv", "maps"]
    if guest.kernel.config.enabled("PROC_PAGE_MONITOR"):
        names += ["smaps", "pagemap"]
    for name in names:
        watcher.open_proc(target, name).result()
    root.umount(LENT).require(EBUSY)
    target.exit().require(exited(0))
    assert root.umount(LENT) == OK


@pytest.mark.needs("SECURITY")
@pytest.mark.requirement("ptrace.proc-attributes", "ptrace.proc-attributes-ids")
def test_attributes(guest: Guest) -> None:
    """A process may write its attributes by a file that it opened before its ids changed, but not its program."""
    task, path = guest.spawn("task", caps=Cap.SETUID | MAC_ADMIN), Programs(guest).create(mode=0o4755)
    descriptor = task.open("/proc/self/attr/current", O_WRONLY).result()
    with breaks("ptrace.proc-attributes-ids"):
        assert task.write(descriptor, b"?") in JUDGED
        task.call("setresuid", 1001, 1001, 1001).result()
        assert task.write(descriptor, b"?") in JUDGED
    with breaks("ptrace.proc-attributes"):
        execute(task, path).result()
        assert task.write(descriptor, b"?") == EPERM
        assert task.write_text("/proc/self/attr/current", "?") in JUDGED
