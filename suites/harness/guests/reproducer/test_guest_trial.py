# SPDX-License-Identifier: GPL-2.0-or-later
"""A reproducer's run in a guest, and kernels that go down meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.errors import BootCrashed, GuestBroke
from guests.guest import Guest
from guests.outcome import Outcome
from guests.protocol.wire import State
from guests.reproducer import guest_trial
from guests.reproducer.guest_trial import PROMISE_KEPT, ReproducerRun

STEPS = ("upload", "root", "open", "call", "close a file", "store", "begin", "wait", "outcome", "read", "complaint")
"""What a trial does with a guest, in this order."""


class BreakingGuest:
    """A guest, a task of it, and the task's execve(); its kernel goes down at one of the steps."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._reached: list[str] = []
        self.ended = False

    def _reach(self, step: str) -> None:
        if step not in self._reached:
            self._reached.append(step)
        assert tuple(self._reached) == STEPS[: len(self._reached)]
        if step == self._step:
            raise GuestBroke(f"the kernel went down during {step}")

    # Methods of the guest

    def upload(self, *_: object) -> None:
        self._reach("upload")

    def root(self, _: str) -> BreakingGuest:
        self._reach("root")
        return self

    def wait_until(self, condition: Callable[[], bool], *_: object) -> None:
        assert condition()
        self._reach("wait")

    def read_file(self, _: str) -> str:
        self._reach("read")
        return "line 3: so\n"

    def complaint(self) -> str:
        self._reach("complaint")
        return ""

    def console(self) -> str:
        return "a line\nanother"

    # Methods of the guest and of the task

    def close(self, descriptor: int = -1) -> Outcome:
        if descriptor < 0:
            self.ended = True
        else:
            self._reach("close a file")
        return Outcome(State.RETURNED, 0, "close")

    # Methods of the task

    def open(self, *_: object) -> Outcome:
        self._reach("open")
        return Outcome(State.RETURNED, 7, "open")

    def call(self, *_: object) -> Outcome:
        self._reach("call")
        return Outcome(State.RETURNED, 0, "dup3")

    def store_words(self, *_: object) -> int:
        self._reach("store")
        return 0x1000

    def begin(self, *_: object, shown: str) -> BreakingGuest:  # noqa: ARG002
        self._reach("begin")
        return self

    # Methods of the execve()

    def finished(self) -> bool:
        return True

    def outcome(self) -> Outcome:
        self._reach("outcome")
        return Outcome(State.DIED, 0, "execve")


def tried(breaking: BreakingGuest) -> ReproducerRun:
    guest: Guest = breaking  # type: ignore[assignment]
    found = guest_trial.run(lambda: guest, b"")
    assert breaking.ended
    return found


def test_a_kernel_that_stays_up() -> None:
    assert tried(BreakingGuest("")) == ReproducerRun(PROMISE_KEPT, "line 3: so\n")


@pytest.mark.parametrize("step", STEPS)
def test_a_kernel_that_goes_down(step: str) -> None:
    """There is no exit status, and what is known is told, whenever that happens."""
    printed = "line 3: so\n" if step == "complaint" else ""
    assert tried(BreakingGuest(step)) == ReproducerRun(
        None, f"{printed}the kernel went down during {step}\na line\nanother\n"
    )


def test_a_kernel_that_goes_down_in_its_boot() -> None:
    def take() -> Guest:
        raise BootCrashed("the kernel crashed before its init ran", evidence={})

    assert str(guest_trial.run(take, b"")) == (
        "the kernel crashed before its init ran\nno exit status: it did not end as it should\n"
    )
