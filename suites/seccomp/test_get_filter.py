# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading filters: PTRACE_SECCOMP_GET_FILTER and PTRACE_SECCOMP_GET_METADATA."""

from __future__ import annotations

import pytest

from guests.bpf import Action, Filter, assembled, deny, load, log, pack, policy, ret
from guests.call_arguments import InOut
from guests.guest import Guest
from guests.outcome import EACCES, EFAULT, EINVAL, ENOENT, EPERM, ESRCH, Expected, mismatches, returned
from guests.promises import breaks
from guests.syscalls.seccomp import FilterFlag
from guests.task import Task
from guests.uapi import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, Ptrace
from suites.seccomp.support.checkpoint_tracers import (
    ALLOW_ALL,
    DENY,
    capable,
    capable_in_its_own_user_namespace,
    child_of,
    filtered,
    filtered_thread,
    restore,
    stop,
    unfiltered_thread,
    without_capability,
)
from suites.seccomp.support.filtered_tasks import caller_cases, check_promises

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
FILTERS: tuple[Filter, ...] = (
    DENY,
    (load(0), load(4), load(60), ret(Action.ALLOW, 7)),
    policy(log("getuid"), deny("getgid", errno=EPERM)),
)
NOWHERE = 0x1000


def stopped(guest: Guest, *filters: Filter) -> tuple[Task, Task]:
    """A tracer with CAP_SYS_ADMIN, and its stopped tracee under these filters."""
    tracer = capable(guest)
    tracee = child_of(tracer)
    for program in filters:
        tracee.install(program).result()
    tracer.seize_and_stop(tracee)
    return tracer, tracee


@pytest.mark.requirement("seccomp.get-filter")
@restore
def test_programs_can_be_read(guest: Guest) -> None:
    """PTRACE_SECCOMP_GET_FILTER returns each filter, by its index from the oldest: its length and exact program."""
    tracer, tracee = stopped(guest, *FILTERS)
    for index, program in enumerate(FILTERS):
        assert tracer.filter_length(tracee, index) == returned(len(program))
        read = tracer.filter_program(tracee, index, len(program))
        assert read == returned(len(program))
        assert read.read() == pack(assembled(program, guest.arch), guest.init.abi)
    assert tracer.filter_length(tracee, len(FILTERS)) == ENOENT
    assert tracer.filter_length(tracee, tracer.abi.highest_bit) == ENOENT
    bad = tracer.call("ptrace", Ptrace.SECCOMP_GET_FILTER, tracee.tid, 0, NOWHERE)
    assert bad == EFAULT


@pytest.mark.requirement("seccomp.get-metadata")
@restore
def test_metadata(guest: Guest) -> None:
    """PTRACE_SECCOMP_GET_METADATA reports LOG, of all of a filter's flags."""
    tracer = capable(guest)
    tracee = child_of(tracer)
    for flags in (FilterFlag.NONE, FilterFlag.LOG, FilterFlag.SPEC_ALLOW, FilterFlag.LOG | FilterFlag.TSYNC):
        tracee.install(ALLOW_ALL, flags).result()
    tracer.seize_and_stop(tracee)
    for index, flags in enumerate((FilterFlag.NONE, FilterFlag.LOG, FilterFlag.NONE, FilterFlag.LOG)):
        reported = tracer.filter_metadata(tracee, index)
        assert reported == returned(16)
        assert tracee.abi.unpack("QQ", reported.read()) == (index, flags)


# fmt: off
METADATA: dict[str, tuple[int, int, Expected]] = {
    #                         index, size, outcome: the number of bytes returned
    "both-fields":           (0,     16,   returned(16)),
    "a-larger-buffer":       (0,     64,   returned(16)),
    "the-index-alone":       (0,     8,    returned(8)),
    "half-of-the-flags":     (0,     12,   returned(12)),
    "too-short":             (0,     7,    EINVAL),
    "nothing":               (0,     0,    EINVAL),
    "past-the-end":          (1,     16,   ENOENT),
    "far-past-the-end":      (1 << 31, 16, ENOENT),
}
# fmt: on


@pytest.mark.requirement("seccomp.get-metadata")
@restore
def test_metadata_sizes(guest: Guest) -> None:
    """The caller passes the size of the structure, which may grow; a size too small for the index is EINVAL."""
    tracer, tracee = stopped(guest, DENY)
    found: dict[str, tuple[object, object]] = {
        name: (tracer.filter_metadata(tracee, index, size), wanted)
        for name, (index, size, wanted) in METADATA.items()
    }
    found["unreadable"] = (tracer.call("ptrace", Ptrace.SECCOMP_GET_METADATA, tracee.tid, 16, NOWHERE), EFAULT)
    zeros = tracer.call("mmap", None, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0).result()
    found["unwritable"] = (tracer.call("ptrace", Ptrace.SECCOMP_GET_METADATA, tracee.tid, 16, zeros), EFAULT)
    assert mismatches(found) == []


@pytest.mark.needs("64BIT")
@pytest.mark.requirement("seccomp.get-metadata")
@restore
def test_metadata_of_a_large_index(guest: Guest) -> None:
    """PTRACE_SECCOMP_GET_METADATA looks at all bits of the index."""
    tracer, tracee = stopped(guest, DENY)
    assert tracer.filter_metadata(tracee, 1 << 40) == ENOENT


# fmt: off
READERS = {
    # the tracer is ...                            a filter's length           its metadata
    "with-cap-sys-admin":    (capable,             returned(len(DENY)),        returned(16)),
    "with-every-other-capability":     (without_capability,  EACCES,                     EACCES),
    "in-its-own-user-namespace": (capable_in_its_own_user_namespace, EACCES,   EACCES),
    "filtered-itself":       (filtered,            EACCES,                     EACCES),
    "filtered-thread":       (filtered_thread,     EACCES,                     EACCES),
    "unfiltered-thread":     (unfiltered_thread,   returned(len(DENY)),        returned(16)),
}
# fmt: on


@pytest.mark.requirement("seccomp.get-filter", "seccomp.get-metadata")
@restore
@pytest.mark.parametrize("who", caller_cases(READERS))
def test_who_may_read(guest: Guest, who: str) -> None:
    """Reading filters requires CAP_SYS_ADMIN, and a tracer that is not filtered itself."""
    build, length, metadata = READERS[who]
    tracer = build(guest)
    tracee = child_of(tracer)
    tracee.install(DENY).result()
    tracer.seize_and_stop(tracee)
    inherited = int(who in ("filtered-itself", "filtered-thread"))
    with breaks("seccomp.get-filter"):
        assert tracer.filter_length(tracee, inherited) == length
    with breaks("seccomp.get-metadata"):
        assert tracer.filter_metadata(tracee, inherited) == metadata


@pytest.mark.requirement("seccomp.get-filter", "seccomp.get-metadata")
@restore
def test_filters_of_a_thread(guest: Guest) -> None:
    """A thread's filters are its own, and not those of the first thread of its process."""
    tracer = capable(guest)
    leader = child_of(tracer, "leader")
    thread = leader.thread("thread")
    leader.install(ALLOW_ALL).result()
    thread.install(DENY, FilterFlag.LOG).result()
    for tracee, length, flags in ((leader, len(ALLOW_ALL), FilterFlag.NONE), (thread, len(DENY), FilterFlag.LOG)):
        tracer.seize_and_stop(tracee)
        with breaks("seccomp.get-filter"):
            assert tracer.filter_length(tracee, 0) == returned(length)
        with breaks("seccomp.get-metadata"):
            reported = tracer.filter_metadata(tracee, 0)
            assert reported == returned(16)
            assert tracee.abi.unpack("QQ", reported.read()) == (0, flags)


@pytest.mark.requirement("seccomp.get-filter", "seccomp.get-metadata")
@restore
def test_whose_filters_may_be_read(guest: Guest) -> None:
    """Only a stopped tracee's filters can be read: EINVAL without filters, ESRCH if not traced or not stopped."""
    tracer = capable(guest)
    lengths: dict[str, tuple[object, object]] = {}
    metadata: dict[str, tuple[object, object]] = {}

    def ask(name: str, tracee: Task, wanted: Expected) -> None:
        lengths[name] = (tracer.filter_length(tracee, 0), wanted)
        metadata[name] = (tracer.filter_metadata(tracee, 0), wanted)

    for name in ("unfiltered", "strict"):
        tracee = child_of(tracer, name)
        if name == "strict":
            tracee.enter_strict_mode().result()
        tracer.seize_and_stop(tracee)
        ask(name, tracee, EINVAL)
    free = child_of(tracer, "free")
    free.install(DENY).result()
    ask("not traced", free, ESRCH)
    tracer.seize(free).result()
    ask("not stopped", free, ESRCH)
    stop(tracer, free)
    lengths["stopped"] = (tracer.filter_length(free, 0), returned(len(DENY)))
    metadata["stopped"] = (tracer.filter_metadata(free, 0), returned(16))
    check_promises({"seccomp.get-filter": lengths, "seccomp.get-metadata": metadata})


@pytest.mark.requirement("seccomp.get-metadata")
@restore
def test_the_rest_of_a_short_buffer(guest: Guest) -> None:
    """Only as many bytes are written as the caller says that its buffer has."""
    tracer, tracee = stopped(guest, DENY)
    found: dict[str, tuple[object, object]] = {}
    for size in (8, 12, 16):
        buffer = InOut(bytes(8) + b"\xa5" * 8)
        done = tracer.call("ptrace", Ptrace.SECCOMP_GET_METADATA, tracee.tid, size, buffer)
        found[f"{size} bytes"] = (done, returned(size))
        found[f"{size} bytes, and the rest"] = (done.read(), bytes(size) + b"\xa5" * (16 - size))
    assert mismatches(found) == []
