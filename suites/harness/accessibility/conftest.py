# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for axe-core's look at pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from suites.harness.accessibility.page_checker import PageChecker
from suites.harness.reports.formats.conftest import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]


@pytest.fixture
def checker(browser: Browser, tmp_path: Path) -> Iterator[PageChecker]:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-core is not installed; tox -e accessibility has it"
    )
    made = PageChecker(browser, tmp_path, axe.Axe())
    yield made
    made.close()
