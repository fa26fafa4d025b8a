# SPDX-License-Identifier: GPL-2.0-or-later
"""A test that takes a guest, creates a file to report that, and waits until it is killed (for test_runs.py)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from guests.guest import Guest


@pytest.mark.parametrize("number", range(2))
def test_hold(guest: Guest, number: int) -> None:
    guest.spawn("held")
    Path(os.environ["KCONFORM_HELD"], f"{number}-{guest.pid}").touch()
    signal.pause()
