# SPDX-License-Identifier: GPL-2.0-or-later
"""Which programs are valid filters: each class of instructions, with valid and invalid uses."""

from __future__ import annotations

import pytest

from guests import bpf
from guests.bpf import Action, Instruction, Program, load, ret
from guests.guest import Guest
from guests.outcome import EINVAL, ENOSYS, OK, error, mismatches, returned
from guests.task import Task
from suites.seccomp.support.filtered_tasks import unprivileged

pytestmark = [pytest.mark.needs("SECCOMP_FILTER"), pytest.mark.requirement("seccomp.validity")]

ALLOW = ret(Action.ALLOW)
I = Instruction  # noqa: E741 - short, for tables that use it a hundred times
X = bpf.X
LD_H_ABS, LD_B_ABS, LD_W_IND, LD_H_IND, LD_B_IND, LDX_B_MSH = 0x28, 0x30, 0x40, 0x48, 0x50, 0xB1
LDX_W_ABS, RET_X, JNE, MOV, CALL, EXIT, LD_DW, MISC_COP = 0x21, 0x0E, 0x55, 0xB4, 0x85, 0x95, 0x18, 0x27
NEVER = (load(bpf.NR), I(bpf.JEQ, 0x1000, 1, 0), ALLOW)
"""The code after this is for a number that no call has: only its validity matters, not what it would do."""

COMPARISONS = [
    (f"{name}{operand}", code | x)
    for name, code in (("equal", bpf.JEQ), ("greater", bpf.JGT), ("greater or equal", bpf.JGE), ("any bit", bpf.JSET))
    for operand, x in (("", 0), (", by the index", X))
]

# fmt: off
Row = tuple[str, list[Instruction], bool]
LOADS: list[Row] = [
    # program, with RET ALLOW after it                                                      valid?
    ("the first word",                      [load(0)],                                      True),
    ("the last word",                       [load(60)],                                     True),
    ("the word after the last",             [load(64)],                                     False),
    ("far beyond the end",                  [load(0x7FFFFFFC)],                             False),
    ("the largest offset",                  [load(0xFFFFFFFC)],                             False),
    ("what sockets keep at SKF_AD_CPU",     [load(0xFFFFF024)],                             False),
    ("one byte off",                        [load(1)],                                      False),
    ("two bytes off",                       [load(2)],                                      False),
    ("three bytes off",                     [load(59)],                                     False),
    ("half a word",                         [I(LD_H_ABS, 0)],                               False),
    ("a byte",                              [I(LD_B_ABS, 0)],                               False),
    ("a word by the index",                 [I(LD_W_IND, 0)],                               False),
    ("half a word by the index",            [I(LD_H_IND, 0)],                               False),
    ("a byte by the index",                 [I(LD_B_IND, 0)],                               False),
    ("the length of an IP header",          [I(LDX_B_MSH, 0)],                              False),
    ("a word into the index",               [I(LDX_W_ABS, 0)],                              False),
    ("a constant",                          [I(bpf.LD_IMM, 0xFFFFFFFF)],                    True),
    ("a constant into the index",           [I(bpf.LDX_IMM, 0xFFFFFFFF)],                   True),
    ("a constant of 64 bits",               [I(LD_DW, 0), I(0, 0)],                         False),
    ("the length",                          [I(bpf.LD_W_LEN)],                              True),
    ("the length into the index",           [I(bpf.LDX_W_LEN)],                             True),
]
MEMORY: list[Row] = [
    ("written and read",                    [I(bpf.ST, 0), I(bpf.LD_MEM, 0)],               True),
    ("the last word",                       [I(bpf.ST, 15), I(bpf.LD_MEM, 15)],             True),
    ("after the last",                      [I(bpf.ST, 16)],                                False),
    ("after the last, from the index",      [I(bpf.STX, 16)],                               False),
    ("the largest",                         [I(bpf.ST, 0xFFFFFFFF)],                        False),
    ("from the index and into it",          [I(bpf.STX, 3), I(bpf.LDX_MEM, 3)],             True),
    ("read unwritten",                      [I(bpf.LD_MEM, 0)],                             False),
    ("read unwritten into the index",       [I(bpf.LDX_MEM, 0)],                            False),
    ("another one written",                 [I(bpf.ST, 1), I(bpf.LD_MEM, 0)],               False),
    ("read after the last",                 [I(bpf.ST, 0), I(bpf.LD_MEM, 16)],              False),
    # To a shift of 32 bits, this is the same as the first word.
    ("read the word 32",                    [I(bpf.ST, 0), I(bpf.LD_MEM, 32)],              False),
    ("read the word 32 into the index",     [I(bpf.ST, 0), I(bpf.LDX_MEM, 32)],             False),
    *((f"written on both paths of {name}",  [I(code, 0, 0, 2), I(bpf.ST, 0), I(bpf.JA, 1), I(bpf.ST, 0),
                                             I(bpf.LD_MEM, 0)], True) for name, code in COMPARISONS),
    *((f"written if {name}",                [I(code, 0, 0, 1), I(bpf.ST, 0), I(bpf.LD_MEM, 0)], False)
      for name, code in COMPARISONS),
    *((f"written unless {name}",            [I(code, 0, 1, 0), I(bpf.ST, 0), I(bpf.LD_MEM, 0)], False)
      for name, code in COMPARISONS),
    ("written in unreachable code",         [I(bpf.JA, 1), I(bpf.ST, 0), I(bpf.LD_MEM, 0)], False),
]
ARITHMETIC: list[Row] = [
    *((name, [I(code, 3)], True) for name, code in (
        ("add", bpf.ADD), ("subtract", bpf.SUB), ("multiply", bpf.MUL), ("divide", bpf.DIV), ("and", bpf.AND),
        ("or", bpf.OR), ("xor", bpf.XOR), ("shift left", bpf.LSH), ("shift right", bpf.RSH))),
    *((f"{name} by the index", [I(code | X)], True) for name, code in (
        ("add", bpf.ADD), ("subtract", bpf.SUB), ("multiply", bpf.MUL), ("divide", bpf.DIV), ("and", bpf.AND),
        ("or", bpf.OR), ("xor", bpf.XOR), ("shift left", bpf.LSH), ("shift right", bpf.RSH))),
    ("negate",                              [I(bpf.NEG)],                                   True),
    ("negate, by the index",                [I(bpf.NEG | X)],                               False),
    ("divide by 0",                         [I(bpf.DIV, 0)],                                False),
    ("remainder",                           [I(bpf.MOD, 3)],                                False),
    ("remainder by the index",              [I(bpf.MOD | X)],                               False),
    ("move",                                [I(MOV, 3)],                                    False),
    ("shift left by 31",                    [I(bpf.LSH, 31)],                               True),
    ("shift left by 32",                    [I(bpf.LSH, 32)],                               False),
    ("shift right by 31",                   [I(bpf.RSH, 31)],                               True),
    ("shift right by 32",                   [I(bpf.RSH, 32)],                               False),
    ("A to X",                              [I(bpf.TAX)],                                   True),
    ("X to A",                              [I(bpf.TXA)],                                   True),
    ("the next code after these",           [I(MISC_COP)],                                  False),
]
JUMPS: list[Row] = [
    *((f"{name} to the last", [I(code, 0, 1, 1), ALLOW], True) for name, code in (
        ("equal", bpf.JEQ), ("greater", bpf.JGT), ("greater or equal", bpf.JGE), ("any bit", bpf.JSET))),
    *((f"{name} than the index", [I(code | X, 0, 0, 1), ALLOW], True) for name, code in (
        ("equal", bpf.JEQ), ("greater", bpf.JGT), ("greater or equal", bpf.JGE), ("any bit", bpf.JSET))),
    *((f"one too far if {name}",            [I(code, 0, 1, 0)], False) for name, code in COMPARISONS),
    *((f"one too far unless {name}",        [I(code, 0, 0, 1)], False) for name, code in COMPARISONS),
    ("far too far",                         [I(bpf.JGT, 0, 255, 0)],                        False),
    ("always, to the next",                 [I(bpf.JA, 0)],                                 True),
    ("always, one too far",                 [I(bpf.JA, 1)],                                 False),
    ("backwards by wrapping around",        [I(bpf.JA, 0xFFFFFFFF)],                        False),
    ("always, by the index",                [I(bpf.JA | X, 0)],                             False),
    ("not equal, as eBPF has it",           [I(JNE, 0, 0, 0)],                              False),
    ("a call, as eBPF has it",              [I(CALL, 1)],                                   False),
    ("an exit, as eBPF has it",             [I(EXIT)],                                      False),
]
ENDS: list[tuple[str, Program, bool]] = [
    # whole programs
    ("a constant",                          (ALLOW,),                                       True),
    ("the accumulator",                     (I(bpf.LD_IMM, Action.ALLOW), I(bpf.RET_A)),    True),
    ("the index",                           (I(RET_X),),                                    False),
    ("none",                                (load(0),),                                     False),
    ("none after one",                      (ALLOW, load(0)),                               False),
    ("one after one",                       (ALLOW, ALLOW),                                 True),
    ("a jump over the end",                 (ALLOW, I(bpf.JA, 0)),                          False),
    ("code of 16 bits",                     (I(0x0106), ALLOW),                             False),
    ("code of all ones",                    (I(0xFFFF), ALLOW),                             False),
    ("an unknown one, unreachable",         (I(bpf.JA, 1), I(LD_H_ABS), ALLOW),             False),
]
# fmt: on


def check(guest: Guest, programs: list[tuple[str, Program, bool]]) -> None:
    task = unprivileged(guest)
    found: dict[str, tuple[object, object]] = {}
    for name, program, valid in programs:
        found[name] = (task.install(program), OK if valid else EINVAL)
    assert mismatches(found) == []
    assert task.call("getppid") == returned(guest.init.tid)


@pytest.mark.parametrize("rows", [LOADS, MEMORY, ARITHMETIC, JUMPS], ids=["loads", "memory", "arithmetic", "jumps"])
def test_instructions(guest: Guest, rows: list[Row]) -> None:
    """Classic BPF's instructions for words of the call are valid; those for packets, and eBPF's, are not."""
    check(guest, [(name, (*NEVER, *program, ALLOW), valid) for name, program, valid in rows])


def test_ends(guest: Guest) -> None:
    """A filter must end with an instruction that returns a constant or the accumulator."""
    check(guest, ENDS)


def test_every_offset(guest: Guest) -> None:
    """Of all offsets in and beyond struct seccomp_data, exactly its sixteen words can be loaded."""
    check(guest, [(f"offset {at}", (load(at), ALLOW), at % 4 == 0 and at < 64) for at in range(73)])


VALID_CODES = {
    *(bpf.LD_W_ABS, bpf.LD_IMM, bpf.LD_W_LEN, bpf.LDX_IMM, bpf.LDX_W_LEN, bpf.ST, bpf.STX),
    *(bpf.JA, *(code | operand for code in (bpf.JEQ, bpf.JGT, bpf.JGE, bpf.JSET) for operand in (0, X))),
    *(bpf.RET_K, bpf.RET_A, bpf.TAX, bpf.TXA, bpf.NEG),
    *(code | X for code in (bpf.ADD, bpf.SUB, bpf.MUL, bpf.DIV, bpf.AND, bpf.OR, bpf.XOR, bpf.LSH, bpf.RSH)),
    *(bpf.ADD, bpf.SUB, bpf.MUL, bpf.AND, bpf.OR, bpf.XOR, bpf.LSH, bpf.RSH),
}
"""Valid with k = 0: so neither division, nor instructions that read scratch memory."""


def test_every_code(guest: Guest) -> None:
    """Of all 256 one-byte instruction codes, exactly those of classic BPF for seccomp are valid."""
    check(guest, [(f"code {code:#04x}", (*NEVER, I(code), ALLOW), code in VALID_CODES) for code in range(0x100)])


def test_the_length_is_64(guest: Guest) -> None:
    """LD LEN and LDX LEN load the size of struct seccomp_data."""
    task: Task = unprivileged(guest)
    mark = I(bpf.OR, Action.ERRNO | 0xC00)
    for way in ([I(bpf.LD_W_LEN)], [I(bpf.LDX_W_LEN), I(bpf.TXA)]):
        other = unprivileged(guest, "other")
        other.install((load(bpf.NR), I(bpf.JEQ, 0x1000, 1, 0), ALLOW, *way, mark, I(bpf.RET_A))).result()
        assert other.call(0x1000) == error(0xC00 + 64)
    assert task.call(0x1000) == ENOSYS
