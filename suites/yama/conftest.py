# SPDX-License-Identifier: GPL-2.0-or-later
"""Yama's tests need it started, not only built."""

from __future__ import annotations

import pytest

from suites import initial_settings
from suites.unstarted_lsms import skip_unless_started, why_left_out


@pytest.fixture(autouse=True)
def _started(request: pytest.FixtureRequest, _applies: None) -> None:
    skip_unless_started(request, "yama")
    if "required_by_profile" not in request.fixturenames:
        initial_settings.skip_without_attach(request)


@pytest.fixture
def left_out(request: pytest.FixtureRequest, _applies: None) -> str:
    """Why Yama, which is built, is not started; empty if nothing keeps it from that."""
    return why_left_out(request, "yama")
