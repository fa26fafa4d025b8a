# SPDX-License-Identifier: GPL-2.0-or-later
"""What axe-core finds on a page: in light and dark colours, and on a desktop's window and a phone's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suites.harness.reports.formats.page_browser import DESKTOP, PHONE, Opener

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WINDOWS = {"desktop": DESKTOP, "phone": PHONE}
SCHEMES = ("light", "dark")
OPTIONS = {"resultTypes": ["violations"], "preload": False}
"""axe-core's.  It would fetch the style sheets again, which a browser refuses it for a file."""


def nothing(page: Page) -> None:
    """What is done on a page before it is checked."""


class PageChecker(Opener):
    def __init__(self, browser: Browser, folder: Path, axe: Any) -> None:
        super().__init__(browser, folder)
        self._axe = axe

    def violations(self, path: Path, address: str = "", act: Callable[[Page], None] = nothing) -> list[str]:
        """One line for each rule that is broken, with the first place, and one if the page is wider than a window."""
        return list(self._violations(path, address, act))

    def _violations(self, path: Path, address: str, act: Callable[[Page], None]) -> Iterator[str]:
        for scheme in SCHEMES:
            for name, window in WINDOWS.items():
                page = self.open(path, address, viewport=window, color_scheme=scheme)
                act(page)
                if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                    yield f"{name}: wider than the window"
                for each in self._axe.run(page, options=OPTIONS).response["violations"]:
                    yield f"{name}, {scheme}: {each['id']} at {each['nodes'][0]['target']}: {each['help']}"
                page.context.close()
