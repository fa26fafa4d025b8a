# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests that never end, and one after each (for test_faults_guests.py)."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.outcome import returned


def talk(guest: Guest) -> None:
    """A loop, in which the guest answers each time."""
    task = guest.spawn("talker")
    while True:
        task.call("getppid")


def stubborn(guest: Guest) -> None:
    """The same in code that copes with any Exception."""
    task = guest.spawn("talker")
    while True:
        with contextlib.suppress(Exception):
            task.call("getppid")


def host_program(_: Guest) -> None:
    """A program of the host that does not end."""
    subprocess.run(["sleep", "infinity"], check=True)


def healthy(guest: Guest) -> None:
    assert guest.spawn("task").call("getppid") == returned(1)


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(act, id=name)
        for each in (talk, stubborn, host_program)
        for name, act in ((each.__name__, each), (f"after-{each.__name__}", healthy))
    ],
)
def test_end(guest: Guest, act: Callable[[Guest], None]) -> None:
    act(guest)
