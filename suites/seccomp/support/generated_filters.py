# SPDX-License-Identifier: GPL-2.0-or-later
"""Generated filters: valid classic BPF programs, drawn by Hypothesis, with harmless results."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

from hypothesis import strategies as st

from guests import bpf
from guests.bpf import AUDIT_ARCH, Action, Instruction, Program, load, ret
from guests.uapi import number

FILTER_ERRNO = 0xC00
"""The first of the errnos, up to 4095, that no call itself returns: such a result comes from a filter."""

_NATIVE = ("getpid", "getuid", "getgid", "geteuid", "getegid", "getppid", "gettid", "sched_yield")
COMPAT = tuple(number(name, "i386") for name in ("getpid", "getuid", "getgid", "geteuid", "getegid", "getppid"))
"""Calls without arguments or effects, so that each may be made with any arguments."""
MISSING = (0x400, 0x401, 0x7FFF, 0x3FFFFFFF)
"""Numbers that belong to no call."""

WORDS = (0, 1, 2, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
ARGUMENTS = tuple(high << 32 | low for high in (0, 1, 0xFFFFFFFF) for low in WORDS)


@cache
def native(arch: str) -> tuple[int, ...]:
    """The numbers of calls of the architecture itself that are as harmless."""
    return tuple(number(name, arch) for name in _NATIVE)


@cache
def _k(arch: str) -> st.SearchStrategy[int]:
    """A constant in a filter for tasks of an architecture."""
    constants = (
        *native(arch),
        *COMPAT,
        *MISSING,
        *WORDS,
        *(AUDIT_ARCH[arch], AUDIT_ARCH["i386"]),
        *(0x40000000, 0x40000000 | native(arch)[0], 100, 200, 300, 400),
    )
    return st.one_of(st.sampled_from(constants), st.integers(0, 500))


_DENIALS = st.integers(FILTER_ERRNO, 4095).map(lambda data: ret(Action.ERRNO, data))
_RETURNS = st.one_of(st.just(ret(Action.ALLOW)), _DENIALS)
_ARGUMENT_OFFSETS = st.integers(0, 11).map(lambda word: bpf.ARGS + 4 * word)


def _jump(draw: st.DrawFn, arch: str, codes: tuple[int, ...], room: int) -> Instruction:
    """A conditional jump that stays inside the program, of which `room` more instructions follow."""
    reach = st.integers(0, min(room - 1, 5))
    return Instruction(draw(st.sampled_from(codes)), draw(_k(arch)), draw(reach), draw(reach))


@st.composite
def cacheable_filters(draw: st.DrawFn, arch: str) -> Program:
    """A filter that the kernel may decide in advance: number, architecture, comparisons, AND; perhaps an argument."""
    length = draw(st.integers(2, 16))
    program: list[Instruction] = []
    for at in range(length - 1):
        room = length - 1 - at
        kind = draw(st.sampled_from(("nr", "nr", "arch", "argument", "jump", "jump", "jump", "ahead", "and", "ret")))
        match kind:
            case "nr":
                program.append(load(bpf.NR))
            case "arch":
                program.append(load(bpf.ARCH))
            case "argument":
                program.append(load(draw(_ARGUMENT_OFFSETS)))
            case "jump":
                program.append(_jump(draw, arch, (bpf.JEQ, bpf.JGE, bpf.JGT, bpf.JSET), room))
            case "ahead":
                program.append(Instruction(bpf.JA, draw(st.integers(0, min(room - 1, 3)))))
            case "and":
                program.append(Instruction(bpf.AND, draw(_k(arch))))
            case "ret":
                program.append(draw(_RETURNS))
    return (*program, draw(_RETURNS))


@st.composite
def single_comparisons(draw: st.DrawFn, arch: str) -> Program:
    """A filter in which one comparison of the number or the architecture decides whether to allow a call."""
    compared = load(draw(st.sampled_from((bpf.NR, bpf.ARCH))))
    code = draw(st.sampled_from((bpf.JEQ, bpf.JGE, bpf.JGT, bpf.JSET)))
    denied = draw(st.integers(0, 1))
    results = draw(_DENIALS), ret(Action.ALLOW)
    return compared, Instruction(code, draw(_k(arch)), denied, 1 - denied), *results


_BINARY = (bpf.ADD, bpf.SUB, bpf.MUL, bpf.AND, bpf.OR, bpf.XOR)
_PLAIN = (bpf.TAX, bpf.TXA, bpf.NEG, bpf.LD_W_LEN, bpf.LDX_W_LEN)
_SCRATCH = 4


def _by_index(value: int, code: int, index: int) -> Program:
    return Instruction(bpf.LD_IMM, value), Instruction(bpf.LDX_IMM, index), Instruction(code | bpf.X)


_BY_INDEX = st.one_of(
    st.builds(_by_index, st.sampled_from(WORDS), st.just(bpf.DIV), st.sampled_from([word for word in WORDS if word])),
    st.builds(_by_index, st.sampled_from(WORDS), st.sampled_from((bpf.LSH, bpf.RSH)), st.integers(0, 31)),
)
"""Divisions and shifts by the index register.  No jump may lead in between, because it must have that value."""


@st.composite
def arithmetic_filters(draw: st.DrawFn, arch: str) -> Program:
    """A filter of all instructions that a filter may have, with a computed return value at its end."""
    # Scratch memory must be written before it is read.
    program = [load(draw(st.sampled_from((bpf.NR, bpf.ARGS)))), *(Instruction(bpf.ST, at) for at in range(_SCRATCH))]
    program += draw(st.lists(_BY_INDEX, max_size=2).map(lambda pairs: list(itertools.chain(*pairs))))
    length = draw(st.integers(2, 20))
    for at in range(length):
        # No jump goes beyond the return.
        room = length - at
        kind = draw(st.sampled_from(("load", "store", "binary", "divide", "shift", "plain", "jump", "ahead")))
        match kind:
            case "load":
                offsets = st.one_of(st.sampled_from((bpf.NR, bpf.ARCH)), _ARGUMENT_OFFSETS)
                loaded = _scratch((bpf.LD_MEM, bpf.LDX_MEM))
                program.append(draw(st.one_of(offsets.map(load), loaded, _immediate(arch))))
            case "store":
                program.append(draw(_scratch((bpf.ST, bpf.STX))))
            case "binary":
                operand, code = draw(st.sampled_from((0, bpf.X))), draw(st.sampled_from(_BINARY))
                program.append(Instruction(code | operand, 0 if operand else draw(_k(arch))))
            case "divide":
                program.append(Instruction(bpf.DIV, draw(_k(arch).filter(bool))))
            case "shift":
                program.append(Instruction(draw(st.sampled_from((bpf.LSH, bpf.RSH))), draw(st.integers(0, 31))))
            case "plain":
                program.append(Instruction(draw(st.sampled_from(_PLAIN))))
            case "jump":
                codes = (bpf.JEQ, bpf.JGE, bpf.JGT, bpf.JSET)
                program.append(_jump(draw, arch, codes + tuple(code | bpf.X for code in codes), room))
            case "ahead":
                program.append(Instruction(bpf.JA, draw(st.integers(0, min(room - 1, 3)))))
    # Ten bits of the accumulator, as an errno that no call itself returns.
    program += [Instruction(bpf.AND, 0x3FF), Instruction(bpf.OR, Action.ERRNO | FILTER_ERRNO), Instruction(bpf.RET_A)]
    return tuple(program)


def _scratch(codes: tuple[int, ...]) -> st.SearchStrategy[Instruction]:
    return st.builds(Instruction, st.sampled_from(codes), st.integers(0, _SCRATCH - 1))


def _immediate(arch: str) -> st.SearchStrategy[Instruction]:
    return st.builds(Instruction, st.sampled_from((bpf.LD_IMM, bpf.LDX_IMM)), _k(arch))


def for_calls(calls: Sequence[str], arch: str, program: Program) -> Program:
    """A filter that decides about these calls as the program does, and allows all others."""
    ahead = range(len(calls), 0, -1)
    tests = (Instruction(bpf.JEQ, number(name, arch), jt=jump) for name, jump in zip(calls, ahead, strict=True))
    return (load(bpf.NR), *tests, ret(Action.ALLOW), *program)


def for_numbers(first: int, arch: str, program: Program) -> Program:
    """A filter that decides as the program does about an architecture's calls from a number on, and allows others."""
    is_arch, is_later = Instruction(bpf.JEQ, AUDIT_ARCH[arch], jf=2), Instruction(bpf.JGE, first, jt=1)
    return (load(bpf.ARCH), is_arch, load(bpf.NR), is_later, ret(Action.ALLOW), *program)


def listing(program: Program) -> str:
    """The program in readable form, for a report."""
    lines = (f"{at:3}: {one.code:#04x} jt={one.jt} jf={one.jf} k={one.k:#x}" for at, one in enumerate(program))
    return "\n".join(lines)
