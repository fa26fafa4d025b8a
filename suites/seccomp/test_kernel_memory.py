# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that many policies allow, and that once wrote bytes of the kernel to a program, or to the kernel itself."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.call_plan import Plan, run
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EBADF, EFAULT, EINVAL, OK, exited, mismatches
from guests.uapi import SIGINFO_SIZE, WNOHANG, Cap, Signal

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

P_PID, WEXITED, WNOWAIT = 1, 4, 0x01000000
CLD_EXITED = 1
TIMES = 5

# The kernel's direct map of all memory, with tables of four and of five levels, and other parts of its half
# (Documentation/arch/x86/x86_64/mm.rst), and the map of 32-bit kernels.  The page at 0x2000 of memory is mapped there
# on every machine.
KERNEL_ADDRESSES = {
    8: (0xFFFF888000002000, 0xFF11000000002000, 0xFFFF800000000000, 0xFFFFFFFF81000000),
    4: (0xC0002000, 0xC1000000, 0xFFFFF000),
}
"""By the size of a word."""


@pytest.mark.requirement("seccomp.waitid-siginfo")
def test_waitid_that_finds_nothing(guest: Guest) -> None:
    """With WNOHANG, a waitid() that finds nothing writes zeros, although a call just before it has found a child.

    The control is what that call has written.
    """
    parent = guest.spawn("parent")
    ended, alive = parent.spawn("ended"), parent.spawn("alive")
    ended.exit(7).require(exited(7))
    buffers = [parent.store(b"\xff" * SIGINFO_SIZE) for _ in range(2 * TIMES)]
    plan = Plan(parent.slot)
    for found, nothing in zip(buffers[::2], buffers[1::2], strict=True):
        plan.call("waitid", P_PID, ended, found, WEXITED | WNOWAIT, None)
        plan.call("waitid", P_PID, alive, nothing, WEXITED | WNOHANG, None)
    require(run(parent, plan) == [{"OK": 1}] * len(plan), "waitid() failed")
    form = f"iii{parent.abi.siginfo_union - 12}xiIi"
    written = [parent.abi.unpack_from(form, parent.load(buffer, SIGINFO_SIZE)) for buffer in buffers]
    assert written[::2] == [(Signal.CHLD, 0, CLD_EXITED, ended.pid, 1000, 7)] * TIMES
    assert written[1::2] == [(0,) * 6] * TIMES


@pytest.mark.requirement("seccomp.waitid-address")
def test_waitid_into_the_kernel(guest: Guest) -> None:
    """waitid() with an address of the kernel fails with EFAULT, whether it finds a child or not."""
    parent = guest.spawn("parent")
    ended, alive = parent.spawn("ended"), parent.spawn("alive")
    ended.exit(7).require(exited(7))
    found: dict[str, tuple[object, object]] = {}
    for address in KERNEL_ADDRESSES[parent.abi.word]:
        one = parent.call("waitid", P_PID, ended, address, WEXITED | WNOWAIT, None)
        none = parent.call("waitid", P_PID, alive, address, WEXITED | WNOHANG, None)
        found |= {f"{address:#x}, a child": (one, EFAULT), f"{address:#x}, none": (none, EFAULT)}
    assert mismatches(found) == []
    assert parent.call("waitid", P_PID, ended, Out(SIGINFO_SIZE), WEXITED | WNOWAIT, None) == OK


MMSGHDR_SIZE = 64


@pytest.mark.needs("X86_X32_ABI", "NET")
@pytest.mark.boot("syscall.x32=y")
@pytest.mark.requirement("seccomp.recvmmsg-address")
def test_a_timeout_in_the_kernel(guest: Guest) -> None:
    """recvmmsg() with a timeout at an address of the kernel fails with EFAULT, also as an x32 call.

    The control is a timeout of the task's own: it is read, and there is no socket.
    """
    task = guest.spawn("task")
    message, timeout = task.store(bytes(MMSGHDR_SIZE)), task.store(bytes(16))
    found: dict[str, tuple[object, object]] = {}
    for name, call in {"native": task.call, "x32": task.call_x32}.items():
        for address in KERNEL_ADDRESSES[8]:
            found[f"{name}, {address:#x}"] = (call("recvmmsg", -1, message, 1, 0, address), EFAULT)
        found[f"{name}, its own"] = (call("recvmmsg", -1, message, 1, 0, timeout), EBADF)
    assert mismatches(found) == []


PR_SET_MM, PR_SET_MM_AUXV, PR_GET_AUXV = 35, 12, 0x41555856
AT_PAGESZ, AT_VECTOR_LONGEST = 6, 1024


@pytest.mark.requirement("seccomp.auxv")
def test_a_short_auxiliary_vector(guest: Guest) -> None:
    """After a task has set a short vector, zeros follow it, in /proc/PID/auxv and for PR_GET_AUXV (since 6.4)."""
    task = guest.spawn("task", caps=Cap.SYS_RESOURCE)
    require(len(guest.read_bytes(f"/proc/{task.pid}/auxv")) > 10 * 2 * task.abi.word, "the vector was short before")
    vector = task.abi.words(AT_PAGESZ, 4096)
    assert task.call("prctl", PR_SET_MM, PR_SET_MM_AUXV, vector, len(vector), 0) == OK
    assert guest.read_bytes(f"/proc/{task.pid}/auxv") == vector + bytes(2 * task.abi.word)
    read = task.call("prctl", PR_GET_AUXV, Out(AT_VECTOR_LONGEST), AT_VECTOR_LONGEST, 0, 0)
    if read != EINVAL:
        assert read.read() == vector + bytes(AT_VECTOR_LONGEST - len(vector))


UNAME26 = 0x0020000
FIELD, RELEASE = 65, 2
"""The length of a field of struct new_utsname, and the release's place among them."""


def release(raw: bytes) -> bytes:
    return raw[FIELD * RELEASE : FIELD * (RELEASE + 1)]


@pytest.mark.requirement("seccomp.uname26")
def test_the_release_under_uname26(guest: Guest) -> None:
    """Under the personality UNAME26, uname() writes another release, and leaves what follows it as it was."""
    task = guest.spawn("task")
    before = release(task.call("uname", Out(6 * FIELD)).read())
    task.call("personality", UNAME26).result()
    after = release(task.call("uname", Out(6 * FIELD)).read())
    text, _, rest = after.partition(b"\0")
    assert text.startswith(b"2.6.")
    assert rest == before[len(text) + 1 :]
