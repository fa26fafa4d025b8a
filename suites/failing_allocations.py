# SPDX-License-Identifier: GPL-2.0-or-later
"""Allocations of kernel memory that fail, one after the other (Documentation/fault-injection/fault-injection.rst).

    failing = FailingAllocations(guest)
    for task, done in failing.one_after_another(prepare, attempt):
        ...                             # the first allocation has failed, then the second ...

/proc/PID/task/TID/fail-nth makes an allocation of that task fail, counted from when it is written.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.task import Task
from kconfigs.build.gcov_notes import DEBUGFS

MARKS = (
    pytest.mark.needs("FAILSLAB", "FAULT_INJECTION_DEBUG_FS", "DEBUG_FS_ALLOW_ALL"),
    pytest.mark.own_machine("it changes which allocations may fail"),
)
"""What the tests need, for pytestmark."""

MOST = 300
"""No call of these tests allocates more often."""

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., None])


class FailingAllocations:
    """Makes allocations of slab memory fail, also those that may wait for memory, and without a word in the log."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        guest.init.mount("debugfs", DEBUGFS, "debugfs").result()
        for name, value in {"ignore-gfp-wait": "N", "verbose": "0"}.items():
            guest.write_file(f"{DEBUGFS}/failslab/{name}", value).result()

    def one_after_another(
        self, prepare: Callable[[], Task], attempt: Callable[[Task], T]
    ) -> Iterator[tuple[Task, T]]:
        """Attempts of which the first allocation fails, then the second, up to one that makes no more: the control.

        `prepare` returns the task whose allocations count, `attempt` what has come of it.  SetupFailed if there is
        nothing to fail.
        """
        for number in itertools.count(1):
            task = prepare()
            done, failed = self.attempt(task, number, attempt)
            yield task, done
            if not failed:
                require(number > 1, f"{done!r} has allocated nothing")
                return
            require(number < MOST, f"{done!r} has allocated {MOST} times")

    def attempt(self, task: Task, number: int, attempt: Callable[[Task], T]) -> tuple[T, bool]:
        """The outcome of an attempt of which one allocation fails, by its number, and whether it has failed."""
        file = f"/proc/{task.pid}/task/{task.tid}/fail-nth"
        self._guest.write_file(file, str(number)).result()
        done = attempt(task)
        left = int(self._guest.read_file(file))
        self._guest.write_file(file, "0").result()
        return done, left == 0


def with_failing_allocations(test: F) -> F:
    """The marks, as a decorator of a single test."""
    for mark in MARKS:
        test = mark(test)
    return test
