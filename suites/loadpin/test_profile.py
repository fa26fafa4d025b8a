# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's initial settings, without parameters, are those that a profile (--profile) requires."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.guest import Guest

Asked = Callable[[str], str]


@pytest.mark.needs("SECURITY_LOADPIN")
@pytest.mark.requirement("loadpin.profile")
def test_enforcing(guest: Guest, asked: Asked) -> None:
    """LoadPin's boot log says whether it enforces, as the profile requires."""
    words = {"yes": "currently enforcing", "no": "currently not enforcing"}[asked("loadpin-enforcing")]
    said = [line for line in guest.boot_log if line.startswith("LoadPin: ")]
    assert said == [f"LoadPin: ready to pin ({words})"], f"LoadPin logged {said}; the profile requires '{words}'"
