# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels without filters, and without seccomp: they reject all attempts, and no part of it remains."""

from __future__ import annotations

import errno

import pytest

from guests.bpf import Action, pack, ret
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINVAL, ENOSYS, OK, Expected, Outcome, killed, mismatches, returned
from guests.promises import breaks
from guests.syscalls.seccomp import (
    MODE_DISABLED,
    MODE_FILTER,
    MODE_STRICT,
    SET_MODE_FILTER,
    SET_MODE_STRICT,
    FilterFlag,
    fprog,
)
from guests.task import Task
from guests.uapi import Prctl, PtraceOption, Signal
from suites.seccomp.support.filtered_tasks import seccomp_state, status


def able(guest: Guest) -> Task:
    """A task that could install a filter, if the kernel had filters."""
    task = guest.spawn("able", quiet=True)
    task.set_no_new_privs().result()
    return task


def install(task: Task, way: str, flags: FilterFlag = FilterFlag.NONE) -> Outcome:
    program = (ret(Action.ERRNO, errno.EINVAL),)
    pointer = fprog(task.abi, 1, task.store(pack(program, task.abi)))
    if way == "prctl":
        return task.call("prctl", Prctl.SET_SECCOMP, MODE_FILTER, pointer, 0, 0)
    return task.call("seccomp", SET_MODE_FILTER, flags, pointer)


@pytest.mark.needs("SECCOMP")
@pytest.mark.lacks("SECCOMP_FILTER")
@pytest.mark.requirement("seccomp.no-filter")
def test_no_filters(guest: Guest) -> None:
    """Without CONFIG_SECCOMP_FILTER, every attempt to install a filter fails with EINVAL; strict mode works."""
    task = able(guest)
    found: dict[str, tuple[object, object]] = {
        "prctl": (install(task, "prctl"), EINVAL),
        "seccomp": (install(task, "seccomp"), EINVAL),
        "seccomp with a listener": (install(task, "seccomp", FilterFlag.NEW_LISTENER), EINVAL),
        "afterwards": (task.call("getppid"), returned(guest.init.tid)),
        "the mode": (task.call("prctl", Prctl.GET_SECCOMP), returned(MODE_DISABLED)),
        "in status": (status(guest, task)["Seccomp"], "0"),
        "the number of filters": ("Seccomp_filters" in status(guest, task), False),
        "no_new_privs": (status(guest, task)["NoNewPrivs"], "1"),
        "strict mode": (task.enter_strict_mode(), OK),
        "which is strict": (task.call("getppid"), killed(Signal.KILL)),
    }
    assert mismatches(found) == []


@pytest.mark.lacks("SECCOMP")
@pytest.mark.requirement("seccomp.no-seccomp")
def test_no_seccomp(guest: Guest) -> None:
    """Without CONFIG_SECCOMP, seccomp() is ENOSYS, prctl() EINVAL, and neither /proc nor sysctl shows seccomp."""
    task = able(guest)
    wanted: dict[str, Expected] = {"prctl": EINVAL, "seccomp": ENOSYS}
    found: dict[str, tuple[object, object]] = {way: (install(task, way), error) for way, error in wanted.items()}
    found |= {
        "strict by prctl": (task.call("prctl", Prctl.SET_SECCOMP, MODE_STRICT, 0, 0, 0), EINVAL),
        "strict by seccomp": (task.call("seccomp", SET_MODE_STRICT, 0, 0), ENOSYS),
        "the mode": (task.call("prctl", Prctl.GET_SECCOMP), EINVAL),
        "afterwards": (task.call("getppid"), returned(guest.init.tid)),
        "in status": ([line for line in status(guest, task) if line.startswith("Seccomp")], []),
        "sysctl": (guest.exists("/proc/sys/kernel/seccomp"), False),
    }
    assert mismatches(found) == []


@pytest.mark.lacks("SECCOMP")
@pytest.mark.requirement("seccomp.no-seccomp")
def test_nothing_can_be_suspended(guest: Guest) -> None:
    """PTRACE_O_SUSPEND_SECCOMP fails with EINVAL, even for root."""
    tracer = guest.root("tracer")
    tracee = tracer.spawn("tracee")
    assert tracer.seize(tracee, PtraceOption.SUSPEND_SECCOMP) == EINVAL
    assert tracer.seize(tracee) == OK


@pytest.mark.needs("SECCOMP_FILTER", "SYSCTL")
@pytest.mark.requirement("seccomp.privilege", "seccomp.status")
def test_the_same_calls_with_filter_support(guest: Guest) -> None:
    """The control: with filter support, the calls that fail without it install a filter, which /proc shows.

    It breaks no promise about kernels without filters, and proves none of them.
    """
    for way in ("prctl", "seccomp"):
        task = able(guest)
        with breaks("seccomp.privilege"):
            assert install(task, way) == OK
            assert task.call("getppid") == EINVAL
        with breaks("seccomp.status"):
            assert seccomp_state(guest, task)[:2] == ("1", "2")
    require(guest.exists("/proc/sys/kernel/seccomp/actions_avail"), "there are no sysctls of seccomp")
