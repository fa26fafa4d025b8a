# SPDX-License-Identifier: GPL-2.0-or-later
"""A reference interpreter of classic BPF, with which the results of a kernel are compared.

It follows the description of the language (Documentation/networking/filter.rst; McCanne and Jacobson 1993), not the
code of any kernel: it has no translation, no just-in-time compiler, and no bitmap of calls that are always allowed.
Filters must be valid: a jump out of the program raises IndexError.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from guests import bpf
from guests.bpf import Action, Filter, Program, assembled

_WORD = 0xFFFFFFFF
_SIZE = 64
"""sizeof(struct seccomp_data)."""
_LITTLE_ENDIAN = 0x40000000
"""The bit of an AUDIT_ARCH that tells the byte order (__AUDIT_ARCH_LE in include/uapi/linux/audit.h)."""

SEVERITY = (
    *(Action.KILL_PROCESS, Action.KILL_THREAD, Action.TRAP, Action.ERRNO),
    *(Action.USER_NOTIF, Action.TRACE, Action.LOG, Action.ALLOW),
)
"""The actions, most severe first (seccomp(2))."""

_ACTIONS = {action.value: action for action in Action}


@dataclass(frozen=True)
class SeccompData:
    """A call as a filter sees it (struct seccomp_data)."""

    nr: int
    arch: int
    instruction_pointer: int = 0
    args: tuple[int, ...] = (0, 0, 0, 0, 0, 0)

    def words(self) -> tuple[int, ...]:
        """What a filter loads from each offset: a 64-bit field is two words, in the order of the architecture."""
        is_big = not self.arch & _LITTLE_ENDIAN
        halves = (
            (one >> 32 & _WORD, one & _WORD) if is_big else (one & _WORD, one >> 32 & _WORD)
            for one in (self.instruction_pointer, *self.args)
        )
        return (self.nr & _WORD, self.arch, *itertools.chain.from_iterable(halves))


@dataclass
class _Registers:
    """Accumulator, index register, sixteen words of scratch memory."""

    a: int = 0
    x: int = 0
    memory: list[int] = field(default_factory=lambda: [0] * 16)


_ARITHMETIC: dict[int, Callable[[int, int], int]] = {
    bpf.ADD: lambda a, b: a + b,
    bpf.SUB: lambda a, b: a - b,
    bpf.MUL: lambda a, b: a * b,
    bpf.DIV: lambda a, b: a // b,
    bpf.AND: lambda a, b: a & b,
    bpf.OR: lambda a, b: a | b,
    bpf.XOR: lambda a, b: a ^ b,
    bpf.LSH: lambda a, b: a << b,
    bpf.RSH: lambda a, b: a >> b,
}
_JUMPS: dict[int, Callable[[int, int], bool]] = {
    bpf.JEQ: lambda a, b: a == b,
    bpf.JGT: lambda a, b: a > b,
    bpf.JGE: lambda a, b: a >= b,
    bpf.JSET: lambda a, b: bool(a & b),
}


class _UnknownWordError(Exception):
    """The filter loads a word whose value is not known."""


def run(filter_: Filter, data: SeccompData, abi: str = "x86_64") -> int:
    """The 32 bits that the filter returns for a call; `abi` is that of a task that installs a policy."""
    return _run(assembled(filter_, abi), data.words())


def _run(program: Program, words: Sequence[int | None]) -> int:
    registers = _Registers()
    at = 0
    while True:
        code, k, jt, jf = (one := program[at]).code, one.k & _WORD, one.jt, one.jf
        at += 1
        if code == bpf.JA:
            at += k
        elif code & ~bpf.X in _JUMPS:
            at += jt if _JUMPS[code & ~bpf.X](registers.a, registers.x if code & bpf.X else k) else jf
        elif code in (bpf.RET_K, bpf.RET_A):
            return k if code == bpf.RET_K else registers.a
        elif code in (bpf.DIV, bpf.DIV | bpf.X) and not (registers.x if code & bpf.X else k):
            # A filter that divides by zero ends there, and returns 0: KILL_THREAD.
            return 0
        else:
            _step(registers, code, k, words)


def _step(registers: _Registers, code: int, k: int, words: Sequence[int | None]) -> None:
    if code & ~bpf.X in _ARITHMETIC:
        registers.a = _ARITHMETIC[code & ~bpf.X](registers.a, registers.x if code & bpf.X else k) & _WORD
        return
    match code:
        case bpf.NEG:
            registers.a = -registers.a & _WORD
        case bpf.LD_W_ABS:
            word = words[k // 4]
            if word is None:
                raise _UnknownWordError
            registers.a = word
        case bpf.LD_IMM:
            registers.a = k
        case bpf.LD_W_LEN:
            registers.a = _SIZE
        case bpf.LD_MEM:
            registers.a = registers.memory[k]
        case bpf.LDX_IMM:
            registers.x = k
        case bpf.LDX_W_LEN:
            registers.x = _SIZE
        case bpf.LDX_MEM:
            registers.x = registers.memory[k]
        case bpf.ST:
            registers.memory[k] = registers.a
        case bpf.STX:
            registers.memory[k] = registers.x
        case bpf.TAX:
            registers.x = registers.a
        case bpf.TXA:
            registers.a = registers.x
        case _:
            raise ValueError(f"no filter may have an instruction {code:#x}")


def run_filters(filters: Sequence[Filter], data: SeccompData, abi: str = "x86_64") -> tuple[Action, int]:
    """The result of a stack of filters, oldest first: the most severe action, or the newest of several equal ones."""
    _, action, value = deciding_filter(filters, data, abi)
    return action, value


def deciding_filter(
    filters: Sequence[Filter], data: SeccompData, abi: str = "x86_64"
) -> tuple[int | None, Action, int]:
    """The same, after the place of the filter that decides; None if all of them allow the call."""
    strongest: tuple[int | None, Action, int] = None, Action.ALLOW, 0
    for place, one in reversed(list(enumerate(filters))):
        value = run(one, data, abi)
        action = effective_action(value & 0xFFFF0000)
        if SEVERITY.index(action) < SEVERITY.index(strongest[1]):
            strongest = place, action, value & 0xFFFF
    return strongest


def effective_action(value: int) -> Action:
    """The action that the kernel takes for a filter's value: an unknown value kills the process."""
    return _ACTIONS.get(value, Action.KILL_PROCESS)


def constant_result(filter_: Filter, nr: int, arch: int, abi: str = "x86_64") -> int | None:
    """The filter's result for a call number of an architecture; None if it depends on anything else."""
    words: tuple[int | None, ...] = (nr & _WORD, arch, *[None] * 14)
    try:
        return _run(assembled(filter_, abi), words)
    except _UnknownWordError:
        return None
