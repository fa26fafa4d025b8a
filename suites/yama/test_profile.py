# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's initial settings, without parameters, are those that a profile (--profile) requires."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest

RequiredByProfile = Callable[[str], str]


@pytest.mark.needs("SECURITY_YAMA", "SYSCTL")
@pytest.mark.requirement("yama.profile")
def test_scope(guest: Guest, required_by_profile: RequiredByProfile) -> None:
    """The initial value of kernel.yama.ptrace_scope is the one that the profile requires."""
    wanted = required_by_profile("yama-scope")
    scope = guest.sysctl("kernel.yama.ptrace_scope")
    assert scope == wanted, f"kernel.yama.ptrace_scope is initially {scope!r}, but the profile requires {wanted!r}"


@pytest.mark.needs("SECURITY", "SECURITYFS")
@pytest.mark.requirement("yama.profile")
def test_order_of_the_security_modules(guest: Guest, required_by_profile: RequiredByProfile) -> None:
    """The security modules that the profile requires are active, in that order, possibly among others."""
    wanted = required_by_profile("lsm").split()
    active = guest.read_file("/sys/kernel/security/lsm").strip().split(",")
    found = [name for name in active if name in wanted]
    assert found == wanted, f"active: {', '.join(active)}; the profile requires {', '.join(wanted)}, in this order"
