# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters have the results of classic BPF, whether a kernel interprets or compiles them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from guests import bpf
from guests.abis import BY_NAME
from guests.bpf import Action, Instruction, Program, load, ret
from guests.guest import Guest
from guests.outcome import OK, mismatches
from guests.promises import breaks
from guests.protocol.wire import Entry
from guests.task import Task
from guests.uapi import NR_X32
from suites.seccomp.support.filter_results import (
    ALLOWED,
    DENIED,
    Call,
    abi_of,
    check_installs,
    entries,
    kill_task,
    mismatching_calls,
    mismatching_numbers,
    result_of,
    seeded,
)
from suites.seccomp.support.filter_runner import each_runner, set_filter_runner
from suites.seccomp.support.filtered_tasks import unprivileged
from suites.seccomp.support.generated_filters import (
    ARGUMENTS,
    COMPAT,
    FILTER_ERRNO,
    MISSING,
    WORDS,
    arithmetic_filters,
    cacheable_filters,
    listing,
    native,
)

pytestmark = [pytest.mark.needs("SECCOMP_FILTER"), pytest.mark.requirement("seccomp.bpf-semantics")]


def probes(entry: Entry, arch: str) -> st.SearchStrategy[list[Call]]:
    """Harmless calls with any arguments, of 32 bits for 32-bit calls; none raises a signal by itself."""
    x32 = tuple(NR_X32 | nr for nr in native(arch))
    numbers, words = {
        Entry.NATIVE: (native(arch) + x32 + MISSING, ARGUMENTS),
        Entry.INT80: (COMPAT + MISSING, WORDS),
    }[entry]
    legal = [nr for nr in numbers if nr < BY_NAME[abi_of(entry, arch)].illegal_from]
    call = st.tuples(st.sampled_from(legal), st.tuples(*[st.sampled_from(words)] * 6))
    return st.lists(call, min_size=10, max_size=10)


def drawn_calls(arch: str) -> st.SearchStrategy[dict[Entry, list[Call]]]:
    """Such calls by each entry."""
    return st.fixed_dictionaries({entry: probes(entry, arch) for entry in (Entry.NATIVE, Entry.INT80)})


def check_all(guest: Guest, task: Task, filters: Sequence[Program], drawn: dict[Entry, list[Call]]) -> None:
    """Check every number by each entry, and the calls that were drawn."""
    for entry in entries(guest):
        assert mismatching_numbers(task, filters, entry) == []
        assert mismatching_calls(task, filters, entry, drawn[entry]) == []


@each_runner
def test_generated_filters(guest: Guest, runner: tuple[int, int]) -> None:
    """Under one to three generated filters that may be decided in advance, every call has the result they mean."""
    set_filter_runner(guest, runner)

    @seeded
    @given(st.lists(cacheable_filters(guest.arch), min_size=1, max_size=3), drawn_calls(guest.arch))
    def check(filters: list[Program], drawn: dict[Entry, list[Call]]) -> None:
        task = unprivileged(guest)
        installed = check_installs(task, filters)
        note("\n\n".join(map(listing, installed)))
        check_all(guest, task, installed, drawn)
        kill_task(guest, task)

    check()


@each_runner
def test_generated_arithmetic(guest: Guest, runner: tuple[int, int]) -> None:
    """Generated filters of all instructions compute the same value as the reference."""
    set_filter_runner(guest, runner)

    @seeded
    @given(arithmetic_filters(guest.arch), drawn_calls(guest.arch))
    def check(program: Program, drawn: dict[Entry, list[Call]]) -> None:
        task = unprivileged(guest)
        note(listing(program))
        task.install(program).result()
        check_all(guest, task, [program], drawn)
        kill_task(guest, task)

    check()


# fmt: off
WITH_THE_INDEX: dict[str, tuple[int, tuple[int, int], int]] = {
    # instruction                      (A, X)                       A afterwards
    "divided":              (bpf.DIV,  (0xFFFFFFFF, 16),            0x0FFFFFFF),
    "divided-by-much":      (bpf.DIV,  (0xFFFFFFFF, 0x80000000),    1),
    "divided-by-more":      (bpf.DIV,  (7, 0xFFFFFFFF),             0),
    "shifted-left":         (bpf.LSH,  (0xC0000001, 4),             0x00000010),
    "shifted-left-by-31":   (bpf.LSH,  (3, 31),                     0x80000000),
    "shifted-left-by-0":    (bpf.LSH,  (0x80000001, 0),             0x80000001),
    "shifted-right":        (bpf.RSH,  (0xC0000001, 4),             0x0C000000),
    "shifted-right-by-31":  (bpf.RSH,  (0xC0000001, 31),            1),
    "subtracted":           (bpf.SUB,  (1, 2),                      0xFFFFFFFF),
    "multiplied":           (bpf.MUL,  (0x80000001, 0x80000003),    0x00000003),
}
# fmt: on


@each_runner
def test_computed_with_the_index(guest: Guest, runner: tuple[int, int]) -> None:
    """Operations on two words of a call have the right full result, and neither word is signed."""
    set_filter_runner(guest, runner)
    found: dict[str, tuple[object, object]] = {}
    getpid = native(guest.arch)[0]
    first, second, third = (load(bpf.halves(bpf.ARGS + 8 * index, guest.arch)[1]) for index in range(3))
    for name, (code, (a, x), result) in WITH_THE_INDEX.items():
        task = unprivileged(guest)
        compute = (second, Instruction(bpf.TAX), first, Instruction(code | bpf.X))
        wanted = (Instruction(bpf.ST, 0), third, Instruction(bpf.TAX), Instruction(bpf.LD_MEM, 0))
        judge = (Instruction(bpf.JEQ | bpf.X, 0, 0, 1), DENIED, ALLOWED)
        task.install((load(bpf.NR), Instruction(bpf.JEQ, getpid, 1, 0), ALLOWED, *compute, *wanted, *judge)).result()
        found[name] = (result_of(task.call(getpid, a, x, result)), f"errno {FILTER_ERRNO}")
        found[f"{name}, and nothing else"] = (result_of(task.call(getpid, a, x, result ^ 1)), "ran")
    assert mismatches(found) == []


WORDS_OF_MEMORY = 16


@each_runner
def test_every_word_of_memory(guest: Guest, runner: tuple[int, int]) -> None:
    """Each word of scratch memory keeps what was written to it, whatever is written to the others later."""
    set_filter_runner(guest, runner)
    task = unprivileged(guest)
    written = [(Instruction(bpf.LD_IMM, 0x1000 + at), Instruction(bpf.ST, at)) for at in range(WORDS_OF_MEMORY)]
    read = [
        (
            Instruction(bpf.LD_MEM, at),
            Instruction(bpf.JEQ, 0x1000 + at, 1, 0),
            ret(Action.ERRNO, FILTER_ERRNO + 1 + at),
        )
        for at in range(WORDS_OF_MEMORY)
    ]
    body = (instruction for group in (*written, *read) for instruction in group)
    task.install((load(bpf.NR), Instruction(bpf.JEQ, native(guest.arch)[0], 1, 0), ALLOWED, *body, DENIED)).result()
    assert result_of(task.call(native(guest.arch)[0])) == f"errno {FILTER_ERRNO}"


ANDED = {
    # a value and a constant, and the result
    (0xFFFFFFFF, 0xFFFF0000): 0xFFFF0000,
    (0xFFFFFFFF, 0xFFFF00F0): 0xFFFF00F0,
    (0x12345678, 0xFFFF00FF): 0x12340078,
    (0xFFFFFFFF, 0xFFFFFFFE): 0xFFFFFFFE,
    (0x80000001, 0xFFFEFFFF): 0x80000001,
    (0xFFFFFFFF, 0x0000FFFF): 0x0000FFFF,
}


@each_runner
def test_registers_and_constants(guest: Guest, runner: tuple[int, int]) -> None:
    """A filter's two registers are 0 when it begins, and an AND with a constant uses all of its bits."""
    set_filter_runner(guest, runner)
    task = unprivileged(guest)
    program = [Instruction(bpf.JEQ, 0, 1, 0), ret(Action.ERRNO, FILTER_ERRNO + 1), Instruction(bpf.TXA)]
    program += [Instruction(bpf.JEQ, 0, 1, 0), ret(Action.ERRNO, FILTER_ERRNO + 2)]
    program += [load(bpf.NR), Instruction(bpf.JEQ, native(guest.arch)[0], 1, 0), ALLOWED]
    for at, ((value, k), result) in enumerate(ANDED.items()):
        program += [Instruction(bpf.LD_IMM, value), Instruction(bpf.AND, k), Instruction(bpf.JEQ, result, 1, 0)]
        program.append(ret(Action.ERRNO, FILTER_ERRNO + 3 + at))
    task.install((*program, DENIED)).result()
    assert result_of(task.call(native(guest.arch)[0])) == f"errno {FILTER_ERRNO}"
    assert result_of(task.call(native(guest.arch)[1])) == "ran"


MANY_JUMPS = 64


@each_runner
@pytest.mark.requirement("seccomp.many-jumps")
def test_many_jumps_to_one_place(guest: Guest, runner: tuple[int, int]) -> None:
    """A filter may begin with any number of jumps to one place, each of which is nothing once the next one is.

    The compiler on x86 leaves out one of them in each pass.  Of a task's filters, each denies a call of its own.
    """
    set_filter_runner(guest, runner)
    task = unprivileged(guest)
    getpid, argument = native(guest.arch)[0], load(bpf.halves(bpf.ARGS, guest.arch)[1])
    installed: dict[str, tuple[object, object]] = {}
    decided: dict[str, tuple[object, object]] = {}
    for count in range(MANY_JUMPS):
        jumps = [Instruction(bpf.JA, left) for left in reversed(range(count))]
        judge = (
            load(bpf.NR),
            Instruction(bpf.JEQ, getpid, 1, 0),
            ALLOWED,
            argument,
            Instruction(bpf.JEQ, count, 1, 0),
        )
        installed[f"{count} jumps"] = (
            task.install((*jumps, *judge, ALLOWED, ret(Action.ERRNO, FILTER_ERRNO + count))),
            OK,
        )
    with breaks("seccomp.many-jumps"):
        assert mismatches(installed) == []
    for count in range(MANY_JUMPS):
        decided[f"{count} jumps"] = (result_of(task.call(getpid, count)), f"errno {FILTER_ERRNO + count}")
    assert mismatches(decided) == []
    assert result_of(task.call(getpid, MANY_JUMPS)) == "ran"


# fmt: off
UNSIGNED = {
    # a word, what it is compared with, the action if it is larger, and if not        the result of a native call
    "an-architecture-that-is-not-larger": (bpf.ARCH, 0xFFFFFFFF, DENIED,  ALLOWED,    "ran"),
    "a-number-that-is-not-larger":        (bpf.NR,   0x80000000, ALLOWED, DENIED,     f"errno {FILTER_ERRNO}"),
    "a-number-below-is-allowed":          (bpf.NR,   0x80000000, DENIED,  ALLOWED,    "ran"),
}
# fmt: on


@pytest.mark.parametrize("code", [bpf.JGT, bpf.JGE], ids=["larger", "larger-or-equal"])
def test_no_word_is_negative(guest: Guest, code: int) -> None:
    """Words from 0x80000000 on compare as large numbers."""
    found: dict[str, tuple[object, object]] = {}
    for name, (word, k, larger, otherwise, wanted) in UNSIGNED.items():
        task = unprivileged(guest)
        task.install((load(word), Instruction(code, k, 0, 1), larger, otherwise)).result()
        found[name] = (result_of(task.call("getppid")), wanted)
    assert mismatches(found) == []


@pytest.mark.needs("64BIT")
@pytest.mark.parametrize("code", [bpf.JGT, bpf.JGE], ids=["larger", "larger-or-equal"])
def test_no_architecture_is_negative(guest: Guest, code: int) -> None:
    """The AUDIT_ARCH of an architecture of 64 bits, which is above 0x80000000, compares as a large number."""
    task = unprivileged(guest)
    task.install((load(bpf.ARCH), Instruction(code, 0x7FFFFFFF, 0, 1), DENIED, ALLOWED)).result()
    assert result_of(task.call("getppid")) == f"errno {FILTER_ERRNO}"
