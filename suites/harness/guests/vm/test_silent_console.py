# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that boots, and prints nothing on the serial port that is watched during the boot, can be tested."""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.outcome import returned


@pytest.mark.boot("8250.nr_uarts=0")
def test_a_kernel_without_a_console_is_tested(guest: Guest) -> None:
    """Its log is read through the agent."""
    first = guest.spawn("first")
    assert first.call("getpid") == returned(first.pid)
    assert "Linux version" not in guest.template.console
    assert any(line.startswith("Linux version") for line in guest.boot_log)
