# SPDX-License-Identifier: GPL-2.0-or-later
"""Constants of filters, at the borders of what the instructions of a processor can hold."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pytest

from guests import bpf
from guests.bpf import Action, Instruction, load, ret
from guests.guest import Guest
from suites.seccomp.support.filter_results import ALLOWED, DENIED, result_of
from suites.seccomp.support.filter_runner import each_runner, set_filter_runner
from suites.seccomp.support.filtered_tasks import unprivileged
from suites.seccomp.support.generated_filters import FILTER_ERRNO, native

pytestmark = [pytest.mark.needs("SECCOMP_FILTER"), pytest.mark.requirement("seccomp.bpf-semantics")]

BORDERS = (
    *(0x7F, 0x80, 0x81, 0xFF, 0x100, 0x7FF, 0x800, 0xFFF, 0x1000, 0x7FFF, 0x8000, 0xFFFF, 0x10000),
    *(0x7FFFFFFF, 0x80000000, 0xFFFF8000, 0xFFFFF7FF, 0xFFFFF800, 0xFFFFFF7F, 0xFFFFFF80, 0xFFFFFF81, 0xFFFFFFFF),
)
OPERANDS = (0x12345678, 0xEDCBA987)
"""Each bit is set in one of them, and not in the other."""
ARITHMETIC: dict[str, tuple[int, Callable[[int, int], int]]] = {
    "added": (bpf.ADD, operator.add),
    "subtracted": (bpf.SUB, operator.sub),
    "multiplied": (bpf.MUL, operator.mul),
    "and": (bpf.AND, operator.and_),
    "or": (bpf.OR, operator.or_),
    "xor": (bpf.XOR, operator.xor),
}
COMPARISONS: dict[str, tuple[int, Callable[[int, int], object]]] = {
    "equal": (bpf.JEQ, operator.eq),
    "greater": (bpf.JGT, operator.gt),
    "greater or equal": (bpf.JGE, operator.ge),
    "any bit": (bpf.JSET, operator.and_),
}


def unsigned(value: int) -> int:
    return value & 0xFFFFFFFF


def right_or_skipped() -> dict[str, list[Instruction]]:
    """Instructions that skip the next one if an operation with a constant has the right result, by the operation.

    The result is compared with the index, which is loaded with all 32 bits.
    """
    rows = {}
    for k in BORDERS:
        for name, (code, compute) in ARITHMETIC.items():
            for a in OPERANDS:
                result = Instruction(bpf.LDX_IMM, unsigned(compute(a, k)))
                operation = [Instruction(bpf.LD_IMM, a), Instruction(code, k)]
                rows[f"{a:#x} {name} {k:#x}"] = [*operation, result, Instruction(bpf.JEQ | bpf.X, 0, 1, 0)]
        for name, (code, compare) in COMPARISONS.items():
            for a in (unsigned(k - 1), k, unsigned(k + 1), unsigned(~k)):
                ways = (1, 0) if compare(a, k) else (0, 1)
                rows[f"{a:#x} {name} {k:#x}"] = [Instruction(bpf.LD_IMM, a), Instruction(code, k, *ways)]
    return rows


@each_runner
def test_constants(guest: Guest, runner: tuple[int, int]) -> None:
    """Arithmetic with any constant, and comparisons with it, use its 32 bits, without a sign.

    The filter has them all, and returns an errno that names the first wrong one.
    """
    set_filter_runner(guest, runner)
    task = unprivileged(guest)
    getpid, getuid, *_ = native(guest.arch)
    program, names = [load(bpf.NR), Instruction(bpf.JEQ, getpid, 1, 0), ALLOWED], {}
    for number, (name, skip) in enumerate(right_or_skipped().items(), start=1):
        program += [*skip, ret(Action.ERRNO, FILTER_ERRNO + number)]
        names[f"errno {FILTER_ERRNO + number}"] = name
    task.install((*program, DENIED)).result()
    result = result_of(task.call(getpid))
    assert names.get(result, result) == f"errno {FILTER_ERRNO}"
    assert result_of(task.call(getuid)) == "ran"
