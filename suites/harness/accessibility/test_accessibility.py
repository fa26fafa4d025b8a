# SPDX-License-Identifier: GPL-2.0-or-later
"""axe-core finds no violation on the site's pages, one of each kind, nor on those of a report and a history.

Run by `tox -e accessibility`; elsewhere, what needs axe-core or Sphinx is skipped.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from common.errors import UsageError
from kconform import main
from suites.harness.accessibility import browser_there
from suites.harness.accessibility.page_checker import PageChecker
from suites.harness.reports.documents import result, write
from suites.harness.reports.formats.page_browser import SMALL, VIEWS
from suites.harness.reports.history.small_fleet import Fleet
from suites.website.__main__ import MODULES, build

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGES = (
    "index.html",
    "CHANGELOG.html",
    "docs/install.html",
    "docs/results.html",
    "promises/index.html",
    "promises/yama/index.html",
    "promises/yama/scope-1.html",
    "faults/yama.html",
    "search.html",
)
"""One of each kind; the pages of single promises are all made by one function."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, with what a run that never was found out."""
    for module in MODULES:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; tox -e accessibility has it")
    folder = tmp_path_factory.mktemp("site")
    run = write(folder / "run", result("yama/scope-1", "fail"), result("yama/scope-2"))
    build(folder / "site", [run])
    return folder / "site"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_the_site(site: Path, checker: PageChecker, page: str) -> None:
    assert checker.violations(site / page) == []
    assert checker.complaints == [], "on the console"
    assert [url for url in checker.requests if not url.startswith(site.as_uri())] == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_of_a_report(checker: PageChecker, view: str) -> None:
    assert checker.violations(checker.file(SMALL, compare=True), f"#view={view}") == []


def test_the_panel_of_a_report(checker: PageChecker) -> None:
    def open_panel(page: Page) -> None:
        page.locator("table.list tbody tr button, table.list tbody tr a").first.click()
        page.locator("dialog").wait_for()

    assert checker.violations(checker.file(SMALL), "#view=tests", open_panel) == []


@pytest.mark.parametrize("view", ["changes", "matrix", "flakiness", "durations", "runs"])
def test_a_view_of_a_history(checker: PageChecker, tmp_path: Path, view: str) -> None:
    fleet = Fleet(tmp_path / "fleet")
    for build_number, outcome in enumerate(("pass", "fail", "pass")):
        fleet.run(f"6.12.{build_number}", {"yama/broken": outcome, "loadpin/held": "pass"})
    assert main(["history", str(fleet.folder), "--output", str(tmp_path / "history")]) in (0, 1, 3)
    assert checker.violations(tmp_path / "history" / "history.html", f"#view={view}") == []


def test_a_page_with_a_violation_is_found(checker: PageChecker, tmp_path: Path) -> None:
    """Otherwise the tests above show nothing."""
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><html><body><img src='data:,'><p style='width: 3000px'>a</p></body></html>")
    found = checker.violations(page)
    assert [line for line in found if "image-alt" in line]
    assert [line for line in found if "wider than the window" in line]


def test_what_the_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match=r"nothing was checked, because this machine lacks .*Chromium \(apt-get"):
        browser_there.require()
