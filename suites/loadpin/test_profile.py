# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel begins with, without parameters, is what a profile (--profile) asks for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest

Asked = Callable[[str], str]


@pytest.mark.needs("SECURITY_LOADPIN")
@pytest.mark.requirement("loadpin.profile")
def test_enforcing(guest: Guest, asked: Asked) -> None:
    """What LoadPin says when it is ready."""
    words = {"yes": "currently enforcing", "no": "currently not enforcing"}[asked("loadpin-enforcing")]
    said = [line for line in guest.boot_log if line.startswith("LoadPin: ")]
    assert said == [f"LoadPin: ready to pin ({words})"], f"it said {said}, and the profile asks for '{words}'"
