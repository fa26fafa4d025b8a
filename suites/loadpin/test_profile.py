# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's initial settings, without parameters, are those that a profile (--profile) requires.

With --sysctl, the settings after the system's sysctl.d are.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.system_settings import INITIALLY, ConfiguredGuest
from suites.loadpin.support.disks_and_log import boot_lines

RequiredByProfile = Callable[[str], str]

ENFORCE = "kernel.loadpin.enforce"


@pytest.mark.needs("SECURITY_LOADPIN")
@pytest.mark.requirement("loadpin.profile")
def test_enforcing(configured: ConfiguredGuest, required_by_profile: RequiredByProfile) -> None:
    """LoadPin's boot log says whether it enforces, as the profile requires.  If a sysctl was set, its value does."""
    wanted = required_by_profile("loadpin-enforcing")
    origin = configured.origin(ENFORCE)
    if origin != INITIALLY:
        enforces = configured.guest.sysctl(ENFORCE)
        value = {"yes": "1", "no": "0"}[wanted]
        assert enforces == value, f"{ENFORCE} is {enforces!r} {origin}, but the profile requires {value!r}"
        return
    words = {"yes": "currently enforcing", "no": "currently not enforcing"}[wanted]
    logged = [line for line in boot_lines(configured.guest.boot_log) if not line.startswith("excluding: ")]
    assert logged == [f"ready to pin ({words})"], f"LoadPin logged {logged}; the profile requires '{words}'"
