# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine code into which the kernel compiles filters is limited, and freed with them.

/proc/meminfo counts it with the other memory that the kernel maps for itself, in which the programs are, too.
"""

from __future__ import annotations

import pytest

from guests.bpf import DIV, Action, Instruction, pack, ret
from guests.call_plan import Counts, Plan, run
from guests.errors import require
from guests.guest import Guest
from guests.outcome import returned
from guests.promises import breaks
from guests.syscalls.seccomp import SET_MODE_FILTER, FilterFlag, fprog
from guests.task import Task
from guests.uapi import Signal
from suites.seccomp.support.filtered_tasks import unprivileged
from suites.slab_growth import kib

pytestmark = [
    pytest.mark.needs("SECCOMP_FILTER", "BPF_JIT"),
    # It flushes the addresses of all pages of the kernel for each program that it frees, and so takes long.
    pytest.mark.lacks("ARM"),
]

LONG = (*(Instruction(DIV, 7),) * 4095, ret(Action.ALLOW))
"""A filter of 32 KiB, whose code takes 32 KiB or more: no architecture divides in less than 8 bytes."""
PROGRAM_KIB = 33
"""What the kernel keeps of it beside its code, in whole pages: 4096 instructions, and what describes them."""
TASKS, EACH = 12, 7
"""How many tasks have the filter, and how often.  Their code needs more than the 2 MiB that the kernel takes for code
at a time (kernel/bpf/core.c, BPF_PROG_PACK_SIZE)."""
TAKEN_KIB, LEFT_KIB = 4096, 1024
"""What all of them take at least with their code, and what may be left of it, or be taken by something else."""


def used_kib(guest: Guest) -> int:
    return kib(guest, "VmallocUsed")


def install_long_filters(guest: Guest) -> tuple[Task, list[Counts]]:
    """A task that has tried to install its filters, and with which results."""
    task = unprivileged(guest)
    plan = Plan(task.slot)
    filter_ = fprog(task.abi, len(LONG), task.store(pack(LONG, task.abi)))
    plan.call("seccomp", SET_MODE_FILTER, FilterFlag.NONE, filter_)
    return task, run(task, plan, EACH)


def with_long_filters(guest: Guest) -> Task:
    task, results = install_long_filters(guest)
    require(results == [{"OK": EACH}], f"{task} could not install its filters")
    return task


def end(guest: Guest, task: Task) -> None:
    guest.init.kill(task, Signal.KILL).result()
    guest.init.reap(task).result()


@pytest.mark.requirement("seccomp.no-leak")
def test_code_is_freed(guest: Guest) -> None:
    """Many long filters take much memory while their tasks live, and none any more when these have ended."""
    guest.set_sysctl("net.core.bpf_jit_enable", 1)
    # From then on, the kernel has memory for code.
    end(guest, with_long_filters(guest))
    before = used_kib(guest)
    tasks = [with_long_filters(guest) for _ in range(TASKS)]
    require(used_kib(guest) > before + TAKEN_KIB, "/proc/meminfo does not show the code of filters")
    for task in tasks:
        end(guest, task)
    guest.wait_until(lambda: used_kib(guest) < before + LEFT_KIB, "the kernel to free the code of filters")


@pytest.mark.lacks("BPF_JIT_ALWAYS_ON")
@pytest.mark.requirement("seccomp.code-limit", "seccomp.not-compiled")
def test_code_is_limited(guest: Guest) -> None:
    """When there is as much code as bpf_jit_limit allows, the filters of unprivileged tasks are interpreted.

    The control is the test above, where their code takes more than that memory.
    """
    page_kib = guest.hello.page_size // 1024
    without_code = TASKS * EACH * -(-PROGRAM_KIB // page_kib) * page_kib
    guest.set_sysctl("net.core.bpf_jit_enable", 1)
    guest.set_sysctl("net.core.bpf_jit_limit", 1)
    before = used_kib(guest)
    installed = [install_long_filters(guest) for _ in range(TASKS)]
    with breaks("seccomp.not-compiled"):
        assert [results for _, results in installed] == [[{"OK": EACH}]] * TASKS
        assert [task.call("getuid") for task, _ in installed] == [returned(1000)] * TASKS
    with breaks("seccomp.code-limit"):
        assert used_kib(guest) < before + without_code + LEFT_KIB
