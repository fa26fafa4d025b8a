# SPDX-License-Identifier: GPL-2.0-or-later
"""What a classic BPF filter means: a reference interpreter, to compare a kernel's verdicts with.

It follows the language's description (Documentation/networking/filter.rst; McCanne and Jacobson 1993), not any
kernel's code: no translation, no just-in-time compiler, no bitmap of calls that are always allowed.  Filters must be
valid: a jump out of the program is an IndexError here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from guests import bpf
from guests.bpf import Action, Program

_WORD = 0xFFFFFFFF
_DATA = struct.Struct("<iIQ6Q")

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

    def pack(self) -> bytes:
        nr = self.nr - (1 << 32) if self.nr >= 1 << 31 else self.nr
        return _DATA.pack(nr, self.arch, self.instruction_pointer, *(one & (1 << 64) - 1 for one in self.args))


@dataclass
class _Machine:
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


class _AsksMoreError(Exception):
    """The filter loads a word that is not known."""


def run(program: Program, data: SeccompData) -> int:
    """The 32 bits that the filter returns for a call."""
    return _run(program, struct.unpack("<16I", data.pack()))


def _run(program: Program, words: Sequence[int | None]) -> int:
    machine = _Machine()
    at = 0
    while True:
        code, k, jt, jf = (one := program[at]).code, one.k & _WORD, one.jt, one.jf
        at += 1
        if code == bpf.JA:
            at += k
        elif code & ~bpf.X in _JUMPS:
            at += jt if _JUMPS[code & ~bpf.X](machine.a, machine.x if code & bpf.X else k) else jf
        elif code in (bpf.RET_K, bpf.RET_A):
            return k if code == bpf.RET_K else machine.a
        elif code in (bpf.DIV, bpf.DIV | bpf.X) and not (machine.x if code & bpf.X else k):
            # A filter that divides by zero ends there, and returns 0: KILL_THREAD.
            return 0
        else:
            _step(machine, code, k, words)


def _step(machine: _Machine, code: int, k: int, words: Sequence[int | None]) -> None:
    if code & ~bpf.X in _ARITHMETIC:
        machine.a = _ARITHMETIC[code & ~bpf.X](machine.a, machine.x if code & bpf.X else k) & _WORD
        return
    match code:
        case bpf.NEG:
            machine.a = -machine.a & _WORD
        case bpf.LD_W_ABS:
            word = words[k // 4]
            if word is None:
                raise _AsksMoreError
            machine.a = word
        case bpf.LD_IMM:
            machine.a = k
        case bpf.LD_W_LEN:
            machine.a = _DATA.size
        case bpf.LD_MEM:
            machine.a = machine.memory[k]
        case bpf.LDX_IMM:
            machine.x = k
        case bpf.LDX_W_LEN:
            machine.x = _DATA.size
        case bpf.LDX_MEM:
            machine.x = machine.memory[k]
        case bpf.ST:
            machine.memory[k] = machine.a
        case bpf.STX:
            machine.memory[k] = machine.x
        case bpf.TAX:
            machine.x = machine.a
        case bpf.TXA:
            machine.a = machine.x
        case _:
            raise ValueError(f"no filter may have an instruction {code:#x}")


def run_all(filters: Sequence[Program], data: SeccompData) -> tuple[Action, int]:
    """What a stack of filters, the oldest first, comes to: the most severe action, and of equal ones the newest's."""
    decided = Action.ALLOW, 0
    for program in reversed(filters):
        verdict = run(program, data)
        action = known_action(verdict & 0xFFFF0000)
        if SEVERITY.index(action) < SEVERITY.index(decided[0]):
            decided = action, verdict & 0xFFFF
    return decided


def known_action(value: int) -> Action:
    """The action that a filter's value is taken for: an unknown one kills the process."""
    return _ACTIONS.get(value, Action.KILL_PROCESS)


def constant_run(program: Program, nr: int, arch: int) -> int | None:
    """What the filter returns for a number of an architecture, whatever else the call is; None if that matters."""
    words: tuple[int | None, ...] = (nr & _WORD, arch, *[None] * 14)
    try:
        return _run(program, words)
    except _AsksMoreError:
        return None
