# SPDX-License-Identifier: GPL-2.0-or-later
"""Seccomp filters that read like sentences.

    policy(deny("openat", errno=EINVAL), kill_thread("getpid"), default=ALLOW)
    policy(allow("ioctl", when=arg(0) == 1), default=KILL_PROCESS)

Rules are tried in their order; the first that fits decides.  What comes out are classic BPF programs, as
seccomp(2) takes them: 8 bytes an instruction (struct sock_filter).
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from guests.numbers import number
from guests.outcome import Expected


class Action(enum.IntEnum):
    """The upper half of a filter's return value (include/uapi/linux/seccomp.h), most severe first."""

    KILL_PROCESS = 0x80000000
    KILL_THREAD = 0x00000000
    TRAP = 0x00030000
    ERRNO = 0x00050000
    USER_NOTIF = 0x7FC00000
    TRACE = 0x7FF00000
    LOG = 0x7FFC0000
    ALLOW = 0x7FFF0000


AUDIT_ARCH = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7}

# Offsets in struct seccomp_data.
NR, ARCH, INSTRUCTION_POINTER, ARGS = 0, 4, 8, 16

LD_W_ABS, LD_IMM, LD_W_LEN, LD_MEM = 0x20, 0x00, 0x80, 0x60
LDX_IMM, LDX_W_LEN, LDX_MEM, ST, STX = 0x01, 0x81, 0x61, 0x02, 0x03
JA, JEQ, JGT, JGE, JSET = 0x05, 0x15, 0x25, 0x35, 0x45
RET_K, RET_A, TAX, TXA = 0x06, 0x16, 0x07, 0x87
ADD, SUB, MUL, DIV, MOD, NEG = 0x04, 0x14, 0x24, 0x34, 0x94, 0x84
AND, OR, XOR, LSH, RSH = 0x54, 0x44, 0xA4, 0x64, 0x74
X = 0x08
"""Added to an arithmetic or jump code: the second operand is X, not k."""


@dataclass(frozen=True)
class Instruction:
    """One struct sock_filter."""

    code: int
    k: int = 0
    jt: int = 0
    jf: int = 0

    def pack(self) -> bytes:
        return struct.pack("<HBBI", self.code, self.jt, self.jf, self.k & 0xFFFFFFFF)


Program = tuple[Instruction, ...]


def pack(program: Program) -> bytes:
    return b"".join(instruction.pack() for instruction in program)


def load(offset: int) -> Instruction:
    """A = the 32-bit word at this offset of struct seccomp_data."""
    return Instruction(LD_W_ABS, offset)


def ret(action: Action, data: int = 0) -> Instruction:
    return Instruction(RET_K, action | data & 0xFFFF)


@dataclass(frozen=True)
class Condition:
    """A 64-bit argument equals a value."""

    argument: int
    value: int


@dataclass(frozen=True, eq=False)
class Argument:
    """An argument of the call, to be compared."""

    index: int

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        if not isinstance(value, int):
            return NotImplemented
        return Condition(self.index, value)

    __hash__ = None  # type: ignore[assignment]


def arg(index: int) -> Argument:
    return Argument(index)


@dataclass(frozen=True)
class Rule:
    """For these system calls, where all conditions hold: this."""

    syscalls: tuple[str, ...]
    action: Action
    data: int = 0
    when: tuple[Condition, ...] = ()


def rule(action: Action, *syscalls: str, data: int = 0, when: Condition | None = None) -> Rule:
    return Rule(syscalls, action, data, (when,) if when else ())


def allow(*syscalls: str, when: Condition | None = None) -> Rule:
    return rule(Action.ALLOW, *syscalls, when=when)


def deny(*syscalls: str, errno: Expected | int, when: Condition | None = None) -> Rule:
    number = -errno.low if isinstance(errno, Expected) else errno
    return rule(Action.ERRNO, *syscalls, data=number, when=when)


def trap(*syscalls: str, data: int = 0) -> Rule:
    return rule(Action.TRAP, *syscalls, data=data)


def trace(*syscalls: str, data: int = 0) -> Rule:
    return rule(Action.TRACE, *syscalls, data=data)


def log(*syscalls: str) -> Rule:
    return rule(Action.LOG, *syscalls)


def notify(*syscalls: str) -> Rule:
    return rule(Action.USER_NOTIF, *syscalls)


def kill_thread(*syscalls: str) -> Rule:
    return rule(Action.KILL_THREAD, *syscalls)


def kill_process(*syscalls: str) -> Rule:
    return rule(Action.KILL_PROCESS, *syscalls)


def policy(*rules: Rule, default: Action = Action.ALLOW, data: int = 0, arch: str = "x86_64") -> Program:
    """A filter for one architecture; calls of another one get the default too."""
    program: list[Instruction] = [
        load(ARCH),
        Instruction(JEQ, AUDIT_ARCH[arch], 1, 0),
        ret(default, data),
        load(NR),
    ]
    for one in rules:
        program += _one_rule(one, arch)
    return (*program, ret(default, data))


def _one_rule(one: Rule, arch: str) -> list[Instruction]:
    conditions: list[Instruction] = []
    verdict = [ret(one.action, one.data)]
    # Backwards, so that each comparison knows how far it is to the end.
    for condition in reversed(one.when):
        low, high = condition.value & 0xFFFFFFFF, condition.value >> 32 & 0xFFFFFFFF
        behind = len(conditions) + len(verdict)
        compare = [
            load(ARGS + 8 * condition.argument + 4),
            Instruction(JEQ, high, 0, behind + 2),
            load(ARGS + 8 * condition.argument),
            Instruction(JEQ, low, 0, behind),
        ]
        conditions = compare + conditions
    body = conditions + verdict
    numbers = [number(name, arch) for name in one.syscalls]
    tests = [
        # A match jumps over the other tests into the body, the last mismatch over the body.
        Instruction(JEQ, nr, len(numbers) - 1 - i, len(body) if i == len(numbers) - 1 else 0)
        for i, nr in enumerate(numbers)
    ]
    # The conditions have loaded arguments, so that the next rule finds no number in A.
    return tests + body + ([load(NR)] if one.when else [])


def allow_list(syscalls: Sequence[str], default: Action = Action.KILL_PROCESS) -> Program:
    """These calls and no others."""
    return policy(allow(*syscalls), default=default)
