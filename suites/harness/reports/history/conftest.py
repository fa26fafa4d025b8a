# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of histories; the page is opened as index.html is."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.harness.reports.formats.conftest import browser, opener
from suites.harness.reports.history.small_fleet import Fleet

__all__ = ["browser", "fleet", "opener"]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path / "fleet")
