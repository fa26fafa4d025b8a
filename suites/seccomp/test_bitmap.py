# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters mean what classic BPF means, although a kernel may compile them, and judge calls beforehand (since 5.11).

The reference is guests/bpf_interpreter.py.  Filters answer with errnos that are no call's own, so that an answer
tells whether a filter spoke, and what; where none did, the call has run, hence only harmless calls are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from guests import bpf
from guests.bpf import AUDIT_ARCH, Action, Instruction, Program, load, ret
from guests.bpf_interpreter import SeccompData, constant_run, run_all
from guests.guest import Guest
from guests.numbers import NR_X32, Signal, number
from guests.outcome import OK, Outcome
from guests.seccomp import SET_MODE_FILTER
from guests.sweep import sweep
from guests.task import Task
from guests.wire import Entry, data_address
from suites.seccomp.programs import (
    ARGUMENTS,
    COMPAT,
    MARK,
    MISSING,
    NATIVE,
    WORDS,
    arithmetical,
    cacheable,
    listing,
)
from suites.seccomp.scenery import ENTRIES, mismatches, unprivileged

pytestmark = [pytest.mark.needs("SECCOMP_FILTER"), pytest.mark.requirement("seccomp.meaning")]

ARCHES = {Entry.NATIVE: AUDIT_ARCH["x86_64"], Entry.INT80: AUDIT_ARCH["i386"]}
NUMBERS = 512
"""More than any architecture has calls."""
ALL_ONES = {Entry.NATIVE: ((1 << 64) - 1,) * 6, Entry.INT80: (0xFFFFFFFF,) * 6}

# Nothing is drawn by chance: the same filters in every run.  No shrinking: each try costs the guest a task.
seeded = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# What runs a filter: net.core.bpf_jit_enable and bpf_jit_harden (Documentation/admin-guide/sysctl/net.rst).
by_each_runner = pytest.mark.parametrize(
    "runner",
    [
        pytest.param((0, 0), id="interpreted", marks=pytest.mark.lacks("BPF_JIT_ALWAYS_ON")),
        pytest.param((1, 0), id="compiled", marks=pytest.mark.needs("BPF_JIT")),
        pytest.param((1, 2), id="compiled-with-blinded-constants", marks=pytest.mark.needs("BPF_JIT")),
    ],
)

PROBES = (335, 336)
"""uretprobe (since 6.14) and uprobe (since 6.18): for the kernel's own code in a program, whatever a filter says, and
deadly from elsewhere."""

UNCALLABLE = {
    # What ends, forks or suspends its caller even with arguments that are all ones.
    Entry.NATIVE: {number(name) for name in ("exit", "exit_group", "fork", "vfork", "pause", "rt_sigreturn")},
    Entry.INT80: {
        number(name, "i386")
        for name in (
            *("exit", "exit_group", "fork", "vfork", "pause"),
            *("sigreturn", "rt_sigreturn", "sigsuspend"),
        )
    },
}


def filters_are_run_by(guest: Guest, runner: tuple[int, int]) -> None:
    """Those that are installed from here on.  A kernel without the compiler has an interpreter and no sysctl."""
    if guest.kernel.config.enabled("BPF_JIT"):
        for name, value in zip(("enable", "harden"), runner, strict=True):
            guest.set_sysctl(f"net.core.bpf_jit_{name}", value)


def entries(guest: Guest) -> list[Entry]:
    return [Entry.NATIVE] + ([Entry.INT80] if guest.kernel.config.enabled("IA32_EMULATION") else [])


def said(outcome: Outcome) -> str:
    """What a filter answered, or that the call ran."""
    return f"errno {outcome.errno}" if outcome.errno >= MARK else "ran"


def meant(filters: Sequence[Program], nr: int, entry: Entry, arguments: tuple[int, ...]) -> str:
    action, value = run_all(filters, SeccompData(nr, ARCHES[entry], args=arguments))
    return f"errno {value}" if action is Action.ERRNO else "ran"


def stacked(task: Task, filters: Sequence[Program]) -> list[Program]:
    """Install as many as the earlier ones let the task install, which is judged too; those that are there."""
    there: list[Program] = []
    for program in filters:
        done = task.install(program)
        pointers = (SET_MODE_FILTER, 0, data_address(task.slot), 0, 0, 0)
        assert said(done) == meant(there, number("seccomp"), Entry.NATIVE, pointers)
        if done != OK:
            break
        there.append(program)
    return there


def cached(guest: Guest, task: Task) -> dict[Entry, dict[int, bool]]:
    """/proc/PID/seccomp_cache: which calls the kernel allows without asking the filters."""
    found: dict[Entry, dict[int, bool]] = {Entry.NATIVE: {}, Entry.INT80: {}}
    for line in guest.read_file(f"/proc/{task.pid}/seccomp_cache").splitlines():
        arch, nr, word = line.split()
        found[{"x86_64": Entry.NATIVE, "ia32": Entry.INT80}[arch]][int(nr)] = {"ALLOW": True, "FILTER": False}[word]
    return found


def disagreements(filters: Sequence[Program], found: dict[Entry, dict[int, bool]]) -> Iterator[str]:
    """Calls that are in the cache and should not be, or should be and are not."""
    for entry, calls in found.items():
        for nr, allowed in calls.items():
            if entry is Entry.NATIVE and nr in PROBES:
                continue
            wanted = all(constant_run(program, nr, ARCHES[entry]) == Action.ALLOW for program in filters)
            if allowed != wanted:
                yield f"{entry.name} {nr} is {'' if allowed else 'not '}in the cache"


Call = tuple[int, tuple[int, ...]]
"""A number and its arguments."""


def probes(entry: Entry) -> st.SearchStrategy[list[Call]]:
    """Harmless calls with any arguments, of 32 bits for a 32-bit call."""
    x32 = tuple(NR_X32 | nr for nr in NATIVE)
    numbers, words = {
        Entry.NATIVE: (NATIVE + x32 + MISSING, ARGUMENTS),
        Entry.INT80: (COMPAT + MISSING, WORDS),
    }[entry]
    call = st.tuples(st.sampled_from(numbers), st.tuples(*[st.sampled_from(words)] * 6))
    return st.lists(call, min_size=10, max_size=10)


DRAWN = st.fixed_dictionaries({entry: probes(entry) for entry in ARCHES})


def wrong_numbers(task: Task, filters: Sequence[Program], entry: Entry) -> list[str]:
    """Make every call there may be, with arguments that come to nothing; those that are not what the filters mean."""
    numbers = range(NUMBERS)
    meanings = {nr: meant(filters, nr, entry, ALL_ONES[entry]) for nr in numbers}
    left_out = {nr for nr in UNCALLABLE[entry] if meanings[nr] == "ran"}
    left_out |= set(PROBES) if entry is Entry.NATIVE else set()
    came = sweep(task, numbers, ALL_ONES[entry], leaving_out=left_out, entry=entry)
    return [
        f"{entry.name} {nr}: {said(outcome)}, expected {meanings[nr]}"
        for nr, outcome in came.items()
        if said(outcome) != meanings[nr]
    ]


def wrong_calls(task: Task, filters: Sequence[Program], entry: Entry, calls: Sequence[Call]) -> list[str]:
    """Make these calls; those that are not what the filters mean."""
    wrong = []
    for nr, arguments in calls:
        came, wanted = said(task.call(nr, *arguments, entry=entry)), meant(filters, nr, entry, arguments)
        if came != wanted:
            wrong.append(f"{entry.name} {nr:#x} {arguments}: {came}, expected {wanted}")
    return wrong


def check_all(guest: Guest, task: Task, filters: Sequence[Program], drawn: dict[Entry, list[Call]]) -> None:
    """Every number by each entry, and the calls that were drawn."""
    for entry in entries(guest):
        assert wrong_numbers(task, filters, entry) == []
        assert wrong_calls(task, filters, entry, drawn[entry]) == []


def done_with(guest: Guest, task: Task) -> None:
    """A task that waits quietly takes its share of the processor, and there will be many more."""
    guest.init.kill(task, Signal.KILL).result()


@by_each_runner
def test_generated_filters(guest: Guest, runner: tuple[int, int]) -> None:
    """One to three generated filters of what may be judged beforehand: every call comes to what they mean."""
    filters_are_run_by(guest, runner)

    @seeded
    @given(st.lists(cacheable(), min_size=1, max_size=3), DRAWN)
    def check(filters: list[Program], drawn: dict[Entry, list[Call]]) -> None:
        task = unprivileged(guest)
        there = stacked(task, filters)
        note("\n\n".join(map(listing, there)))
        check_all(guest, task, there, drawn)
        done_with(guest, task)

    check()


@pytest.mark.needs("SECCOMP_CACHE_DEBUG")
@pytest.mark.requirement("seccomp.cache")
def test_the_cache_of_generated_filters(guest: Guest) -> None:
    """What the kernel says that it has judged beforehand is just what it may, for every number there is."""

    @settings(seeded, max_examples=30)
    @given(st.lists(cacheable(), min_size=1, max_size=3))
    def check(filters: list[Program]) -> None:
        task = unprivileged(guest)
        there = stacked(task, filters)
        note("\n\n".join(map(listing, there)))
        found = cached(guest, task)
        assert list(disagreements(there, found)) == []
        assert len(found[Entry.NATIVE]) > 400
        assert bool(found[Entry.INT80]) == (len(entries(guest)) > 1)
        done_with(guest, task)

    check()


@by_each_runner
def test_generated_arithmetic(guest: Guest, runner: tuple[int, int]) -> None:
    """Generated filters of all instructions: their verdict is the reference's, computed from number and arguments."""
    filters_are_run_by(guest, runner)

    @seeded
    @given(arithmetical(), DRAWN)
    def check(program: Program, drawn: dict[Entry, list[Call]]) -> None:
        task = unprivileged(guest)
        note(listing(program))
        task.install(program).result()
        check_all(guest, task, [program], drawn)
        done_with(guest, task)

    check()


# fmt: off
BY_THE_INDEX: dict[str, tuple[int, tuple[int, int], int]] = {
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


@by_each_runner
def test_computed_by_the_index(guest: Guest, runner: tuple[int, int]) -> None:
    """The whole result of what filters do with two words of a call, neither of which is signed."""
    filters_are_run_by(guest, runner)
    found: dict[str, tuple[object, object]] = {}
    for name, (code, (a, x), result) in BY_THE_INDEX.items():
        task = unprivileged(guest)
        compute = (load(bpf.ARGS + 8), Instruction(bpf.TAX), load(bpf.ARGS), Instruction(code | bpf.X))
        wanted = (Instruction(bpf.ST, 0), load(bpf.ARGS + 16), Instruction(bpf.TAX), Instruction(bpf.LD_MEM, 0))
        judge = (Instruction(bpf.JEQ | bpf.X, 0, 0, 1), DENIED, ALLOWED)
        task.install(
            (load(bpf.NR), Instruction(bpf.JEQ, NATIVE[0], 1, 0), ALLOWED, *compute, *wanted, *judge)
        ).result()
        found[name] = (said(task.call(NATIVE[0], a, x, result)), f"errno {MARK}")
        found[f"{name}, and nothing else"] = (said(task.call(NATIVE[0], a, x, result ^ 1)), "ran")
    assert mismatches(found) == []


WORDS_OF_MEMORY = 16


@by_each_runner
def test_every_word_of_memory(guest: Guest, runner: tuple[int, int]) -> None:
    """Each keeps what was written to it, whatever was written to the others since."""
    filters_are_run_by(guest, runner)
    task = unprivileged(guest)
    written = [(Instruction(bpf.LD_IMM, 0x1000 + at), Instruction(bpf.ST, at)) for at in range(WORDS_OF_MEMORY)]
    read = [
        (Instruction(bpf.LD_MEM, at), Instruction(bpf.JEQ, 0x1000 + at, 1, 0), ret(Action.ERRNO, MARK + 1 + at))
        for at in range(WORDS_OF_MEMORY)
    ]
    body = (instruction for group in (*written, *read) for instruction in group)
    task.install((load(bpf.NR), Instruction(bpf.JEQ, NATIVE[0], 1, 0), ALLOWED, *body, DENIED)).result()
    assert said(task.call(NATIVE[0])) == f"errno {MARK}"


OLDER = (
    # Odd numbers from 100 to 299, of either architecture, and 39, which is getpid or mkdir.
    load(bpf.NR),
    Instruction(bpf.JEQ, 39, 3, 0),
    Instruction(bpf.JGE, 100, 0, 3),
    Instruction(bpf.JGT, 299, 2, 0),
    Instruction(bpf.JSET, 1, 0, 1),
    ret(Action.ERRNO, MARK + 1),
    ret(Action.ALLOW),
)
NEWER = (
    # Native: what has bits 4 and 5 set.  i386: where the third argument's high half is set, so nothing.
    *(load(bpf.ARCH), Instruction(bpf.JEQ, AUDIT_ARCH["i386"], 4, 0)),
    *(load(bpf.NR), Instruction(bpf.AND, 0x30), Instruction(bpf.JEQ, 0x30, 0, 4), Instruction(bpf.JA, 2)),
    *(load(bpf.ARGS + 20), Instruction(bpf.JEQ, 0, 1, 0)),
    ret(Action.ERRNO, MARK + 2),
    ret(Action.ALLOW),
)


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_number(guest: Guest, entry: Entry) -> None:
    """Two filters, and every number there may be: those that they allow run, with arguments that come to nothing."""
    task = unprivileged(guest)
    filters = stacked(task, [OLDER, NEWER])
    assert len(filters) == 2
    assert wrong_numbers(task, filters, entry) == []


ALLOWED, DENIED = ret(Action.ALLOW), ret(Action.ERRNO, MARK)


@pytest.mark.parametrize("entry", ENTRIES)
def test_behind_the_last_call(guest: Guest, entry: Entry) -> None:
    """Number 0 alone is allowed: where an architecture's calls end, and behind, every number is denied as before."""
    task = unprivileged(guest)
    task.install((load(bpf.NR), Instruction(bpf.JEQ, 0, 0, 1), ALLOWED, DENIED)).result()
    assert said(task.call(0, *ALL_ONES[entry], entry=entry)) == "ran"
    came = sweep(task, range(440, NUMBERS + 1), ALL_ONES[entry], entry=entry)
    assert {nr: said(outcome) for nr, outcome in came.items() if said(outcome) != f"errno {MARK}"} == {}


EDGE = 96


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(
    "code", [bpf.JEQ, bpf.JGE, bpf.JGT, bpf.JSET], ids=["equal", "larger-or-equal", "larger", "any-bit"]
)
def test_at_the_edge(guest: Guest, code: int, entry: Entry) -> None:
    """Each comparison with a number, below it, at it and above, whichever way leads to ALLOW."""
    for verdicts in ((ALLOWED, DENIED), (DENIED, ALLOWED)):
        task = unprivileged(guest)
        program = (load(bpf.NR), Instruction(code, EDGE, 0, 1), *verdicts)
        task.install(program).result()
        assert wrong_numbers(task, [program], entry) == []
        done_with(guest, task)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_older_filter_is_not_forgotten(guest: Guest, entry: Entry) -> None:
    """What it denies stays denied under a newer one that allows everything, and the other way round."""
    denies = (load(bpf.NR), Instruction(bpf.JEQ, EDGE, 0, 1), DENIED, ALLOWED)
    for filters in ([denies, (ALLOWED,)], [(ALLOWED,), denies]):
        task = unprivileged(guest)
        for program in filters:
            task.install(program).result()
        assert wrong_numbers(task, filters, entry) == []
        done_with(guest, task)


# fmt: off
LARGE = {
    # a word, what it is compared with, the verdict if it is larger, and if not       what comes of a native call
    "an-architecture-that-is-larger":     (bpf.ARCH, 0x7FFFFFFF, DENIED,  ALLOWED,    f"errno {MARK}"),
    "an-architecture-that-is-not-larger": (bpf.ARCH, 0xFFFFFFFF, DENIED,  ALLOWED,    "ran"),
    "a-number-that-is-not-larger":        (bpf.NR,   0x80000000, ALLOWED, DENIED,     f"errno {MARK}"),
    "nor-is-it-to-be-denied":             (bpf.NR,   0x80000000, DENIED,  ALLOWED,    "ran"),
}
# fmt: on


@pytest.mark.parametrize("code", [bpf.JGT, bpf.JGE], ids=["larger", "larger-or-equal"])
def test_no_word_is_negative(guest: Guest, code: int) -> None:
    """Words from 0x80000000 on are large numbers, that of the native architecture among them."""
    found: dict[str, tuple[object, object]] = {}
    for name, (word, k, larger, otherwise, wanted) in LARGE.items():
        task = unprivileged(guest)
        task.install((load(word), Instruction(code, k, 0, 1), larger, otherwise)).result()
        found[name] = (said(task.call("getppid")), wanted)
    assert mismatches(found) == []
