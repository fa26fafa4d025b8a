# SPDX-License-Identifier: GPL-2.0-or-later
"""A test that needs options that no kernel has (for test_runs.py)."""

from __future__ import annotations

import pytest

from guests.guest import Guest

pytestmark = pytest.mark.needs("KCONFORM_MORE")


@pytest.mark.needs("PROC_FS or KCONFORM_LESS", "KCONFORM_NOTHING or KCONFORM_LESS")
def test_lack(guest: Guest) -> None:
    raise AssertionError(f"{guest} has a nonexistent option")
