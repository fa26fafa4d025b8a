# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel begins with, without parameters, is what a profile (--profile) asks for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest

Asked = Callable[[str], str]


@pytest.mark.needs("SECCOMP_FILTER")
@pytest.mark.requirement("seccomp.profile")
def test_actions_logged(guest: Guest, asked: Asked) -> None:
    """kernel.seccomp.actions_logged."""
    wanted = asked("actions-logged")
    logged = guest.sysctl("kernel.seccomp.actions_logged")
    assert logged == wanted, f"kernel.seccomp.actions_logged begins as {logged!r}, the profile asks for {wanted!r}"
