# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of the doctor."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.harness.guests.host.fake_host import FakeHost


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost(tmp_path, monkeypatch)
