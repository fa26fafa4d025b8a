# SPDX-License-Identifier: GPL-2.0-or-later
"""history.html in a browser: its views, its panel, its links, and what a hostile run makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kconform import main
from suites.harness.reports import page_sample
from suites.harness.reports.formats.page_browser import PHONE, Opener, address, chip, close_panel, shown
from suites.harness.reports.formats.test_index_html_layout import CONTRASTS
from suites.harness.reports.history.small_fleet import Fleet

VIEWS = ("changes", "matrix", "flakiness", "durations", "runs")
ROWS = "table.list tbody tr"


@pytest.fixture
def page(fleet: Fleet, tmp_path: Path) -> Path:
    """Fifty runs of 25 builds of two kernels; a promise breaks, is fixed, is flaky, and others hold."""
    for run in range(50):
        outcomes = {
            "yama/broken": "fail" if run >= 30 else "pass",
            "yama/fixed": "fail" if 10 <= run < 20 else "pass",
            "seccomp/flaky": "fail" if run % 10 == 3 else "pass",
            **{f"loadpin/held_{number}": "pass" for number in range(5)},
        }
        path = fleet.run(
            f"6.12.{run // 2}", outcomes, started=f"2026-{10 + run // 25}-{1 + run % 25:02}T10:00:00.000Z"
        )
        if run == 49:
            assert main(["page", str(path)]) == 0
    other = fleet.run("6.1.9", {"yama/other": "pass"}) / "results.json"
    other.write_text(other.read_text().replace("debian-", "arch-"))
    return made(fleet, tmp_path)


def made(fleet: Fleet, tmp_path: Path) -> Path:
    assert main(["history", str(fleet.folder), "--output", str(tmp_path / "a b#c")]) in (0, 3)
    return tmp_path / "a b#c" / "history.html"


def test_changes_come_with_their_builds(page: Path, opener: Opener) -> None:
    window = opener.open(page)
    rows = [row.split("\t") for row in shown(window, ROWS)]
    assert [(row[0], row[1].split()[0]) for row in rows[:1] + rows[-1:]] == [
        ("✗broken", "yama.broken"), ("✓fixed", "yama.fixed")
    ]  # fmt: skip
    assert rows[0][3:6] == ["6.12.15, 2026-11-06", "6.12.14, 2026-11-05", ""]
    assert rows[-1][3:6] == ["6.12.5, 2026-10-11", "6.12.4, 2026-10-10", "6.12.10, 2026-10-21"]
    chip(window, "kind", "fixed")
    assert len(shown(window, ROWS)) == 1
    assert shown(window, "#head .totals .badge") == ["✗1 broken", "~5 flaky", "✓1 fixed"]


def test_the_matrix_begins_with_the_latest_runs_and_what_did_not_hold(page: Path, opener: Opener) -> None:
    window = opener.open(page, "#view=matrix")
    assert shown(window, "table.matrix tbody code") == ["seccomp.flaky", "yama.broken", "yama.fixed"]
    row = window.locator('td[data-row="yama.broken"]')
    statuses = [cell.get_attribute("data-status") for cell in row.all()]
    assert statuses == ["held"] * 10 + ["broken"] * 20
    assert "part 2 of 2" in shown(window, ".turn")[0]
    window.get_by_role("button", name="older").click()
    assert row.count() == 20
    chip(window, "status", "held")
    assert len(shown(window, "table.matrix tbody code")) == 8 + 1, "that of the other kernel, too"
    window.fill("#q", "held_3")
    assert shown(window, "table.matrix tbody code") == ["loadpin.held_3"]


def test_a_cell_opens_its_run_and_the_keys_reach_it(page: Path, opener: Opener) -> None:
    window = opener.open(page, "#view=matrix")
    window.locator("table.matrix td[tabindex='0']").first.focus()
    for key in ("ArrowDown", "End"):
        window.keyboard.press(key)
    label = "yama.broken in 6.12.24 of 2026-11-25: broken"
    assert window.evaluate("document.activeElement.getAttribute('aria-label')") == label
    window.keyboard.press("Enter")
    panel = window.get_by_role("dialog")
    assert "began to break in 6.12.15, 2026-11-06; held last in 6.12.14, 2026-11-05" in panel.inner_text()
    again = opener.open(page, address(window))
    assert again.get_by_role("dialog").inner_text() == panel.inner_text()
    close_panel(window)
    assert window.evaluate("document.activeElement.getAttribute('aria-label')") == label
    again.locator("dialog dl a").click()
    again.wait_for_selector("#panel-title")
    assert again.title() == "kconform sample"
    assert again.locator("#panel-title").inner_text().split() == ["✗broken", "yama.broken"], "in the run's own page"


def test_flaky_tests_name_their_builds(page: Path, opener: Opener) -> None:
    window = opener.open(page, "#view=flakiness")
    (row,) = shown(window, ROWS)
    assert [cell.strip() for cell in row.split("\t")[:3]] == [
        "5 of 25 builds",
        "seccomp/test_it.py::test_flaky",
        "debian/full",
    ]
    assert "flaky tests by build: latest 0, most 1" in window.inner_text("#view")
    window.locator(".open").click()
    assert len(shown(window, "dialog li")) == 5


def test_durations_are_drawn_for_each_area_and_kernel(page: Path, opener: Opener) -> None:
    window = opener.open(page, "#view=durations")
    titles = window.locator("svg .title").all_text_contents()
    assert titles[:2] == ["all tests: latest 250 ms, median 250 ms", "all tests: latest 2.0 s, median 2.0 s"]
    assert len(titles) == 5
    chip(window, "area", "yama")
    assert "tests of these areas: latest 500 ms, median 500 ms" in window.locator("svg .title").all_text_contents()


def test_runs_and_files_that_are_left_out_are_listed(
    page: Path, opener: Opener, fleet: Fleet, tmp_path: Path
) -> None:
    assert page.is_file()
    (fleet.folder / "day-2" / "results.json").write_text("{}")
    window = opener.open(made(fleet, tmp_path), "#view=runs")
    assert "1 files are left out" in window.inner_text("#head .notice")
    rows = shown(window, ROWS)
    assert "day-2/results.json" in rows[0]
    assert "not a results.json of kconform" in rows[0]
    assert len(rows) == 1 + 50
    assert window.locator("#view a").count() == 1, "only one run has a page"


@pytest.mark.parametrize("view", VIEWS)
def test_a_hostile_run_does_nothing_on_a_phone(fleet: Fleet, opener: Opener, tmp_path: Path, view: str) -> None:
    for number, content in enumerate((page_sample.document(), page_sample.hostile())):
        folder = fleet.folder / f"{number}{page_sample.HOSTILE[:40].replace('/', '-')}"
        folder.mkdir(parents=True)
        content["run"]["started"] = f"2026-11-0{number + 1}T10:00:00.000Z"
        content["run"]["suite"]["commit"] = page_sample.HOSTILE
        (folder / "results.json").write_text(json.dumps(content))
    bad = fleet.folder / "<img src=x onerror='window.hacked=1'>"
    bad.mkdir()
    (bad / "results.json").write_text("{")
    window = opener.open(made(fleet, tmp_path), f"#view={view}", viewport=PHONE)
    assert window.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert window.evaluate("window.hacked") is None
    if view == "changes":
        chip(window, "kind", "broken")
        window.locator(".open").first.click()
        assert window.evaluate("document.querySelector('dialog').scrollWidth") <= PHONE["width"]
    if view == "matrix":
        assert page_sample.SPELLED in window.inner_text("#view")
    assert window.evaluate("window.hacked") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: Path, opener: Opener, scheme: str) -> None:
    for view in VIEWS:
        window = opener.open(page, f"#view={view}", color_scheme=scheme)
        found = window.evaluate(CONTRASTS)
        assert {name: value for name, value in found.items() if value < 4.5} == {}, view


def test_without_scripts_the_page_says_what_to_read(page: Path, opener: Opener) -> None:
    window = opener.open(page, java_script_enabled=False)
    assert shown(window, "noscript a") == ["history.json"]
