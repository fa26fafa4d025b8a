# SPDX-License-Identifier: GPL-2.0-or-later
"""The time limit of a test: when time runs out, what does not count, and how it is scaled."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from time import monotonic

import pytest

from guests import time_limit
from guests.time_limit import OutOfTime, TimeLimit
from guests.vm.host_time import HEARTBEAT
from reports.judgement.verdict import reason_of

SHORT_S = 0.02


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine is idle, and the limit of the test itself continues afterwards."""
    monkeypatch.setattr(time_limit, "load", lambda: 1.0)
    monkeypatch.setattr(time_limit, "EMULATED", 1.0)
    monkeypatch.setattr(time_limit, "CLEAN_UP_S", SHORT_S)
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    yield
    signal.setitimer(signal.ITIMER_REAL, left)


def limit(seconds: float = SHORT_S) -> TimeLimit:
    made = TimeLimit(seconds)
    made.begin()
    return made


def spin(seconds: float = 60.0) -> None:
    """Compute for so long."""
    end = monotonic() + seconds
    while monotonic() < end:
        pass


def test_a_loop_is_ended_and_its_place_is_evidence() -> None:
    former = signal.getsignal(signal.SIGALRM)
    with pytest.raises(OutOfTime, match="did not end within 0 s") as caught, limit().applied():
        spin()
    assert (caught.value.verdict, caught.value.exit_status) == ("error", 3)
    assert "in spin" in caught.value.evidence["where the test was"]
    assert "--test-timeout" in reason_of(caught.value)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == former


def test_code_that_copes_with_any_exception_is_ended_too() -> None:
    def cope() -> None:
        while True:
            with contextlib.suppress(Exception):
                spin()

    with pytest.raises(OutOfTime), limit().applied():
        cope()


def test_code_that_copes_with_everything_is_interrupted_again() -> None:
    times = 0
    with limit().applied():
        while times < 3:
            try:
                spin()
            except OutOfTime:
                times += 1


def test_a_wait_in_the_host_s_kernel_is_ended() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(OutOfTime), limit().applied():
            os.read(reading, 1)
    finally:
        os.close(reading)
        os.close(writing)


def test_the_phases_of_a_test_share_its_limit() -> None:
    shared = limit(2 * SHORT_S)
    with shared.applied():
        spin(1.5 * SHORT_S)
    start = monotonic()
    with pytest.raises(OutOfTime), shared.applied():
        spin()
    assert monotonic() - start < 2 * SHORT_S + 5
    shared.begin()
    with shared.applied():
        pass


def test_a_teardown_has_some_time_even_after_its_test_had_none_left() -> None:
    shared = limit()
    with pytest.raises(OutOfTime), shared.applied():
        spin()
    with shared.applied():
        pass
    with pytest.raises(OutOfTime), shared.applied():
        spin()


def test_a_wait_for_a_kernel_does_not_count() -> None:
    shared = limit()
    with shared.applied(), shared.suspended():
        spin(3 * SHORT_S)
    with pytest.raises(OutOfTime), shared.applied():
        spin()
    with limit(0).applied(), limit(0).suspended():
        pass


def test_it_grows_with_the_load_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if that rises after the test began: then the alarm that rings is too early."""
    loads = iter([1.0, 3.0, 3.0, 3.0, 3.0])
    monkeypatch.setattr(time_limit, "load", lambda: next(loads, 3.0))
    start = monotonic()
    with pytest.raises(OutOfTime), limit().applied():
        spin()
    assert monotonic() - start >= 3 * SHORT_S


def test_it_is_longer_without_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "EMULATED", 3.0)
    start = monotonic()
    with pytest.raises(OutOfTime), limit().applied():
        spin()
    assert monotonic() - start >= 3 * SHORT_S


def test_a_time_in_which_nothing_ran_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the machine was suspended, or the process stopped."""
    begin = monotonic()
    monkeypatch.setattr(HEARTBEAT, "lost_s", lambda _: min(monotonic() - begin, 3 * SHORT_S))
    with pytest.raises(OutOfTime), limit().applied():
        spin()
    assert monotonic() - begin >= 4 * SHORT_S


def test_0_is_no_limit() -> None:
    former = signal.getsignal(signal.SIGALRM)
    with limit(0).applied():
        assert signal.getsignal(signal.SIGALRM) is former


def test_another_thread_has_none() -> None:
    """Signals are for the main thread."""
    done = []

    def run() -> None:
        with limit().applied():
            done.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [True]


@pytest.mark.parametrize(("text", "value"), [("300", 300.0), ("0", 0.0), ("0.5", 0.5)])
def test_the_option(text: str, value: float) -> None:
    assert time_limit.seconds(text) == value


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "five", ""])
def test_an_option_that_is_no_number_of_seconds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number of seconds"):
        time_limit.seconds(text)
