# SPDX-License-Identifier: GPL-2.0-or-later
"""No structure remains in memory of an installation that was refused, however small it is."""

from __future__ import annotations

import pytest

from guests import bpf
from guests.bpf import Action, Instruction, Program, notify, policy, ret
from guests.call_plan import Plan, run
from guests.guest import Guest
from guests.syscalls.seccomp import SET_MODE_FILTER, FilterFlag, fprog
from suites.seccomp.support import filter_runner
from suites.seccomp.support.filtered_tasks import unprivileged
from suites.slab_growth import SIZE_IS_EXACT, check_stops_growing

pytestmark = [
    pytest.mark.needs("SECCOMP_FILTER", "SYSCTL"),
    SIZE_IS_EXACT,
    # Only interpreted programs make the kernel free the addresses of earlier ones.
    pytest.mark.lacks("BPF_JIT_ALWAYS_ON"),
    # To free one, arm flushes the address of every page of the kernel (vm_reset_perms(), flush_tlb_kernel_range()):
    # the memory is used up before all are freed, which is no leak.
    pytest.mark.lacks("ARM"),
    pytest.mark.requirement("seccomp.no-leak"),
]

REFUSED: list[tuple[Program, FilterFlag, str]] = [
    # Leaves struct seccomp_filter, some 200 bytes.
    ((Instruction(bpf.LD_IMM),), FilterFlag.NONE, "EINVAL"),
    # Leaves struct notification, 32 bytes, and 256 bytes of the program as it was before it was translated.
    ((*[Instruction(bpf.LD_IMM)] * 31, ret(Action.ALLOW)), FilterFlag.NEW_LISTENER, "EBUSY"),
]
AT_A_TIME, TIMES = 64, 32
"""Attempts, and how often they are made in a period."""
LEAK = AT_A_TIME * TIMES * 32
"""Bytes that the smaller structures of a period take."""


def test_refused_installations(guest: Guest) -> None:
    """Many invalid programs and second listeners leave nothing in the kernel."""
    if filter_runner.can_be_chosen(guest):
        guest.set_sysctl(filter_runner.COMPILED, 0)
    task = unprivileged(guest)
    task.listen(policy(notify("getppid"))).result()
    plan = Plan(task.slot)
    for program, flags, _ in REFUSED:
        filter_ = fprog(task.abi, len(program), task.store(bpf.pack(program, task.abi)))
        plan.call("seccomp", SET_MODE_FILTER, flags, task.store(filter_))

    def attempt() -> None:
        for _ in range(TIMES):
            assert run(task, plan, AT_A_TIME) == [{error: AT_A_TIME} for _, _, error in REFUSED]

    check_stops_growing(guest, attempt, LEAK)
