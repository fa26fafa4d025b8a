# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's initial settings, without parameters, are those that a profile (--profile) requires.

With --sysctl, the settings after the system's sysctl.d are.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest
from guests.system_settings import ConfiguredGuest

RequiredByProfile = Callable[[str], str]


@pytest.mark.needs("SECURITY_YAMA", "SYSCTL")
@pytest.mark.requirement("yama.profile")
def test_scope(configured: ConfiguredGuest, required_by_profile: RequiredByProfile) -> None:
    """The initial value of kernel.yama.ptrace_scope is the one that the profile requires."""
    name, wanted = "kernel.yama.ptrace_scope", required_by_profile("yama-scope")
    scope = configured.guest.sysctl(name)
    assert scope == wanted, f"{name} is {scope!r} {configured.origin(name)}, but the profile requires {wanted!r}"


@pytest.mark.needs("SECURITY", "SECURITYFS")
@pytest.mark.requirement("yama.profile")
def test_order_of_the_security_modules(guest: Guest, required_by_profile: RequiredByProfile) -> None:
    """The security modules that the profile requires are active, in that order, possibly among others."""
    wanted = required_by_profile("lsm").split()
    active = guest.read_file("/sys/kernel/security/lsm").strip().split(",")
    found = [name for name in active if name in wanted]
    assert found == wanted, f"active: {', '.join(active)}; the profile requires {', '.join(wanted)}, in this order"
