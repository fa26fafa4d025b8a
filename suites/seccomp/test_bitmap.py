# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters have the results of classic BPF, even if a kernel compiles them and decides calls in advance (since 5.11).

The reference is suites/seccomp/support/bpf_interpreter.py.  Filters return errnos that no call itself returns, so a
result shows whether a filter denied the call, and which.  Otherwise the call has run, so the tests make only harmless
calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from guests import bpf
from guests.bpf import AUDIT_ARCH, Action, Instruction, Program, load, ret
from guests.guest import Guest
from guests.outcome import OK, Outcome
from guests.protocol.wire import Entry, data_address
from guests.syscall_sweep import sweep
from guests.syscalls.seccomp import SET_MODE_FILTER
from guests.task import Task
from guests.uapi import NR_X32, Signal, number
from suites.seccomp.support.bpf_interpreter import SeccompData, constant_result, run_filters
from suites.seccomp.support.filtered_tasks import ENTRIES, mismatches, unprivileged
from suites.seccomp.support.generated_filters import (
    ARGUMENTS,
    COMPAT,
    FILTER_ERRNO,
    MISSING,
    NATIVE,
    WORDS,
    arithmetic_filters,
    cacheable_filters,
    listing,
)

pytestmark = [pytest.mark.needs("SECCOMP_FILTER"), pytest.mark.requirement("seccomp.bpf-semantics")]

ARCHES = {Entry.NATIVE: AUDIT_ARCH["x86_64"], Entry.INT80: AUDIT_ARCH["i386"]}
NUMBERS = 512
"""More than the number of calls of any architecture."""
ALL_ONES = {Entry.NATIVE: ((1 << 64) - 1,) * 6, Entry.INT80: (0xFFFFFFFF,) * 6}

# Derandomized: every run draws the same filters.  No shrinking: each attempt costs the guest a task.
seeded = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# How filters are run: net.core.bpf_jit_enable and bpf_jit_harden (Documentation/admin-guide/sysctl/net.rst).
each_runner = pytest.mark.parametrize(
    "runner",
    [
        pytest.param((0, 0), id="interpreted", marks=pytest.mark.lacks("BPF_JIT_ALWAYS_ON")),
        pytest.param((1, 0), id="compiled", marks=pytest.mark.needs("BPF_JIT")),
        pytest.param((1, 2), id="compiled-with-blinded-constants", marks=pytest.mark.needs("BPF_JIT")),
    ],
)

PROBE_CALLS = (335, 336)
"""uretprobe (since 6.14) and uprobe (since 6.18): reserved for the kernel's own code in a program, which no filter
stops, and fatal from anywhere else."""

UNCALLABLE = {
    # Calls that end, fork or suspend their caller even with arguments of all ones.
    Entry.NATIVE: {number(name) for name in ("exit", "exit_group", "fork", "vfork", "pause", "rt_sigreturn")},
    Entry.INT80: {
        number(name, "i386")
        for name in (
            *("exit", "exit_group", "fork", "vfork", "pause"),
            *("sigreturn", "rt_sigreturn", "sigsuspend"),
        )
    },
}


def set_filter_runner(guest: Guest, runner: tuple[int, int]) -> None:
    """Set how filters installed from now on are run.  A kernel without the JIT has an interpreter and no sysctl."""
    if guest.kernel.config.enabled("BPF_JIT"):
        for name, value in zip(("enable", "harden"), runner, strict=True):
            guest.set_sysctl(f"net.core.bpf_jit_{name}", value)


def entries(guest: Guest) -> list[Entry]:
    return [Entry.NATIVE] + ([Entry.INT80] if guest.kernel.config.enabled("IA32_EMULATION") else [])


def result_of(outcome: Outcome) -> str:
    """The errno that a filter returned, or `ran` if the call ran."""
    return f"errno {outcome.errno}" if outcome.errno >= FILTER_ERRNO else "ran"


def expected_result(filters: Sequence[Program], nr: int, entry: Entry, arguments: tuple[int, ...]) -> str:
    action, value = run_filters(filters, SeccompData(nr, ARCHES[entry], args=arguments))
    return f"errno {value}" if action is Action.ERRNO else "ran"


def check_installs(task: Task, filters: Sequence[Program]) -> list[Program]:
    """Install filters until an earlier one denies seccomp(), check each result, and return those installed."""
    installed: list[Program] = []
    for program in filters:
        done = task.install(program)
        pointers = (SET_MODE_FILTER, 0, data_address(task.slot), 0, 0, 0)
        assert result_of(done) == expected_result(installed, number("seccomp"), Entry.NATIVE, pointers)
        if done != OK:
            break
        installed.append(program)
    return installed


def cached(guest: Guest, task: Task) -> dict[Entry, dict[int, bool]]:
    """/proc/PID/seccomp_cache: the calls that the kernel allows without running the filters."""
    found: dict[Entry, dict[int, bool]] = {Entry.NATIVE: {}, Entry.INT80: {}}
    for line in guest.read_file(f"/proc/{task.pid}/seccomp_cache").splitlines():
        arch, nr, word = line.split()
        found[{"x86_64": Entry.NATIVE, "ia32": Entry.INT80}[arch]][int(nr)] = {"ALLOW": True, "FILTER": False}[word]
    return found


def cache_mismatches(filters: Sequence[Program], found: dict[Entry, dict[int, bool]]) -> Iterator[str]:
    """Calls that are in the cache but should not be, and calls that should be but are not."""
    for entry, calls in found.items():
        for nr, allowed in calls.items():
            if entry is Entry.NATIVE and nr in PROBE_CALLS:
                continue
            wanted = all(constant_result(program, nr, ARCHES[entry]) == Action.ALLOW for program in filters)
            if allowed != wanted:
                yield f"{entry.name} {nr} is {'' if allowed else 'not '}in the cache"


Call = tuple[int, tuple[int, ...]]
"""A number and its arguments."""


def probes(entry: Entry) -> st.SearchStrategy[list[Call]]:
    """Harmless calls with any arguments, of 32 bits for 32-bit calls."""
    x32 = tuple(NR_X32 | nr for nr in NATIVE)
    numbers, words = {
        Entry.NATIVE: (NATIVE + x32 + MISSING, ARGUMENTS),
        Entry.INT80: (COMPAT + MISSING, WORDS),
    }[entry]
    call = st.tuples(st.sampled_from(numbers), st.tuples(*[st.sampled_from(words)] * 6))
    return st.lists(call, min_size=10, max_size=10)


DRAWN = st.fixed_dictionaries({entry: probes(entry) for entry in ARCHES})


def mismatching_numbers(task: Task, filters: Sequence[Program], entry: Entry) -> list[str]:
    """Make every possible call, with ineffective arguments; return those that differ from the expected results."""
    numbers = range(NUMBERS)
    meanings = {nr: expected_result(filters, nr, entry, ALL_ONES[entry]) for nr in numbers}
    left_out = {nr for nr in UNCALLABLE[entry] if meanings[nr] == "ran"}
    left_out |= set(PROBE_CALLS) if entry is Entry.NATIVE else set()
    actual = sweep(task, numbers, ALL_ONES[entry], skip=left_out, entry=entry)
    return [
        f"{entry.name} {nr}: {result_of(outcome)}, expected {meanings[nr]}"
        for nr, outcome in actual.items()
        if result_of(outcome) != meanings[nr]
    ]


def mismatching_calls(task: Task, filters: Sequence[Program], entry: Entry, calls: Sequence[Call]) -> list[str]:
    """Make these calls; return those that differ from the expected results."""
    wrong = []
    for nr, arguments in calls:
        actual = result_of(task.call(nr, *arguments, entry=entry))
        wanted = expected_result(filters, nr, entry, arguments)
        if actual != wanted:
            wrong.append(f"{entry.name} {nr:#x} {arguments}: {actual}, expected {wanted}")
    return wrong


def check_all(guest: Guest, task: Task, filters: Sequence[Program], drawn: dict[Entry, list[Call]]) -> None:
    """Check every number by each entry, and the calls that were drawn."""
    for entry in entries(guest):
        assert mismatching_numbers(task, filters, entry) == []
        assert mismatching_calls(task, filters, entry, drawn[entry]) == []


def kill_task(guest: Guest, task: Task) -> None:
    """Kill a task: while it waits quietly it takes its share of the CPU, and many more tasks follow."""
    guest.init.kill(task, Signal.KILL).result()


@each_runner
def test_generated_filters(guest: Guest, runner: tuple[int, int]) -> None:
    """Under one to three generated filters that may be decided in advance, every call has the result they mean."""
    set_filter_runner(guest, runner)

    @seeded
    @given(st.lists(cacheable_filters(), min_size=1, max_size=3), DRAWN)
    def check(filters: list[Program], drawn: dict[Entry, list[Call]]) -> None:
        task = unprivileged(guest)
        installed = check_installs(task, filters)
        note("\n\n".join(map(listing, installed)))
        check_all(guest, task, installed, drawn)
        kill_task(guest, task)

    check()


@pytest.mark.needs("SECCOMP_CACHE_DEBUG")
@pytest.mark.requirement("seccomp.cache")
def test_the_cache_of_generated_filters(guest: Guest) -> None:
    """For every number, the kernel reports a call as decided in advance if and only if the filters permit that."""

    @settings(seeded, max_examples=30)
    @given(st.lists(cacheable_filters(), min_size=1, max_size=3))
    def check(filters: list[Program]) -> None:
        task = unprivileged(guest)
        installed = check_installs(task, filters)
        note("\n\n".join(map(listing, installed)))
        found = cached(guest, task)
        assert list(cache_mismatches(installed, found)) == []
        assert len(found[Entry.NATIVE]) > 400
        assert bool(found[Entry.INT80]) == (len(entries(guest)) > 1)
        kill_task(guest, task)

    check()


@each_runner
def test_generated_arithmetic(guest: Guest, runner: tuple[int, int]) -> None:
    """Generated filters of all instructions compute the same value as the reference."""
    set_filter_runner(guest, runner)

    @seeded
    @given(arithmetic_filters(), DRAWN)
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
    for name, (code, (a, x), result) in WITH_THE_INDEX.items():
        task = unprivileged(guest)
        compute = (load(bpf.ARGS + 8), Instruction(bpf.TAX), load(bpf.ARGS), Instruction(code | bpf.X))
        wanted = (Instruction(bpf.ST, 0), load(bpf.ARGS + 16), Instruction(bpf.TAX), Instruction(bpf.LD_MEM, 0))
        judge = (Instruction(bpf.JEQ | bpf.X, 0, 0, 1), DENIED, ALLOWED)
        task.install(
            (load(bpf.NR), Instruction(bpf.JEQ, NATIVE[0], 1, 0), ALLOWED, *compute, *wanted, *judge)
        ).result()
        found[name] = (result_of(task.call(NATIVE[0], a, x, result)), f"errno {FILTER_ERRNO}")
        found[f"{name}, and nothing else"] = (result_of(task.call(NATIVE[0], a, x, result ^ 1)), "ran")
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
    task.install((load(bpf.NR), Instruction(bpf.JEQ, NATIVE[0], 1, 0), ALLOWED, *body, DENIED)).result()
    assert result_of(task.call(NATIVE[0])) == f"errno {FILTER_ERRNO}"


OLDER = (
    # Denies odd numbers from 100 to 299, of either architecture, and 39, which is getpid or mkdir.
    load(bpf.NR),
    Instruction(bpf.JEQ, 39, 3, 0),
    Instruction(bpf.JGE, 100, 0, 3),
    Instruction(bpf.JGT, 299, 2, 0),
    Instruction(bpf.JSET, 1, 0, 1),
    ret(Action.ERRNO, FILTER_ERRNO + 1),
    ret(Action.ALLOW),
)
NEWER = (
    # Denies native numbers with bits 4 and 5 set, and i386 calls whose third argument has a high half, so none.
    *(load(bpf.ARCH), Instruction(bpf.JEQ, AUDIT_ARCH["i386"], 4, 0)),
    *(load(bpf.NR), Instruction(bpf.AND, 0x30), Instruction(bpf.JEQ, 0x30, 0, 4), Instruction(bpf.JA, 2)),
    *(load(bpf.ARGS + 20), Instruction(bpf.JEQ, 0, 1, 0)),
    ret(Action.ERRNO, FILTER_ERRNO + 2),
    ret(Action.ALLOW),
)


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_number(guest: Guest, entry: Entry) -> None:
    """Under two filters, of every possible number, exactly those that both allow run, with ineffective arguments."""
    task = unprivileged(guest)
    filters = check_installs(task, [OLDER, NEWER])
    assert len(filters) == 2
    assert mismatching_numbers(task, filters, entry) == []


ALLOWED, DENIED = ret(Action.ALLOW), ret(Action.ERRNO, FILTER_ERRNO)


@pytest.mark.parametrize("entry", ENTRIES)
def test_beyond_the_last_call(guest: Guest, entry: Entry) -> None:
    """With only number 0 allowed, every number around and beyond the end of an architecture's calls is denied."""
    task = unprivileged(guest)
    task.install((load(bpf.NR), Instruction(bpf.JEQ, 0, 0, 1), ALLOWED, DENIED)).result()
    assert result_of(task.call(0, *ALL_ONES[entry], entry=entry)) == "ran"
    outcomes = sweep(task, range(440, NUMBERS + 1), ALL_ONES[entry], entry=entry)
    results = {nr: result_of(outcome) for nr, outcome in outcomes.items()}
    assert {nr: result for nr, result in results.items() if result != f"errno {FILTER_ERRNO}"} == {}


EDGE = 96


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    "code", [bpf.JEQ, bpf.JGE, bpf.JGT, bpf.JSET], ids=["equal", "larger-or-equal", "larger", "any-bit"]
)
def test_at_the_edge(guest: Guest, code: int, entry: Entry) -> None:
    """Each comparison is right below, at and above its constant, whichever branch leads to ALLOW."""
    for returns in ((ALLOWED, DENIED), (DENIED, ALLOWED)):
        task = unprivileged(guest)
        program = (load(bpf.NR), Instruction(code, EDGE, 0, 1), *returns)
        task.install(program).result()
        assert mismatching_numbers(task, [program], entry) == []
        kill_task(guest, task)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_older_filter_still_counts(guest: Guest, entry: Entry) -> None:
    """A call that one filter denies stays denied under another that allows everything, in either order."""
    denies = (load(bpf.NR), Instruction(bpf.JEQ, EDGE, 0, 1), DENIED, ALLOWED)
    for filters in ([denies, (ALLOWED,)], [(ALLOWED,), denies]):
        task = unprivileged(guest)
        for program in filters:
            task.install(program).result()
        assert mismatching_numbers(task, filters, entry) == []
        kill_task(guest, task)


# fmt: off
UNSIGNED = {
    # a word, what it is compared with, the action if it is larger, and if not        the result of a native call
    "an-architecture-that-is-larger":     (bpf.ARCH, 0x7FFFFFFF, DENIED,  ALLOWED,    f"errno {FILTER_ERRNO}"),
    "an-architecture-that-is-not-larger": (bpf.ARCH, 0xFFFFFFFF, DENIED,  ALLOWED,    "ran"),
    "a-number-that-is-not-larger":        (bpf.NR,   0x80000000, ALLOWED, DENIED,     f"errno {FILTER_ERRNO}"),
    "a-number-below-is-allowed":          (bpf.NR,   0x80000000, DENIED,  ALLOWED,    "ran"),
}
# fmt: on


@pytest.mark.parametrize("code", [bpf.JGT, bpf.JGE], ids=["larger", "larger-or-equal"])
def test_no_word_is_negative(guest: Guest, code: int) -> None:
    """Words from 0x80000000 on compare as large numbers, including that of the native architecture."""
    found: dict[str, tuple[object, object]] = {}
    for name, (word, k, larger, otherwise, wanted) in UNSIGNED.items():
        task = unprivileged(guest)
        task.install((load(word), Instruction(code, k, 0, 1), larger, otherwise)).result()
        found[name] = (result_of(task.call("getppid")), wanted)
    assert mismatches(found) == []
