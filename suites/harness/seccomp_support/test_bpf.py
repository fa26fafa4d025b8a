# SPDX-License-Identifier: GPL-2.0-or-later
"""A policy's program does what its sentences say: each is run through the interpreter, and read by a second one."""

from __future__ import annotations

import itertools
import struct

import pytest

from guests import bpf
from guests.abis import X86_64
from guests.bpf import (
    AUDIT_ARCH,
    Action,
    Condition,
    Instruction,
    Program,
    Rule,
    allow,
    allow_list,
    arg,
    deny,
    kill_process,
    kill_thread,
    log,
    notify,
    policy,
    rule,
    trace,
    trap,
)
from guests.outcome import EACCES, EINVAL
from guests.uapi import names, number
from suites.seccomp.support.bpf_interpreter import SEVERITY, SeccompData, run, run_filters

HIGH = 1 << 32
VALUES = [0, 1, 2, 7, 0x7FFFFFFF, 0xFFFFFFFF, HIGH, HIGH + 1, HIGH * 2 + 1, (1 << 63), (1 << 64) - 1]
"""Arguments at which 64-bit comparisons go wrong that are made of two halves."""

COMPARISONS = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "&": lambda a, b: a & b != 0,
    "in": lambda a, b: a & ~b == 0,
}


def meaning(rules: tuple[Rule, ...], default: int, call: SeccompData, arch: str = "x86_64") -> int:
    """What the rules say of a call, read as sentences: the first that fits decides."""
    if call.arch == AUDIT_ARCH[arch]:
        for one in rules:
            if call.nr in {number(name, arch) for name in one.syscalls} and all(
                COMPARISONS[condition.comparison](call.args[condition.argument], condition.value)
                for condition in one.when
            ):
                return one.action | one.data
    return default


RULE_SETS: dict[str, tuple[tuple[Rule, ...], Action]] = {
    "no-rules": ((), Action.ALLOW),
    "one-call": ((deny("getpid", errno=EINVAL),), Action.ALLOW),
    "several-calls-in-one-rule": ((allow("read", "write", "getpid", "exit_group"),), Action.KILL_PROCESS),
    "the-first-that-fits-decides": ((log("getpid"), kill_thread("getpid", "getppid")), Action.ALLOW),
    "every-action": (
        (
            *(allow("read"), deny("write", errno=EACCES), trap("open", data=5), trace("close", data=0xFFFF)),
            *(log("stat"), notify("fstat"), kill_thread("lstat"), kill_process("poll")),
        ),
        Action.LOG,
    ),
    "a-condition": ((allow("getpid", when=arg(0) == HIGH + 1),), Action.KILL_PROCESS),
    "a-rule-behind-a-condition-that-failed": (
        (allow("getpid", when=arg(0) == 1), deny("getpid", errno=7), allow("read", when=arg(5) == 0)),
        Action.KILL_PROCESS,
    ),
    "conditions-for-several-calls": (
        (allow("read", "getpid", when=(arg(0) >= 2, arg(1) < HIGH)), deny("getpid", "getppid", errno=1)),
        Action.LOG,
    ),
    "the-highest-data": ((deny("getpid", errno=0xFFF), trap("read", data=0xFFFF)), Action.ALLOW),
}


def calls() -> list[SeccompData]:
    called = [number(name) for name in ("read", "write", "open", "close", "stat", "fstat", "lstat", "poll")]
    called += [number(name) for name in ("getpid", "getppid", "exit_group")]
    odd = [-1, 0x40000000 + number("getpid"), 4000]
    pairs = list(itertools.product([0, 1, 2, HIGH + 1], [0, HIGH - 1, HIGH]))
    return [
        SeccompData(nr & 0xFFFFFFFF, AUDIT_ARCH[arch], 0x401000, (first, second, 9, 9, 9, last))
        for nr in called + odd
        for arch in ("x86_64", "i386", "aarch64")
        for first, second in pairs
        for last in (0, 1)
    ]


@pytest.mark.parametrize("name", RULE_SETS)
def test_a_policy_says_what_its_rules_say(name: str) -> None:
    rules, default = RULE_SETS[name]
    program = policy(*rules, default=default)
    verdicts = {call: (run(program, call), meaning(rules, default, call)) for call in calls()}
    assert {call: verdict for call, verdict in verdicts.items() if verdict[0] != verdict[1]} == {}
    assert len({verdict for verdict, _ in verdicts.values()}) > len(rules) // 2, "the calls must tell rules apart"


@pytest.mark.parametrize("argument", [0, 5])
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_conditions_compare_all_64_bits_without_sign(comparison: str, argument: int) -> None:
    for wanted in VALUES:
        program = policy(
            rule(Action.LOG, "getpid", when=Condition(argument, wanted, comparison)), default=Action.KILL_PROCESS
        )
        for given in VALUES:
            args = tuple(given if index == argument else ~given & (1 << 64) - 1 for index in range(6))
            verdict = run(program, SeccompData(number("getpid"), AUDIT_ARCH["x86_64"], 0, args))
            holds = COMPARISONS[comparison](given, wanted)
            assert verdict == (Action.LOG if holds else Action.KILL_PROCESS), f"{given:#x} {comparison} {wanted:#x}"


def test_a_negative_value_is_its_64_bits() -> None:
    program = policy(allow("getpid", when=arg(0) == -1), default=Action.KILL_PROCESS)
    for given, wanted in (((1 << 64) - 1, Action.ALLOW), (0xFFFFFFFF, Action.KILL_PROCESS)):
        call = SeccompData(number("getpid"), AUDIT_ARCH["x86_64"], 0, (given, 0, 0, 0, 0, 0))
        assert run(program, call) == wanted


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        (arg(1) == 2, Condition(1, 2, "==")),
        (arg(1) != 2, Condition(1, 2, "!=")),
        (arg(1) < 2, Condition(1, 2, "<")),
        (arg(1) <= 2, Condition(1, 2, "<=")),
        (arg(1) > 2, Condition(1, 2, ">")),
        (arg(1) >= 2, Condition(1, 2, ">=")),
        (arg(1) & 2, Condition(1, 2, "&")),
        (arg(1).within(2), Condition(1, 2, "in")),
    ],
)
def test_conditions_are_written_as_comparisons(condition: Condition, wanted: Condition) -> None:
    assert condition == wanted


def test_an_argument_is_compared_with_numbers_only() -> None:
    with pytest.raises(TypeError, match="not with 'one'"):
        _ = arg(0) == "one"
    with pytest.raises(ValueError, match="unknown comparison"):
        policy(allow("read", when=Condition(0, 1, "~"))).program("x86_64")


@pytest.mark.parametrize("arch", ["x86_64", "i386", "aarch64"])
def test_a_policy_is_for_one_architecture_and_others_get_its_default(arch: str) -> None:
    program = policy(deny("getpid", errno=EINVAL), default=Action.TRAP, data=9, arch=arch)
    for other in ("x86_64", "i386", "aarch64"):
        for name_of in ("x86_64", "i386", "aarch64"):
            call = SeccompData(number("getpid", name_of), AUDIT_ARCH[other])
            fits = other == arch and number("getpid", name_of) == number("getpid", arch)
            assert run(program, call) == (Action.ERRNO | 22 if fits else Action.TRAP | 9)


def test_a_rule_may_name_every_system_call() -> None:
    """More than a conditional jump can span, which is 255 instructions."""
    every = sorted(names().values())
    program = allow_list(every)
    assert len(every) > 300
    for name in every:
        assert run(program, SeccompData(number(name), AUDIT_ARCH["x86_64"])) == Action.ALLOW, name
    assert run(program, SeccompData(5000, AUDIT_ARCH["x86_64"])) == Action.KILL_PROCESS
    assert len(bpf.pack(program.program("x86_64"), X86_64)) == 8 * len(program)


def test_a_program_is_packed_as_struct_sock_filter() -> None:
    program: Program = (
        Instruction(bpf.LD_W_ABS, 4),
        Instruction(bpf.JEQ, AUDIT_ARCH["x86_64"], 1, 2),
        bpf.ret(Action.LOG, 3),
    )
    assert struct.unpack("<" + "HBBI" * 3, bpf.pack(program, X86_64)) == (
        *(0x20, 0, 0, 4),
        *(0x15, 1, 2, 0xC000003E),
        *(0x06, 0, 0, 0x7FFC0003),
    )


def test_the_data_of_an_action_has_16_bits() -> None:
    assert bpf.ret(Action.ERRNO, 0x12345).k == 0x00052345


def i(code: int, k: int = 0, jt: int = 0, jf: int = 0) -> Instruction:
    return Instruction(code, k, jt, jf)


CALL = SeccompData(7, AUDIT_ARCH["x86_64"], 0x1122334455667788, (1, 2 << 32 | 3, 0, 0, 0, 0xAABBCCDD00000000))

INTERPRETED: dict[str, tuple[Program, int]] = {
    "constant": ((i(bpf.RET_K, 5),), 5),
    "number": ((i(bpf.LD_W_ABS, 0), i(bpf.RET_A)), 7),
    "architecture": ((i(bpf.LD_W_ABS, 4), i(bpf.RET_A)), 0xC000003E),
    "pointer-low": ((i(bpf.LD_W_ABS, 8), i(bpf.RET_A)), 0x55667788),
    "pointer-high": ((i(bpf.LD_W_ABS, 12), i(bpf.RET_A)), 0x11223344),
    "argument-1-low": ((i(bpf.LD_W_ABS, 24), i(bpf.RET_A)), 3),
    "argument-1-high": ((i(bpf.LD_W_ABS, 28), i(bpf.RET_A)), 2),
    "argument-5-high": ((i(bpf.LD_W_ABS, 60), i(bpf.RET_A)), 0xAABBCCDD),
    "length": ((i(bpf.LD_W_LEN), i(bpf.RET_A)), 64),
    "scratch": ((i(bpf.LD_IMM, 9), i(bpf.ST, 3), i(bpf.LD_IMM, 1), i(bpf.LD_MEM, 3), i(bpf.RET_A)), 9),
    "index": ((i(bpf.LDX_IMM, 4), i(bpf.LD_IMM, 3), i(bpf.MUL | bpf.X), i(bpf.RET_A)), 12),
    "transfer": ((i(bpf.LD_IMM, 6), i(bpf.TAX), i(bpf.LD_IMM, 0), i(bpf.TXA), i(bpf.RET_A)), 6),
    "subtraction-wraps": ((i(bpf.LD_IMM, 1), i(bpf.SUB, 2), i(bpf.RET_A)), 0xFFFFFFFF),
    "addition-wraps": ((i(bpf.LD_IMM, 0xFFFFFFFF), i(bpf.ADD, 2), i(bpf.RET_A)), 1),
    "negation": ((i(bpf.LD_IMM, 1), i(bpf.NEG), i(bpf.RET_A)), 0xFFFFFFFF),
    "shifts": ((i(bpf.LD_IMM, 0x81), i(bpf.LSH, 28), i(bpf.RSH, 28), i(bpf.RET_A)), 1),
    "division-by-zero-ends-it": ((i(bpf.LD_IMM, 1), i(bpf.DIV | bpf.X), i(bpf.RET_K, 5)), 0),
    "jump": ((i(bpf.JA, 1), i(bpf.RET_K, 1), i(bpf.RET_K, 2)), 2),
    "equal": ((i(bpf.LD_IMM, 3), i(bpf.JEQ, 3, 0, 1), i(bpf.RET_K, 1), i(bpf.RET_K, 2)), 1),
    "greater-is-unsigned": ((i(bpf.LD_IMM, 1 << 31), i(bpf.JGT, 1, 0, 1), i(bpf.RET_K, 1), i(bpf.RET_K, 2)), 1),
    "set": ((i(bpf.LD_IMM, 4), i(bpf.JSET, 3, 0, 1), i(bpf.RET_K, 1), i(bpf.RET_K, 2)), 2),
}


@pytest.mark.parametrize("name", INTERPRETED)
def test_the_interpreter_knows_the_language(name: str) -> None:
    program, wanted = INTERPRETED[name]
    assert run(program, CALL) == wanted


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(SEVERITY, 2)))
def test_of_two_filters_the_more_severe_decides(one: Action, other: Action) -> None:
    severe, mild = (bpf.ret(one, 1),), (bpf.ret(other, 2),)
    assert run_filters([severe, mild], CALL) == run_filters([mild, severe], CALL) == (one, 1)


def test_of_equal_filters_the_newest_decides() -> None:
    assert run_filters([(bpf.ret(Action.ERRNO, 1),), (bpf.ret(Action.ERRNO, 2),)], CALL) == (Action.ERRNO, 2)
