# SPDX-License-Identifier: GPL-2.0-or-later
"""No structure remains in memory of an installation that was refused, however small it is.

/proc/meminfo counts them all together, so the installations are repeated until even the smallest would show.
Allocators keep freed memory back, more and more for a while: 7.3 grows by 300 KiB in 100,000 attempts, and then no
more.  A leak does not stop, so a period without growth proves that there is none.
"""

from __future__ import annotations

import re

import pytest

from guests import bpf
from guests.bpf import Action, Instruction, Program, notify, policy, ret
from guests.call_plan import Plan, run
from guests.errors import require
from guests.guest import Guest
from guests.syscalls.seccomp import SET_MODE_FILTER, FilterFlag, fprog
from suites.seccomp.support.filtered_tasks import unprivileged

pytestmark = [
    pytest.mark.needs("SECCOMP_FILTER"),
    # KASAN keeps freed memory back, each of several processors keeps some, and only interpreted programs make the
    # kernel free the addresses of earlier ones.
    pytest.mark.lacks("KASAN", "SMP", "BPF_JIT_ALWAYS_ON"),
    pytest.mark.requirement("seccomp.no-leak"),
]

# fmt: off
REFUSED: list[tuple[Program, FilterFlag, str]] = [
    # what leaves struct seccomp_filter behind, some 200 bytes, and struct notification, 32 bytes
    ((Instruction(bpf.LD_IMM),), FilterFlag.NONE,         "EINVAL"),
    ((ret(Action.ALLOW),),       FilterFlag.NEW_LISTENER, "EBUSY"),
]
# fmt: on
AT_A_TIME, WARM_UP, TIMES = 64, 8, 32
"""Attempts, how often they are made before the kernel's memory is stable, and how often in a period from then on."""
PERIODS = 12
ALLOWED_KIB = AT_A_TIME * TIMES * 32 // 2 // 1024
"""Half of what the smallest structure of each attempt of a period takes."""


def kernel_kib(guest: Guest) -> int:
    """KiB of kernel memory in structures that can only be freed, and not reclaimed."""
    found = re.search(r"^SUnreclaim: *(\d+) kB$", guest.read_file("/proc/meminfo"), re.MULTILINE)
    require(found is not None, "/proc/meminfo does not show SUnreclaim")
    return int(found[1]) if found else 0


def test_refused_installations(guest: Guest) -> None:
    """Many invalid programs and second listeners leave nothing in the kernel."""
    if guest.kernel.config.enabled("BPF_JIT"):
        guest.set_sysctl("net.core.bpf_jit_enable", 0)
    task = unprivileged(guest)
    task.listen(policy(notify("getppid"))).result()
    plan = Plan(task.slot)
    for program, flags, _ in REFUSED:
        filter_ = fprog(task.abi, len(program), task.store(bpf.pack(program, task.abi)))
        plan.call("seccomp", SET_MODE_FILTER, flags, task.store(filter_))
    wanted = [{error: AT_A_TIME} for _, _, error in REFUSED]
    for _ in range(WARM_UP):
        assert run(task, plan, AT_A_TIME) == wanted
    sizes = [kernel_kib(guest)]
    for _ in range(PERIODS):
        for _ in range(TIMES):
            assert run(task, plan, AT_A_TIME) == wanted
        sizes.append(kernel_kib(guest))
        if sizes[-1] - sizes[-2] < ALLOWED_KIB:
            return
    pytest.fail(f"the kernel's memory did not stop growing: {sizes} KiB")
