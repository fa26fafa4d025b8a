# SPDX-License-Identifier: GPL-2.0-or-later
"""The modes of a task, and the operations of seccomp() and prctl() that do not exist."""

from __future__ import annotations

import pytest

from guests.bpf import Action, Program, deny, policy, ret
from guests.guest import Guest
from guests.outcome import EFAULT, EINVAL, ESRCH, OK, mismatches, returned
from guests.syscalls.seccomp import (
    GET_ACTION_AVAIL,
    GET_NOTIF_SIZES,
    MODE_DISABLED,
    MODE_FILTER,
    MODE_STRICT,
    SET_MODE_FILTER,
    SET_MODE_STRICT,
    FilterFlag,
)
from guests.uapi import Prctl
from suites.seccomp.support.filtered_tasks import status, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
ALLOW_ALL: Program = (ret(Action.ALLOW),)


@pytest.mark.requirement("seccomp.modes")
def test_filter_then_strict(guest: Guest) -> None:
    """A filtered task cannot enter strict mode, which might allow what its filter denies; its filters stay."""
    task = unprivileged(guest)
    task.install(ALLOW_ALL).result()
    assert task.enter_strict_mode() == EINVAL
    assert task.call("prctl", Prctl.SET_SECCOMP, MODE_STRICT, 0, 0, 0) == EINVAL
    assert task.install(policy(deny("getppid", errno=ESRCH))) == OK
    assert task.call("getppid") == ESRCH


# fmt: off
OPERATIONS = {
    # seccomp(operation, flags, pointer)
    "unknown-operation":       ((4, 0, None),                          EINVAL),
    "negative-operation":      ((0xFFFFFFFF, 0, None),                 EINVAL),
    "strict-with-flags":       ((SET_MODE_STRICT, 1, None),            EINVAL),
    "strict-with-a-pointer":   ((SET_MODE_STRICT, 0, b"\0" * 16),      EINVAL),
    "avail-with-flags":        ((GET_ACTION_AVAIL, 1, b"\0" * 4),      EINVAL),
    "sizes-with-flags":        ((GET_NOTIF_SIZES, 1, b"\0" * 8),       EINVAL),
    "filter-without-pointer":  ((SET_MODE_FILTER, 0, None),            EFAULT),
}
PRCTL = {
    # prctl(PR_SET_SECCOMP, mode, pointer)
    "mode-0":                  ((0, None),              EINVAL),
    "mode-3":                  ((3, None),              EINVAL),
    "mode-minus-one":          ((-1, None),             EINVAL),
}
# fmt: on


@pytest.mark.requirement("seccomp.operations")
def test_wrong_operations(guest: Guest) -> None:
    """Undefined operations and modes are rejected and change nothing; a defined operation is not rejected."""
    task = unprivileged(guest)
    task.be_quiet()
    found: dict[str, tuple[object, object]] = {
        name: (task.call("seccomp", *arguments), wanted) for name, (arguments, wanted) in OPERATIONS.items()
    }
    found |= {
        name: (task.call("prctl", Prctl.SET_SECCOMP, *arguments, 0, 0), wanted)
        for name, (arguments, wanted) in PRCTL.items()
    }
    assert mismatches(found) == []
    assert status(guest, task)["Seccomp"] == "0"
    assert task.install(ALLOW_ALL) == OK


@pytest.mark.needs("64BIT")
@pytest.mark.requirement("seccomp.operations")
def test_a_mode_of_more_than_32_bits(guest: Guest) -> None:
    """The mode that prctl() takes is a long, of which all bits count."""
    task = unprivileged(guest)
    task.be_quiet()
    assert task.call("prctl", Prctl.SET_SECCOMP, 1 << 32 | MODE_STRICT, None, 0, 0) == EINVAL


@pytest.mark.requirement("seccomp.modes")
def test_get_seccomp(guest: Guest) -> None:
    """PR_GET_SECCOMP returns 0 without a filter, and 2 with one that allows prctl()."""
    task = unprivileged(guest)
    assert task.call("prctl", Prctl.GET_SECCOMP) == returned(MODE_DISABLED)
    task.install(ALLOW_ALL).result()
    assert task.call("prctl", Prctl.GET_SECCOMP) == returned(MODE_FILTER)


@pytest.mark.requirement("seccomp.modes")
@pytest.mark.parametrize("filtered", ["leader", "thread"])
def test_get_seccomp_of_threads(guest: Guest, filtered: str) -> None:
    """PR_GET_SECCOMP returns the mode of the thread that calls it, whichever of its process has filters."""
    leader = unprivileged(guest, "leader")
    threads = {"leader": leader, "thread": leader.thread("thread")}
    threads[filtered].install(ALLOW_ALL).result()
    for name, task in threads.items():
        mode = MODE_FILTER if name == filtered else MODE_DISABLED
        assert task.call("prctl", Prctl.GET_SECCOMP) == returned(mode)
    threads[filtered].install(ALLOW_ALL, FilterFlag.TSYNC).result()
    for task in threads.values():
        assert task.call("prctl", Prctl.GET_SECCOMP) == returned(MODE_FILTER)
