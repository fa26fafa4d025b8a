# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's initial settings, without parameters, are those that a profile (--profile) requires.

With --sysctl, the settings after the system's sysctl.d are.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.system_settings import ConfiguredGuest

RequiredByProfile = Callable[[str], str]


@pytest.mark.needs("SECCOMP_FILTER")
@pytest.mark.requirement("seccomp.profile")
def test_actions_logged(configured: ConfiguredGuest, required_by_profile: RequiredByProfile) -> None:
    """The initial value of kernel.seccomp.actions_logged is the one that the profile requires."""
    name, wanted = "kernel.seccomp.actions_logged", required_by_profile("actions-logged")
    logged = configured.guest.sysctl(name)
    assert logged == wanted, f"{name} is {logged!r} {configured.origin(name)}; the profile requires {wanted!r}"
