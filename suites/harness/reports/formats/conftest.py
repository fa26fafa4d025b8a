# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of index.html in a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from suites.harness.reports.formats.page_browser import CHROMIUM, Opener

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("no Chromium: install Debian's package chromium")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path)
        yield chromium
        chromium.close()


@pytest.fixture
def opener(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    made = Opener(browser, tmp_path)
    yield made
    made.close()
    assert made.complaints == [], "on the console"
    assert [url for url in made.requests if not url.startswith(tmp_path.as_uri())] == []
