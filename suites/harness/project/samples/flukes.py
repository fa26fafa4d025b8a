# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests that are run more than once (for test_repeated_guests.py); each makes a file in the folder KCONFORM_ATTEMPTS.

A guest that an earlier attempt has touched has the file /touched.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guests.guest import Guest
from guests.outcome import EPERM


@pytest.fixture
def attempt(request: pytest.FixtureRequest) -> int:
    """The number of the attempt, from 1."""
    folder = Path(os.environ["KCONFORM_ATTEMPTS"])
    number = 1 + len(list(folder.glob(f"{request.function.__name__}-*")))
    (folder / f"{request.function.__name__}-{number}").touch()
    return number


@pytest.fixture
def fresh(guest: Guest) -> Guest:
    """A guest that nobody has touched before; an error if somebody has."""
    if guest.exists("/touched"):
        raise RuntimeError("the guest is that of an earlier attempt")
    guest.write_file("/touched", "", create=True).result()
    return guest


def test_always(fresh: Guest, attempt: int) -> None:
    """A promise that no kernel makes."""
    assert attempt
    assert fresh.spawn("evil").call("getpid") == EPERM


def test_sometimes(fresh: Guest, attempt: int) -> None:
    """Broken in the first attempt."""
    evil = fresh.spawn("evil")
    if attempt == 1:
        assert evil.call("getpid") == EPERM


def test_crash_once(fresh: Guest, attempt: int) -> None:
    """The kernel crashes in the first attempt."""
    if attempt == 1:
        fresh.init.exit(0)  # without its init, a kernel panics
