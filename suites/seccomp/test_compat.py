# SPDX-License-Identifier: GPL-2.0-or-later
"""By 32-bit and x32 calls: filters are installed, and notifications answered, with the structures of the ABI."""

from __future__ import annotations

import errno

import pytest

from guests import bpf
from guests.bpf import Action, Filter, Instruction, Program, assembled, deny, notify, pack, policy, ret
from guests.call_arguments import InOut
from guests.guest import Guest
from guests.outcome import EFAULT, EINVAL, ESRCH, OK, Outcome, mismatches, returned
from guests.syscalls.seccomp import (
    MODE_FILTER,
    NOTIF_ID_VALID,
    NOTIF_RECV,
    NOTIF_SEND,
    NOTIF_SIZE,
    SET_MODE_FILTER,
    Notification,
    response,
)
from guests.task import Task
from guests.uapi import Prctl
from suites.seccomp.support.filtered_tasks import SupervisedPair, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

NOWHERE = 0x1000
"""An unmapped address."""
NO_RETURN: Program = (Instruction(bpf.LD_IMM),)


def install_compat(task: Task, filter_: Filter, *, x32: bool = False) -> Outcome:
    """seccomp(SET_MODE_FILTER) with i386's struct sock_fprog, by int 0x80 or as an x32 call."""
    task.be_quiet()
    program = assembled(filter_, task.abi.name)
    fprog = task.abi.pack("HxxI", len(program), task.store(pack(program, task.abi)))
    call = task.call_x32 if x32 else task.call32
    return call("seccomp", SET_MODE_FILTER, 0, fprog)


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.compat")
def test_installed_by_int80(guest: Guest) -> None:
    """A 32-bit call installs a filter for all calls, and gets the same errors."""
    task = unprivileged(guest)
    found: dict[str, tuple[object, object]] = {
        "no program": (install_compat(task, ()), EINVAL),
        "no return": (install_compat(task, NO_RETURN), EINVAL),
        "unreadable": (task.call32("seccomp", SET_MODE_FILTER, 0, NOWHERE), EFAULT),
        "installed": (install_compat(task, policy(deny("getppid", errno=EINVAL))), OK),
        "judged": (task.call("getppid"), EINVAL),
        "the whole of it": (task.call("getuid"), returned(1000)),
        "by prctl": (
            task.call32(
                "prctl",
                Prctl.SET_SECCOMP,
                MODE_FILTER,
                task.abi.pack("HxxI", 1, task.store(pack((ret(Action.ERRNO, errno.ESRCH),), task.abi))),
                0,
                0,
            ),
            OK,
        ),
        "judged by both": (task.call("getuid"), ESRCH),
    }
    assert mismatches(found) == []


@pytest.mark.needs("X86_X32_ABI")
@pytest.mark.boot("syscall.x32=y")
@pytest.mark.requirement("seccomp.compat")
def test_installed_as_x32(guest: Guest) -> None:
    """An x32 call installs a filter for all calls, too, with the same smaller structure."""
    task = unprivileged(guest)
    assert install_compat(task, policy(deny("getppid", errno=EINVAL)), x32=True) == OK
    assert task.call("getppid") == EINVAL
    assert task.call_x32("getuid") == returned(1000)


NOTIFY = policy(notify("getppid"))


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.compat")
def test_a_32_bit_supervisor(guest: Guest) -> None:
    """A supervisor that makes 32-bit calls uses the same structures."""
    pair = SupervisedPair(guest, NOTIFY)
    call = pair.target.begin("getppid")
    received = pair.supervisor.call32("ioctl", pair.listener, NOTIF_RECV, InOut(bytes(NOTIF_SIZE)))
    assert received == OK
    notif = Notification.decode(received.read(), pair.supervisor.abi)
    assert (notif.nr, notif.pid) == (pair.target.number("getppid"), pair.target.pid)
    assert (
        pair.supervisor.call32("ioctl", pair.listener, NOTIF_ID_VALID, pair.supervisor.abi.pack("Q", notif.id)) == OK
    )
    answer = response(pair.supervisor.abi, notif.id, value=1 << 33)
    assert pair.supervisor.call32("ioctl", pair.listener, NOTIF_SEND, answer) == OK
    assert call.outcome() == returned(1 << 33)
