# SPDX-License-Identifier: GPL-2.0-or-later
"""The access check alone decides: what else might refuse an access is turned off before each test."""

from __future__ import annotations

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import ENOENT, OK
from suites import initial_settings

SCOPE = "/proc/sys/kernel/yama/ptrace_scope"
PARANOID = "/proc/sys/kernel/perf_event_paranoid"


@pytest.fixture(autouse=True)
def _may_trace(request: pytest.FixtureRequest, _applies: None) -> None:
    initial_settings.skip_without_attach(request)


@pytest.fixture(autouse=True)
def _nothing_else_decides(_may_trace: None, guest: Guest) -> None:
    """Set Yama's scope to 0, and let unprivileged tasks count events of their own user, where these exist."""
    for path, value in ((SCOPE, "0"), (PARANOID, "2")):
        done = guest.write_file(path, value)
        require(done in (OK, ENOENT), f"{done!r}, and the tests of this area need it to be written")
