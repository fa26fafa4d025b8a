# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel begins with, without parameters, is what a profile (--profile) asks for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest

Asked = Callable[[str], str]


@pytest.mark.needs("SECURITY_YAMA")
@pytest.mark.requirement("yama.profile")
def test_scope(guest: Guest, asked: Asked) -> None:
    """kernel.yama.ptrace_scope."""
    wanted = asked("yama-scope")
    scope = guest.sysctl("kernel.yama.ptrace_scope")
    assert scope == wanted, f"kernel.yama.ptrace_scope begins as {scope!r}, and the profile asks for {wanted!r}"


@pytest.mark.needs("SECURITY")
@pytest.mark.requirement("yama.profile")
def test_order_of_the_security_modules(guest: Guest, asked: Asked) -> None:
    """Those that are asked for are active, in that order, among others."""
    wanted = asked("lsm").split()
    active = guest.read_file("/sys/kernel/security/lsm").strip().split(",")
    found = [name for name in active if name in wanted]
    assert found == wanted, f"active are {', '.join(active)}; the profile asks for {', '.join(wanted)} in this order"
