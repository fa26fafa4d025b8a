# SPDX-License-Identifier: GPL-2.0-or-later
"""The bitmap of calls that a kernel allows in advance (since 5.11), which changes no result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from guests import bpf
from guests.bpf import AUDIT_ARCH, Action, Instruction, Program, load, ret
from guests.guest import Guest
from guests.promises import breaks
from guests.protocol.wire import Entry
from guests.syscall_sweep import sweep
from guests.task import Task
from suites.seccomp.support.bpf_interpreter import constant_result
from suites.seccomp.support.filter_results import (
    ALL_ONES,
    ALLOWED,
    DENIED,
    NUMBERS,
    abi_of,
    check_installs,
    entries,
    kill_task,
    mismatching_numbers,
    probe_calls,
    result_of,
    seeded,
)
from suites.seccomp.support.filtered_tasks import ENTRIES, unprivileged
from suites.seccomp.support.generated_filters import FILTER_ERRNO, cacheable_filters, listing

pytestmark = [pytest.mark.needs("SECCOMP_FILTER"), pytest.mark.requirement("seccomp.bpf-semantics")]


CACHED = {
    **dict.fromkeys(("x86_64", "aarch64", "riscv64", "ppc64le", "s390x"), Entry.NATIVE),
    "ia32": Entry.INT80,
    **dict.fromkeys(("arm", "ppcle", "s390"), None),
}
"""The names of architectures in the file (SECCOMP_ARCH_*_NAME in asm/seccomp.h); None if we have no such entry."""
OWN = {"i386": "ia32"}
"""That of an architecture's own calls, if it is not its name."""


def cached(guest: Guest, task: Task) -> dict[Entry, dict[int, bool]]:
    """/proc/PID/seccomp_cache: the calls that the kernel allows without running the filters."""
    found: dict[Entry, dict[int, bool]] = {Entry.NATIVE: {}, Entry.INT80: {}}
    for line in guest.read_file(f"/proc/{task.pid}/seccomp_cache").splitlines():
        arch, nr, word = line.split()
        own = arch == OWN.get(guest.arch, guest.arch)
        if (entry := Entry.NATIVE if own else CACHED[arch]) is not None:
            found[entry][int(nr)] = {"ALLOW": True, "FILTER": False}[word]
    return found


def cache_mismatches(arch: str, filters: Sequence[Program], found: dict[Entry, dict[int, bool]]) -> Iterator[str]:
    """Calls that are in the cache but should not be, and calls that should be but are not."""
    for entry, calls in found.items():
        audit_arch = AUDIT_ARCH[abi_of(entry, arch)]
        for nr, allowed in calls.items():
            if nr in probe_calls(entry, arch):
                continue
            wanted = all(constant_result(program, nr, audit_arch) == Action.ALLOW for program in filters)
            if allowed != wanted:
                yield f"{entry.name} {nr} is {'' if allowed else 'not '}in the cache"


@pytest.mark.needs("SECCOMP_CACHE_DEBUG")
@pytest.mark.requirement("seccomp.cache", "seccomp.bpf-semantics")
def test_the_cache_of_generated_filters(guest: Guest) -> None:
    """For every number, the kernel reports a call as decided in advance if and only if the filters permit that."""

    @settings(seeded, max_examples=30)
    @given(st.lists(cacheable_filters(guest.arch), min_size=1, max_size=3))
    def check(filters: list[Program]) -> None:
        task = unprivileged(guest)
        with breaks("seccomp.bpf-semantics"):
            installed = check_installs(task, filters)
        note("\n\n".join(map(listing, installed)))
        found = cached(guest, task)
        with breaks("seccomp.cache"):
            assert list(cache_mismatches(guest.arch, installed, found)) == []
            assert len(found[Entry.NATIVE]) > 400
            assert bool(found[Entry.INT80]) == (len(entries(guest)) > 1)
        kill_task(guest, task)

    check()


OLDER = (
    # Denies odd numbers from 100 to 275, of either architecture, and 39, which is getpid or mkdir.  Installing needs
    # seccomp(), which is 277 on arm64.
    load(bpf.NR),
    Instruction(bpf.JEQ, 39, 3, 0),
    Instruction(bpf.JGE, 100, 0, 3),
    Instruction(bpf.JGT, 275, 2, 0),
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
