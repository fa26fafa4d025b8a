# SPDX-License-Identifier: GPL-2.0-or-later
"""index.html in a browser: the panel of evidence, the keyboard, and links."""

from __future__ import annotations

import json
from pathlib import Path

from reports.formats import index_html
from reports.model.document import load
from suites.harness.reports import page_sample as sample
from suites.harness.reports.formats.page_browser import (
    PHONE,
    ROWS,
    SMALL,
    TESTS,
    Opener,
    address,
    chip,
    close_panel,
    nodeids,
    shown,
)


def test_a_click_opens_the_evidence_and_escape_gives_the_focus_back(opener: Opener) -> None:
    page = opener.open(opener.file(SMALL))
    cell = page.locator('td[data-status="broken"]').first
    label = str(cell.get_attribute("aria-label"))
    cell.click()
    panel = page.get_by_role("dialog")
    identifier, _, kernel = label.removesuffix(": broken").partition(" on ")
    assert page.locator("#panel-title").inner_text().split() == ["✗broken", identifier]
    assert kernel in panel.inner_text()
    tests = [each for each in SMALL["results"] if each["kernel"] == kernel and identifier in each["requirements"]]
    assert len(shown(page, "dialog .test")) == len(tests)
    assert sample.REASON in panel.inner_text()
    assert panel.locator("details[open] summary").all_inner_texts() == ["transcript", "process tree"]
    assert "init[1]\n    shell[24]\n        evil[41]" in panel.locator("details[open] pre").nth(1).inner_text()
    close_panel(page)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == label
    assert address(page) == ""


def test_the_keyboard_reaches_every_cell_and_its_evidence(opener: Opener) -> None:
    page = opener.open(opener.file(sample.document(kernels=10, tests=100, requirements=60)), viewport=PHONE)
    focused = "[document.activeElement.dataset.row, document.activeElement.dataset.kernel]"
    page.locator(".choice summary").focus()
    page.keyboard.press("Tab")
    steps = [
        ("", "yama.promise-0", 0),
        ("ArrowRight", "yama.promise-0", 1),
        ("ArrowDown", "yama.promise-3", 1),
        ("ArrowUp", "yama.promise-0", 1),
        ("ArrowUp", "yama.promise-0", 1),
        ("End", "yama.promise-0", 9),
        ("ArrowRight", "yama.promise-0", 9),
        ("Control+End", "seccomp.promise-59", 9),
        ("Home", "seccomp.promise-59", 0),
        ("PageUp", "seccomp.promise-29", 0),
    ]
    for key, row, kernel in steps:
        if key:
            page.keyboard.press(key)
        assert page.evaluate(focused) == [row, sample.kernel_id(kernel)], key
        in_sight = "(() => { const box = document.activeElement.getBoundingClientRect();"
        in_sight += "return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).tagName; })()"
        assert page.evaluate(in_sight) == "TD", f"{key}: what sticks covers the cell"
    page.keyboard.press("Enter")
    assert page.locator("#panel-title").inner_text().endswith("seccomp.promise-29")
    close_panel(page)
    assert page.evaluate(focused) == ["seccomp.promise-29", sample.kernel_id(0)]
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"


def test_a_link_brings_the_same_view_back(opener: Opener) -> None:
    path = opener.file(SMALL)
    first = opener.open(path)
    chip(first, "area", "yama")
    chip(first, "status", "broken")
    first.fill("#q", "sentence & 0%")
    assert shown(first, ROWS) == []
    first.fill("#q", "sentence")
    rows = shown(first, ROWS)
    assert rows
    first.locator('td[data-status="broken"]').first.click()
    second = opener.open(path, address(first))
    assert shown(second, ROWS) == rows
    assert second.input_value("#q") == "sentence"
    assert shown(second, '.chip[aria-pressed="true"]') == ["yama", "✗broken"]
    assert second.locator("dialog[open]").inner_text() == first.locator("dialog[open]").inner_text()
    close_panel(second)
    assert second.evaluate("document.activeElement.dataset.status") == "broken"
    second.evaluate("location.hash = '#view=tests&outcome=fail&kernel=nobody&page=99&sort=zzz'")
    second.wait_for_selector(TESTS)
    assert set(shown(second, f"{TESTS} .open")) == nodeids(lambda each: each["outcome"] == "fail")


def test_a_promise_leads_to_its_tests_in_the_list(opener: Opener) -> None:
    page = opener.open(opener.file(SMALL))
    page.locator('td[data-status="broken"]').first.click()
    count = len(shown(page, "dialog .test"))
    page.get_by_role("link", name="Show in the list of tests").click()
    page.locator("dialog").wait_for(state="hidden")
    page.wait_for_selector(TESTS)
    assert len(shown(page, TESTS)) == count


def test_links_lead_to_the_files_beside_the_page(opener: Opener, tmp_path: Path) -> None:
    """A report as a run leaves it: the evidence of a test that passed is only in a file."""
    (tmp_path / "results.json").write_text(json.dumps(SMALL), encoding="utf-8")
    passed = next(each for each in SMALL["results"] if each["outcome"] == "pass")
    for path in passed["evidence"].values():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"the text of {path}")
    page = opener.open(index_html.write(load(tmp_path)), "#view=tests&outcome=pass")
    assert shown(page, "#head .links a") == ["results.json"]
    page.locator(".open").first.click()
    assert passed["nodeid"].removeprefix("suites/") in page.inner_text("#panel-title")
    page.get_by_role("link", name="transcript").click()
    page.wait_for_url("**/transcript.txt")
    assert page.inner_text("body") == f"the text of {passed['evidence']['transcript']}"
