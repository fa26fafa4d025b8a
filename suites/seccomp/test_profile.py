# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's initial settings, without parameters, are those that a profile (--profile) requires."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest

RequiredByProfile = Callable[[str], str]


@pytest.mark.needs("SECCOMP_FILTER")
@pytest.mark.requirement("seccomp.profile")
def test_actions_logged(guest: Guest, required_by_profile: RequiredByProfile) -> None:
    """The initial value of kernel.seccomp.actions_logged is the one that the profile requires."""
    wanted = required_by_profile("actions-logged")
    logged = guest.sysctl("kernel.seccomp.actions_logged")
    assert logged == wanted, f"kernel.seccomp.actions_logged is initially {logged!r}; the profile requires {wanted!r}"
