# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that ftrace traces, among them numbers that belong to no call."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import ENOSYS, OK
from guests.syscall_sweep import sweep
from suites.lockdown_and_signing import lockdown

pytestmark = [
    pytest.mark.own_machine("it turns events of ftrace on"),
    pytest.mark.needs("SECCOMP_FILTER", "FTRACE_SYSCALLS"),
    pytest.mark.requirement("seccomp.ftrace-numbers"),
]

TRACEFS = "/sys/kernel/tracing"
BEYOND, FAR_BEYOND = range(1024, 2048), (0x8000, 0x3FFFFFFF, 0x7FFFFFFF, 0x80000000)
"""Numbers of no call; the last one is negative to the kernel."""


def test_any_number(guest: Guest) -> None:
    """While one call is traced, calls with other numbers fail with ENOSYS; its own entry and exit are recorded."""
    if lockdown(guest) == "confidentiality":
        pytest.skip("needs events of ftrace, which lockdown=confidentiality hides")
    guest.root().mount("tracefs", TRACEFS, "tracefs").result()
    for event in ("sys_enter_getppid", "sys_exit_getppid"):
        guest.write_file(f"{TRACEFS}/events/syscalls/{event}/enable", "1").result()
    task = guest.spawn("task")
    numbers = [nr for nr in FAR_BEYOND if nr < task.abi.illegal_from]
    outcomes = [*sweep(task, BEYOND).values(), *map(task.call, numbers)]
    assert [outcome for outcome in outcomes if outcome != ENOSYS] == []
    assert task.call("getppid") == OK
    recorded = [line for line in guest.read_file(f"{TRACEFS}/trace").splitlines() if f"task-{task.pid} " in line]
    assert [line.partition(": ")[2].partition("(")[0].split(" ")[0] for line in recorded] == ["sys_getppid"] * 2
