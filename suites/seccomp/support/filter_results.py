# SPDX-License-Identifier: GPL-2.0-or-later
"""The results of calls under filters, compared with those of the reference, bpf_interpreter.py.

Filters return errnos that no call itself returns, so a result shows whether a filter denied the call, and which.
Otherwise the call has run, so the tests make only harmless calls.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, settings

from guests.abis import BY_NAME
from guests.bpf import AUDIT_ARCH, Action, Program, ret
from guests.guest import Guest
from guests.outcome import OK, Outcome
from guests.protocol.wire import Entry, data_address
from guests.syscall_sweep import sweep
from guests.syscalls.seccomp import SET_MODE_FILTER
from guests.task import Task
from guests.uapi import Signal, has_number, number
from suites.seccomp.support.bpf_interpreter import SeccompData, run_filters
from suites.seccomp.support.filtered_tasks import check_equal
from suites.seccomp.support.generated_filters import FILTER_ERRNO

ALLOWED, DENIED = ret(Action.ALLOW), ret(Action.ERRNO, FILTER_ERRNO)

NUMBERS = 512
"""More than the number of calls of any architecture."""
ALL_ONES = {Entry.NATIVE: ((1 << 64) - 1,) * 6, Entry.INT80: (0xFFFFFFFF,) * 6}

PROBE_CALLS = {"uretprobe": 335, "uprobe": 336}
"""Reserved for the kernel's own code in a program, which no filter stops, and fatal from anywhere else; on x86-64,
since 6.14 and 6.18."""

_FATAL = (
    *("exit", "exit_group", "fork", "vfork", "pause", "sigreturn", "rt_sigreturn", "sigsuspend"),
    *("switch_endian", "swapcontext"),
)
"""Calls that end, fork or suspend their caller, or make it another, even with arguments of all ones."""


def abi_of(entry: Entry, arch: str) -> str:
    """Whose numbers a call by this entry has in a guest of an architecture."""
    return {Entry.NATIVE: arch, Entry.INT80: "i386"}[entry]


def probe_calls(entry: Entry, arch: str) -> set[int]:
    """The numbers that no filter stops."""
    return set(PROBE_CALLS.values()) if abi_of(entry, arch) == "x86_64" else set()


# Derandomized: every run draws the same filters.  No shrinking: each attempt costs the guest a task.
seeded = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def entries(guest: Guest) -> list[Entry]:
    return [Entry.NATIVE] + ([Entry.INT80] if guest.kernel.config.enabled("IA32_EMULATION") else [])


def result_of(outcome: Outcome) -> str:
    """The errno that a filter returned, or `ran` if the call ran."""
    return f"errno {outcome.errno}" if outcome.errno >= FILTER_ERRNO else "ran"


def expected_result(filters: Sequence[Program], nr: int, abi: str, arguments: tuple[int, ...]) -> str:
    action, value = run_filters(filters, SeccompData(nr, AUDIT_ARCH[abi], args=BY_NAME[abi].passed(arguments)))
    return f"errno {value}" if action is Action.ERRNO else "ran"


def check_installs(task: Task, filters: Sequence[Program]) -> list[Program]:
    """Install filters until an earlier one denies seccomp(), check each result, and return those installed."""
    installed: list[Program] = []
    for program in filters:
        done = task.install(program)
        pointers = (SET_MODE_FILTER, 0, data_address(task.slot), 0, 0, 0)
        wanted = expected_result(installed, task.number("seccomp"), task.abi.name, pointers)
        check_equal(result_of(done), wanted)
        if wanted != "ran":
            break
        check_equal(done, OK)
        installed.append(program)
    return installed


Call = tuple[int, tuple[int, ...]]
"""A number and its arguments."""


def mismatching_numbers(task: Task, filters: Sequence[Program], entry: Entry) -> list[str]:
    """Make every possible call, with ineffective arguments; return those that differ from the expected results."""
    numbers, abi = range(NUMBERS), abi_of(entry, task.abi.name)
    meanings = {nr: expected_result(filters, nr, abi, ALL_ONES[entry]) for nr in numbers}
    fatal = {number(name, abi) for name in _FATAL if has_number(name, abi)}
    left_out = {nr for nr in fatal if meanings[nr] == "ran"} | probe_calls(entry, abi)
    actual = sweep(task, numbers, ALL_ONES[entry], skip=left_out, entry=entry)
    return [
        f"{entry.name} {nr}: {result_of(outcome)}, expected {meanings[nr]}"
        for nr, outcome in actual.items()
        if result_of(outcome) != meanings[nr]
    ]


def mismatching_calls(task: Task, filters: Sequence[Program], entry: Entry, calls: Sequence[Call]) -> list[str]:
    """Make these calls; return those that differ from the expected results."""
    wrong = []
    for nr, arguments in calls:
        actual = result_of(task.call(nr, *arguments, entry=entry))
        wanted = expected_result(filters, nr, abi_of(entry, task.abi.name), arguments)
        if actual != wanted:
            wrong.append(f"{entry.name} {nr:#x} {arguments}: {actual}, expected {wanted}")
    return wrong


def kill_task(guest: Guest, task: Task) -> None:
    """Kill a task: while it waits quietly it takes its share of the CPU, and many more tasks follow."""
    guest.init.kill(task, Signal.KILL).result()
