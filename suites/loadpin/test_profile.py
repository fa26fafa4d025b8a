# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's initial settings, without parameters, are those that a profile (--profile) requires."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest

RequiredByProfile = Callable[[str], str]


@pytest.mark.needs("SECURITY_LOADPIN")
@pytest.mark.requirement("loadpin.profile")
def test_enforcing(guest: Guest, required_by_profile: RequiredByProfile) -> None:
    """LoadPin's boot log says whether it enforces, as the profile requires."""
    words = {"yes": "currently enforcing", "no": "currently not enforcing"}[required_by_profile("loadpin-enforcing")]
    logged = [line for line in guest.boot_log if line.startswith("LoadPin: ")]
    assert logged == [f"LoadPin: ready to pin ({words})"], f"LoadPin logged {logged}; the profile requires '{words}'"
