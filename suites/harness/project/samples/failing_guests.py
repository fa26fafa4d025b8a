# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests that fail, for test_held_guests.py, which runs them in a terminal of its own."""

from __future__ import annotations

from guests.guest import Guest
from guests.outcome import EPERM, OK


def test_broken(guest: Guest) -> None:
    evil, secret = guest.spawn("evil"), guest.spawn("secret")
    assert secret.call("getppid") == OK
    assert evil.call("getuid") == EPERM


def test_crash(guest: Guest) -> None:
    witness = guest.spawn("witness")
    assert witness.call("getppid") == OK
    guest.init.exit(0)


def test_held(guest: Guest) -> None:
    assert guest.spawn("evil").call("getppid") == OK
