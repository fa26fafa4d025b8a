# SPDX-License-Identifier: GPL-2.0-or-later
"""How long filters may be: one alone, and all of a task together."""

from __future__ import annotations

import pytest

from guests.bpf import Action, Program, pack, ret
from guests.guest import Guest
from guests.outcome import EINVAL, ENOMEM, OK, Outcome, mismatches, returned
from guests.promises import breaks
from guests.syscalls.seccomp import FilterFlag
from guests.task import Task
from guests.uapi import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE
from suites.seccomp.support.filtered_tasks import status, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
ALLOW_ALL: Program = (ret(Action.ALLOW),)


class LongFilters:
    """Filters of any length in a task's memory, which its children inherit: loads of 0, with a return at the end."""

    def __init__(self, task: Task) -> None:
        protection, sharing = PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
        start = task.call("mmap", None, 0x8000, protection, sharing, -1, 0).result()
        # Eight zero bytes are a load of the constant 0.
        task.copy(start + 0x7FF8, task.store(pack(ALLOW_ALL, task.abi)), 8).result()
        self._end = start + 0x8000

    def install(self, task: Task, length: int, flags: FilterFlag = FilterFlag.NONE) -> Outcome:
        return task.install_stored(self._end - 8 * min(length, 4096), length, flags)


LENGTHS = {1: OK, 2: OK, 4095: OK, 4096: OK, 4097: EINVAL, 0x7FFF: EINVAL, 0xFFFF: EINVAL}


@pytest.mark.requirement("seccomp.length")
def test_length(guest: Guest) -> None:
    """A filter has 1 to 4096 instructions; more are EINVAL, and install nothing."""
    parent = unprivileged(guest)
    long = LongFilters(parent)
    found: dict[str, tuple[object, object]] = {}
    for length, wanted in LENGTHS.items():
        task = parent.spawn(f"of-{length}")
        found[f"{length}"] = (long.install(task, length), wanted)
        found[f"{length}, afterwards"] = (status(guest, task)["Seccomp"], "2" if wanted == OK else "0")
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.length")
def test_empty_filter(guest: Guest) -> None:
    """A filter without instructions fails with EINVAL."""
    task = unprivileged(guest)
    assert task.install(()) == EINVAL
    assert task.install_stored(task.store(pack(ALLOW_ALL, task.abi)), 0) == EINVAL


# A filter of n such instructions counts n + 4 (translation lengthens its beginning and end), and 4 more when others
# follow.
SEVEN = 7 * (4096 + 4 + 4)
LEFT = 32768 - SEVEN - 4
# fmt: off
REMAINING_LENGTHS = {
    # after seven filters of 4096 instructions, the lengths of further filters
    "exactly-full":       ([LEFT],        OK),
    "one-too-many":       ([LEFT + 1],    ENOMEM),
    "much-too-many":      ([4096],        ENOMEM),
    "in-two-parts":       ([2000, 2028],  OK),
    "in-two-and-one-more": ([2000, 2029], ENOMEM),
    "full-but-for-nine":  ([4027, 1],     OK),
    "full-but-for-eight": ([4028, 1],     ENOMEM),
    "nothing-left":       ([LEFT, 1],     ENOMEM),
}
# fmt: on


def check_nearly_full(guest: Guest) -> tuple[Task, LongFilters]:
    """A task to which seven long filters, which it may install, have left little room."""
    task = unprivileged(guest)
    long = LongFilters(task)
    for _ in range(7):
        assert long.install(task, 4096) == OK
    return task, long


@pytest.mark.requirement("seccomp.total-length")
def test_total_length(guest: Guest) -> None:
    """A task's filters have at most 32768 instructions, as translated, plus 4 for each filter already installed.

    Children start from their parent's count, each separately.
    """
    parent, long = check_nearly_full(guest)
    found: dict[str, tuple[object, object]] = {}
    for name, (lengths, wanted) in REMAINING_LENGTHS.items():
        task = parent.spawn(name[:15])
        for length in lengths[:-1]:
            assert long.install(task, length) == OK, name
        found[name] = (long.install(task, lengths[-1]), wanted)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.total-length", "seccomp.tsync")
def test_total_length_of_threads(guest: Guest) -> None:
    """TSYNC obeys the limit, too: a filter that does not fit fails, and one that fits reaches every thread."""
    with breaks("seccomp.total-length"):
        task, long = check_nearly_full(guest)
    thread = task.thread("thread")
    with breaks("seccomp.total-length"):
        assert long.install(task, 4037, FilterFlag.TSYNC) == ENOMEM
        assert long.install(task, 4036, FilterFlag.TSYNC) == returned(0)
    with breaks("seccomp.tsync"):
        assert [status(guest, one)["Seccomp_filters"] for one in (task, thread)] == ["8", "8"]


@pytest.mark.requirement("seccomp.total-length")
def test_a_rejected_filter_does_not_count(guest: Guest) -> None:
    """A filter rejected for its length does not count towards the limit."""
    task, long = check_nearly_full(guest)
    assert long.install(task, 2000) == OK
    assert long.install(task, 2029) == ENOMEM
    assert long.install(task, 2028) == OK
