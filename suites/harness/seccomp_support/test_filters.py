# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters as sentences, as a policy's lines, as libseccomp makes them: what they mean to the interpreter."""

from __future__ import annotations

import errno
import importlib
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from guests import bpf
from guests.abis import X86_64
from guests.bpf import AUDIT_ARCH, Action, Filter, Instruction, allow, arg, deny, kill_process, load, policy, ret
from guests.errors import KconformError, UsageError
from guests.uapi import names, number
from suites.seccomp.support import libseccomp
from suites.seccomp.support.bpf_interpreter import SeccompData, constant_result, run, run_filters
from suites.seccomp.support.libseccomp import allow_list, unpack
from suites.seccomp.support.minijail_policy import parse_policy

ROOT = Path(__file__).parents[3]
NATIVE, I386 = AUDIT_ARCH["x86_64"], AUDIT_ARCH["i386"]
ERRNO_1 = Action.ERRNO | 1


def verdict(program: Filter, name: str | int, *arguments: int, arch: int = NATIVE) -> int:
    nr = name if isinstance(name, int) else number(name)
    return run(program, SeccompData(nr, arch, args=(*arguments, *(0,) * (6 - len(arguments)))))


class TestPolicy:
    def test_the_first_rule_that_fits_decides(self) -> None:
        program = policy(deny("read", errno=1), allow("read", "write"), default=Action.KILL_PROCESS)
        assert verdict(program, "read") == ERRNO_1
        assert verdict(program, "write") == Action.ALLOW
        assert verdict(program, "open") == Action.KILL_PROCESS

    def test_another_architecture_gets_the_default(self) -> None:
        program = policy(deny("read", errno=1), default=Action.TRAP, data=3)
        assert verdict(program, number("read"), arch=I386) == Action.TRAP | 3

    def test_a_rule_behind_a_condition_that_does_not_hold(self) -> None:
        program = policy(deny("read", errno=1, when=(arg(0) == 1, arg(1) != 2)), deny("read", errno=2))
        assert verdict(program, "read", 1, 3) == ERRNO_1
        assert verdict(program, "read", 1, 2) == Action.ERRNO | 2
        assert verdict(program, "read", 0, 3) == Action.ERRNO | 2

    def test_more_names_than_a_jump_reaches(self) -> None:
        every = list(names().values())
        program = policy(deny(*every, errno=1, when=arg(5) == 7), allow(*every), default=Action.KILL_PROCESS)
        assert len(every) > 255
        for name in (every[0], every[199], every[200], every[-1]):
            assert verdict(program, name, 0, 0, 0, 0, 0, 7) == ERRNO_1
            assert verdict(program, name) == Action.ALLOW
        assert verdict(program, 5000) == Action.KILL_PROCESS

    @pytest.mark.parametrize("value", [0, 1, 0xFFFFFFFF, 0x100000000, 0x100000001, (1 << 64) - 1])
    def test_comparisons_are_of_64_bits(self, value: int) -> None:
        for other in (0, 1, 0xFFFFFFFF, 0x100000000, 0x100000001, 0x200000000, (1 << 64) - 1):
            means = {
                arg(0) == value: other == value,
                arg(0) != value: other != value,
                arg(0) < value: other < value,
                arg(0) <= value: other <= value,
                arg(0) > value: other > value,
                arg(0) >= value: other >= value,
                arg(0) & value: bool(other & value),
                arg(0).within(value): not other & ~value,
            }
            for condition, holds in means.items():
                program = policy(deny("read", errno=1, when=condition))
                assert (verdict(program, "read", other) == ERRNO_1) == holds, condition

    def test_an_argument_is_compared_with_numbers_only(self) -> None:
        with pytest.raises(TypeError):
            arg(0) == "1"  # noqa: B015


class TestInterpreter:
    def test_unknown_instructions_are_an_error(self) -> None:
        with pytest.raises(ValueError, match="0x28"):
            run((Instruction(0x28), ret(Action.ALLOW)), SeccompData(0, NATIVE))

    @pytest.mark.parametrize("division", [Instruction(bpf.DIV | bpf.X), Instruction(bpf.DIV, 0)])
    def test_division_by_zero_is_the_end(self, division: Instruction) -> None:
        assert run((division, ret(Action.ALLOW)), SeccompData(0, NATIVE)) == Action.KILL_THREAD

    def test_words_wrap(self) -> None:
        minus_one = Instruction(bpf.LD_IMM, 1), Instruction(bpf.SUB, 2)
        program = (*minus_one, Instruction(bpf.RSH, 4), Instruction(bpf.RET_A))
        assert run(program, SeccompData(0, NATIVE)) == 0x0FFFFFFF

    def test_scratch_memory(self) -> None:
        there_and_back = Instruction(bpf.ST, 3), Instruction(bpf.LDX_MEM, 3), Instruction(bpf.TXA)
        program = (load(0), *there_and_back, Instruction(bpf.RET_A))
        assert run(program, SeccompData(77, NATIVE)) == 77

    def test_a_negative_number_is_a_large_one(self) -> None:
        assert run((load(0), Instruction(bpf.RET_A)), SeccompData(0xFFFFFFFF, NATIVE)) == 0xFFFFFFFF

    def test_what_is_constant(self) -> None:
        by_argument = policy(deny("read", errno=1, when=arg(0) == 1))
        assert constant_result(by_argument, number("write"), NATIVE) == Action.ALLOW
        assert constant_result(by_argument, number("read"), NATIVE) is None

    def test_of_several_filters_the_severest_and_of_equal_ones_the_newest(self) -> None:
        stack = [policy(deny("read", errno=1)), policy(deny("read", errno=2)), policy()]
        read = SeccompData(number("read"), NATIVE)
        assert run_filters(stack, read) == (Action.ERRNO, 2)
        assert run_filters([*stack, policy(kill_process("read"))], read) == (Action.KILL_PROCESS, 0)
        assert run_filters([], SeccompData(0, NATIVE)) == (Action.ALLOW, 0)


class TestPolicyFile:
    def test_lines(self) -> None:
        program = parse_policy("# nothing\n\nread: 1\n{write, close}: return EPERM # why not\nopen: trap\n")
        assert verdict(program, "read") == Action.ALLOW
        assert verdict(program, "write") == verdict(program, "close") == ERRNO_1
        assert verdict(program, "open") == Action.TRAP
        assert verdict(program, "mmap") == Action.KILL_PROCESS

    def test_conditions(self) -> None:
        program = parse_policy("read: arg0 == 1 && arg1 & 0x6 || \\\n arg2 in 3|4; return 5\n@default log\n")
        assert verdict(program, "read", 1, 2, 8) == Action.ALLOW
        assert verdict(program, "read", 1, 1, 8) == Action.ERRNO | 5
        assert verdict(program, "read", 0, 0, 7) == Action.ALLOW
        assert verdict(program, "write") == Action.LOG

    def test_a_condition_that_does_not_hold_kills_though_the_default_allows(self) -> None:
        program = parse_policy("@default allow\nread: arg0 == 1\n")
        assert verdict(program, "read", 1) == Action.ALLOW
        assert verdict(program, "read", 2) == Action.KILL_PROCESS
        assert verdict(program, "write") == Action.ALLOW

    def test_inverted_values(self) -> None:
        program = parse_policy("mmap: arg2 in ~0x4\n")
        assert verdict(program, "mmap", 0, 0, 3) == Action.ALLOW
        assert verdict(program, "mmap", 0, 0, 4) == Action.KILL_PROCESS

    @pytest.mark.parametrize(
        "line",
        [
            *("read", "read:", "no_such_call: 1", "read: 2", "read: return ENOSUCH", "read: 1 \\"),
            *("read: arg6 == 1", "read: arg0 = 1", "read: arg0 == O_RDONLY", "read: arg0 == 1; allow"),
            *("@default sometimes", "@include other.policy"),
        ],
    )
    def test_what_is_not_understood_is_named_with_its_line(self, line: str) -> None:
        with pytest.raises(UsageError, match="policy line 2"):
            parse_policy(f"write: 1\n{line}\n")


def own_module() -> types.ModuleType:
    """libseccomp's own module as it differs from pyseccomp: actions and architectures are C ints."""
    real: Any = importlib.import_module("pyseccomp")

    class SyscallFilter(real.SyscallFilter):  # type: ignore[misc]
        def __init__(self, defaction: int) -> None:
            super().__init__(c_int(defaction))

        def add_arch(self, arch: int) -> None:
            super().add_arch(c_int(arch))

        def remove_arch(self, arch: int) -> None:
            super().remove_arch(c_int(arch))

    def c_int(value: int) -> int:
        if not -(1 << 31) <= value < 1 << 31:
            raise OverflowError("value too large to convert to int")
        return value

    made = types.ModuleType("seccomp")
    vars(made).update(
        SyscallFilter=SyscallFilter, ALLOW=real.ALLOW, set_api=real.set_api, system_arch=real.system_arch
    )
    return made


class TestLibseccomp:
    def test_an_allow_list(self) -> None:
        program = allow_list(["read", "write"])
        assert verdict(program, "read") == Action.ALLOW
        assert verdict(program, "open") == Action.KILL_PROCESS
        assert verdict(program, number("read") | 0x40000000) != Action.ALLOW
        assert verdict(program, number("read"), arch=I386) != Action.ALLOW

    def test_a_call_that_libseccomp_has_not_heard_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A kernel, and a program that a guest runs, may be newer than the host's libseccomp."""
        monkeypatch.setattr(libseccomp, "number", lambda *_: 1000)
        program = allow_list(["brand_new"])
        assert verdict(program, 1000) == Action.ALLOW
        assert verdict(program, "read") == Action.KILL_PROCESS

    def test_the_hosts_kernel_is_not_asked(self) -> None:
        """A container's own filter may answer seccomp() with an error; what guests can do is another matter."""
        lines = (
            "import os, pyseccomp, sys",
            "outer = pyseccomp.SyscallFilter(pyseccomp.ALLOW)",
            f"outer.add_rule(pyseccomp.ERRNO({errno.ENOSYS}), 'seccomp')",
            "outer.load()",
            "inner = 'from suites.seccomp.support.libseccomp import allow_list; print(len(allow_list([\"read\"])))'",
            "os.execv(sys.executable, [sys.executable, '-c', inner])",
        )
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert (done.stdout.strip(), done.stderr) == (str(len(allow_list(["read"]))), "")

    @pytest.mark.parametrize("arch", ["x86_64", "i386"])
    def test_the_librarys_own_module_does_as_well(self, arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Distributions package `seccomp`, and not pyseccomp, which has its interface."""
        expected = allow_list(["read", "write"], arch)
        monkeypatch.setitem(sys.modules, "seccomp", own_module())
        monkeypatch.setitem(sys.modules, "pyseccomp", None)
        assert allow_list(["read", "write"], arch) == expected

    def test_without_either_module_the_first_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("pyseccomp", "seccomp"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(KconformError, match=r"libseccomp cannot be used: .*\bpyseccomp\b"):
            allow_list(["read"])

    def test_packed_and_unpacked(self) -> None:
        program = policy(deny("read", errno=1, when=arg(3) == 1 << 40)).program("x86_64")
        assert unpack(bpf.pack(program, X86_64)) == program
