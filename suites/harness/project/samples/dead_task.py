# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests that give an order to a dead task, with and without a splat (for test_runs.py)."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import exited


@pytest.mark.parametrize("line", ["BUG: planted", "a harmless line"], ids=["splat", "no-splat"])
def test_stumble(guest: Guest, line: str) -> None:
    guest.write_file("/dev/kmsg", f"{line}\n").result()
    task = guest.spawn("task")
    assert task.exit(0) == exited(0)
    task.call("getpid")
