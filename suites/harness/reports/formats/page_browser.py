# SPDX-License-Identifier: GPL-2.0-or-later
"""index.html in the machine's own Chromium, which playwright drives, without network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.formats import index_html
from suites.harness.reports import page_sample as sample

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1400, "height": 900}
VIEWS = ("matrix", "tests", "durations", "comparison")
SMALL = sample.document()
ROWS = "table.matrix tbody th[scope=row] code"
TESTS = "table.list tbody tr"


def requirement_ids(wanted: Callable[[dict[str, Any]], object] = bool) -> list[str]:
    return [
        each["id"] for area in sample.AREAS for each in SMALL["requirements"] if each["area"] == area and wanted(each)
    ]


def nodeids(wanted: Callable[[dict[str, Any]], bool]) -> set[str]:
    return {each["nodeid"].removeprefix("suites/") for each in SMALL["results"] if wanted(each)}


class Opener:
    """Opens pages from files, and keeps their complaints and requests."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser = browser
        self._folder = folder
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def file(self, document: dict[str, Any], *, compare: bool = False) -> Path:
        path = self._folder / "index.html"
        rows = sample.comparison() if compare else None
        path.write_text(index_html.render(sample.read(document), sample.evidence, rows), encoding="utf-8")
        return path

    def open(self, path: Path, address: str = "", *, viewport: dict[str, int] = DESKTOP, **options: Any) -> Page:
        context = self._browser.new_context(viewport=viewport, offline=True, **options)  # type: ignore[arg-type]
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri() + address)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


def shown(page: Page, selector: str) -> list[str]:
    return page.locator(selector).all_inner_texts()


def chip(page: Page, name: str, *values: str) -> None:
    for value in values:
        page.locator(f'.chip[data-filter="{name}"][data-value="{value}"]').click()


def address(page: Page) -> str:
    return str(page.evaluate("location.hash"))


def close_panel(page: Page) -> None:
    """Press Escape, and wait until the page has followed: its event comes some time after the panel has closed."""
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="hidden")
    page.wait_for_function("!/promise=|test=/.test(location.hash)")
