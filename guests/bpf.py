# SPDX-License-Identifier: GPL-2.0-or-later
"""Seccomp filters, written as rules.

    policy(deny("openat", errno=EINVAL), kill_thread("getpid"), default=ALLOW)
    policy(allow("ioctl", when=arg(0) == 1), default=KILL_PROCESS)

Rules are tried in order, and the first that matches decides.  The result is a classic BPF program as seccomp(2)
expects it, with 8 bytes for each instruction (struct sock_filter).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guests.abi import Abi
from guests.abis import BY_NAME, call_number
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


_ABIS = {**BY_NAME, "x32": BY_NAME["x86_64"]}
AUDIT_ARCH = {name: abi.audit_arch for name, abi in _ABIS.items()}

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

    def pack(self, abi: Abi) -> bytes:
        return abi.pack("HBBI", self.code, self.jt, self.jf, self.k & 0xFFFFFFFF)


Program = tuple[Instruction, ...]


def pack(program: Program, abi: Abi) -> bytes:
    """The program in the memory of a task with this ABI."""
    return b"".join(instruction.pack(abi) for instruction in program)


def halves(at: int, arch: str) -> tuple[int, int]:
    """The offsets of the upper and the lower half of a 64-bit field of struct seccomp_data, on an ABI."""
    return (at, at + 4) if _ABIS[arch].byte_order == "big" else (at + 4, at)


def load(offset: int) -> Instruction:
    """A = the 32-bit word at this offset of struct seccomp_data."""
    return Instruction(LD_W_ABS, offset)


def ret(action: Action, data: int = 0) -> Instruction:
    return Instruction(RET_K, action | data & 0xFFFF)


@dataclass(frozen=True)
class Condition:
    """A comparison of a whole 64-bit argument, unsigned, with a value.

    `comparison` is one of == != < <= > >= & in; `& v` holds if any bit of v is set, `in v` if no other bit is.
    """

    argument: int
    value: int
    comparison: str = "=="


@dataclass(frozen=True, eq=False)
class ComparedArgument:
    """An argument of the call, for a condition: `arg(0) == 1`, `arg(1) & 2`, `arg(2).within(7)`."""

    index: int

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        return Condition(self.index, _value(value))

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        return Condition(self.index, _value(value), "!=")

    def __lt__(self, value: int) -> Condition:
        return Condition(self.index, value, "<")

    def __le__(self, value: int) -> Condition:
        return Condition(self.index, value, "<=")

    def __gt__(self, value: int) -> Condition:
        return Condition(self.index, value, ">")

    def __ge__(self, value: int) -> Condition:
        return Condition(self.index, value, ">=")

    def __and__(self, bits: int) -> Condition:
        return Condition(self.index, bits, "&")

    def within(self, bits: int) -> Condition:
        """No bit is set except these."""
        return Condition(self.index, bits, "in")

    __hash__ = None  # type: ignore[assignment]


def _value(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"an argument can only be compared with a number, not with {value!r}")
    return value


def arg(index: int) -> ComparedArgument:
    return ComparedArgument(index)


@dataclass(frozen=True)
class Rule:
    """The action for these system calls, if all conditions hold."""

    syscalls: tuple[str, ...]
    action: Action
    data: int = 0
    when: tuple[Condition, ...] = ()


When = Condition | Sequence[Condition] | None
"""One condition, or several that must all hold."""


def rule(action: Action, *syscalls: str, data: int = 0, when: When = None) -> Rule:
    conditions = (when,) if isinstance(when, Condition) else tuple(when or ())
    return Rule(syscalls, action, data, conditions)


def allow(*syscalls: str, when: When = None) -> Rule:
    return rule(Action.ALLOW, *syscalls, when=when)


def deny(*syscalls: str, errno: Expected | int, when: When = None) -> Rule:
    number = -errno.low if isinstance(errno, Expected) else errno
    return rule(Action.ERRNO, *syscalls, data=number, when=when)


def trap(*syscalls: str, data: int = 0) -> Rule:
    return rule(Action.TRAP, *syscalls, data=data)


def trace(*syscalls: str, data: int = 0, when: When = None) -> Rule:
    return rule(Action.TRACE, *syscalls, data=data, when=when)


def log(*syscalls: str) -> Rule:
    return rule(Action.LOG, *syscalls)


def notify(*syscalls: str) -> Rule:
    return rule(Action.USER_NOTIF, *syscalls)


def kill_thread(*syscalls: str) -> Rule:
    return rule(Action.KILL_THREAD, *syscalls)


def kill_process(*syscalls: str) -> Rule:
    return rule(Action.KILL_PROCESS, *syscalls)


@dataclass(frozen=True)
class Policy:
    """A filter for one ABI, made of rules; calls of other ABIs get the default too."""

    rules: tuple[Rule, ...]
    default: Action
    data: int
    arch: str
    """Whose numbers it has; empty for the ABI of the task that installs it."""

    def program(self, arch: str) -> Program:
        """The filter for the tasks of an ABI.  KeyError if the ABI lacks a call that a rule names."""
        arch = self.arch or arch
        return self._program(arch, lambda name: call_number(name, arch))

    def __len__(self) -> int:
        """The number of instructions, which is the same for each ABI."""
        return len(self._program("x86_64", lambda _: 0))

    def _program(self, arch: str, number_of: Callable[[str], int]) -> Program:
        program: list[Instruction] = [
            load(ARCH),
            Instruction(JEQ, AUDIT_ARCH[arch], 1, 0),
            ret(self.default, self.data),
            load(NR),
        ]
        for one in self.rules:
            program += _one_rule(one, [number_of(name) for name in one.syscalls], arch)
        return (*program, ret(self.default, self.data))


Filter = Program | Policy
"""What a task installs."""


def policy(*rules: Rule, default: Action = Action.ALLOW, data: int = 0, arch: str = "") -> Policy:
    """A filter made of rules, for the tasks that install it, or for one ABI."""
    return Policy(rules, default, data, arch)


def assembled(filter_: Filter, arch: str) -> Program:
    """The program of a filter that a task of an ABI installs."""
    return filter_.program(arch) if isinstance(filter_, Policy) else filter_


_NAMES_PER_TEST = 200
"""A conditional jump can skip at most 255 instructions."""


def _one_rule(one: Rule, numbers: Sequence[int], arch: str) -> list[Instruction]:
    body = [ret(one.action, one.data)]
    # In reverse order, so that each comparison knows the distance to the end.
    for condition in reversed(one.when):
        body = _compare(condition, len(body), arch) + body
    program: list[Instruction] = []
    for start in range(0, len(numbers), _NAMES_PER_TEST):
        some = numbers[start : start + _NAMES_PER_TEST]
        # A match jumps over the other tests into the body, the last mismatch over the body.
        program += [
            Instruction(JEQ, nr, len(some) - 1 - i, len(body) if i == len(some) - 1 else 0)
            for i, nr in enumerate(some)
        ]
        program += body
        # The conditions have loaded arguments, so the number must be loaded again for the next rule.
        program += [load(NR)] if one.when else []
    return program


def _compare(condition: Condition, skip: int, arch: str) -> list[Instruction]:
    """Fall through if the condition holds, else jump over the `skip` instructions that follow."""
    high, low = condition.value >> 32 & 0xFFFFFFFF, condition.value & 0xFFFFFFFF
    load_high, load_low = map(load, halves(ARGS + 8 * condition.argument, arch))
    match condition.comparison:
        case "==":
            return [load_high, Instruction(JEQ, high, 0, skip + 2), load_low, Instruction(JEQ, low, 0, skip)]
        case "!=":
            return [load_high, Instruction(JEQ, high, 0, 2), load_low, Instruction(JEQ, low, skip, 0)]
        case ">" | ">=" as comparison:
            last = Instruction(JGT if comparison == ">" else JGE, low, 0, skip)
            first = [load_high, Instruction(JGT, high, 3, 0), Instruction(JEQ, high, 0, skip + 2)]
            return [*first, load_low, last]
        case "<" | "<=" as comparison:
            last = Instruction(JGE if comparison == "<" else JGT, low, skip, 0)
            first = [load_high, Instruction(JGT, high, skip + 3, 0), Instruction(JEQ, high, 0, 2)]
            return [*first, load_low, last]
        case "&":
            return [load_high, Instruction(JSET, high, 2, 0), load_low, Instruction(JSET, low, 0, skip)]
        case "in":
            outside_high = Instruction(JSET, ~high & 0xFFFFFFFF, skip + 2, 0)
            return [load_high, outside_high, load_low, Instruction(JSET, ~low & 0xFFFFFFFF, skip, 0)]
        case other:
            raise ValueError(f"unknown comparison {other!r}")


def allow_list(syscalls: Sequence[str], default: Action = Action.KILL_PROCESS) -> Policy:
    """A filter that allows only these calls."""
    return policy(allow(*syscalls), default=default)
