# SPDX-License-Identifier: GPL-2.0-or-later
"""The boot that comes before every other test.

The kernel boots once, and each test runs in a clone, so a complaint of the boot would appear in no test's own log.
"""

from __future__ import annotations

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import returned


@pytest.mark.requirement("boot.reaches-init")
def test_the_kernel_boots(guest: Guest) -> None:
    """The kernel boots until init runs, and init starts a process.  A crash before that is reported by `guest`."""
    first = guest.spawn("first")
    assert first.call("getpid") == returned(first.pid)


@pytest.mark.requirement("boot.no-splat")
def test_no_splat_while_it_boots(guest: Guest, boot_splat: str) -> None:
    """The log of the boot has lines, and none of them is a complaint that is not waived."""
    assert boot_splat == ""
    require(bool(guest.boot_log), "the log of the boot is empty")
