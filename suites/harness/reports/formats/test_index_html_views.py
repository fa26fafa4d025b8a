# SPDX-License-Identifier: GPL-2.0-or-later
"""index.html in a browser: what its views show, and what its filters leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from suites.harness.reports import page_sample as sample
from suites.harness.reports.formats.page_browser import (
    ROWS,
    SMALL,
    TESTS,
    VIEWS,
    Opener,
    chip,
    nodeids,
    requirement_ids,
    shown,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page


def loadpin_at_fault(page: Page) -> None:
    page.fill("#q", "loadpin")
    chip(page, "status", "waived", "unknown")


def test_ten_thousand_results_make_a_small_page(opener: Opener) -> None:
    """The page holds them all, and draws no more than a matrix and a list of 200."""
    document = sample.document(kernels=10, tests=1000, requirements=214)
    path = opener.file(document, compare=True)
    ran = sum(each["outcome"] != "skip" for each in document["results"])
    assert path.stat().st_size < 12 << 20
    page = opener.open(path)
    assert page.locator("table.matrix td").count() == 2140
    for view, said in [
        ("tests", "10000 of 10000 tests"),
        ("durations", f"{ran} of 10000 tests; skipped ones are left out"),
    ]:
        page.get_by_role("button", name=view, exact=True).click()
        assert page.inner_text("#said") == said
        assert page.evaluate("document.querySelectorAll('*').length") < 3000


@pytest.mark.parametrize("selection", [None, "-m quick -k '<b>ptrace'"])
def test_the_head_tells_what_was_chosen_of_the_tests(opener: Opener, selection: str | None) -> None:
    document = sample.document()
    document["run"]["selection"] = selection
    facts = shown(opener.open(opener.file(document)), ".facts div")
    assert [fact for fact in facts if fact.startswith("only")] == ([f"only\n{selection}"] if selection else [])


@pytest.mark.parametrize(
    ("act", "wanted"),
    [
        pytest.param(lambda page: chip(page, "area", "yama"), lambda each: each["area"] == "yama", id="area"),
        pytest.param(
            lambda page: chip(page, "area", "yama", "seccomp"),
            lambda each: each["area"] in ("yama", "seccomp"),
            id="two-areas",
        ),
        pytest.param(
            lambda page: chip(page, "status", "broken"), lambda each: "broken" in each["status"].values(), id="status"
        ),
        pytest.param(
            lambda page: loadpin_at_fault(page),
            lambda each: {"waived", "unknown"} & set(each["status"].values()) and each["area"] == "loadpin",
            id="two-statuses-and-text",
        ),
        pytest.param(
            lambda page: page.fill("#q", "SENTENCE PROMISE-7"),
            lambda each: each["id"] == "loadpin.promise-7",
            id="text",
        ),
        pytest.param(
            lambda page: page.fill("#q", "ancestor seccomp"), lambda each: each["area"] == "seccomp", id="words"
        ),
    ],
)
def test_a_filter_leaves_exactly_its_promises(
    opener: Opener, act: Callable[[Page], object], wanted: Callable[[dict[str, Any]], bool]
) -> None:
    page = opener.open(opener.file(SMALL))
    assert shown(page, ROWS) == requirement_ids()
    expected = requirement_ids(wanted)
    assert 0 < len(expected) < len(SMALL["requirements"])
    act(page)
    assert shown(page, ROWS) == expected
    page.get_by_role("button", name="clear", exact=True).click()
    assert shown(page, ROWS) == requirement_ids()


def test_a_kernel_filter_leaves_its_column_and_judges_by_it(opener: Opener) -> None:
    page = opener.open(opener.file(SMALL))
    chosen = sample.kernel_id(1)
    page.locator(".choice summary").click()
    page.get_by_label(chosen, exact=True).check()
    assert shown(page, "thead .kernel") == [chosen.replace("/", "\n")]
    page.keyboard.press("Escape")
    chip(page, "status", "unknown")
    expected = requirement_ids(lambda each: each["status"][chosen] == "unknown")
    assert expected != requirement_ids(lambda each: "unknown" in each["status"].values())
    assert shown(page, ROWS) == expected


@pytest.mark.parametrize(
    ("act", "wanted"),
    [
        pytest.param(
            lambda page: chip(page, "outcome", "fail"), lambda each: each["outcome"] == "fail", id="outcome"
        ),
        pytest.param(lambda page: chip(page, "area", "loadpin"), lambda each: each["area"] == "loadpin", id="area"),
        pytest.param(lambda page: page.fill("#q", "CONFIG_X"), lambda each: each["outcome"] == "skip", id="reason"),
        pytest.param(lambda page: page.fill("#q", "test_17["), lambda each: "test_17[" in each["nodeid"], id="name"),
    ],
)
def test_a_filter_leaves_exactly_its_tests(
    opener: Opener, act: Callable[[Page], object], wanted: Callable[[dict[str, Any]], bool]
) -> None:
    page = opener.open(opener.file(SMALL), "#view=tests")
    assert len(shown(page, TESTS)) == len(SMALL["results"])
    act(page)
    expected = nodeids(wanted)
    assert 0 < len(expected) < len(SMALL["results"])
    assert set(shown(page, f"{TESTS} .open")) == expected
    assert len(shown(page, TESTS)) == len(expected)


def test_the_list_turns_pages_and_sorts(opener: Opener) -> None:
    page = opener.open(opener.file(sample.document(kernels=5, tests=90)), "#view=tests")
    assert len(shown(page, TESTS)) == 200
    assert "1 to 200 of 450" in page.locator(".turn").first.inner_text()
    assert set(shown(page, "td:first-child")[:3]) == {"✗fail"}
    for rows in (200, 50):
        page.get_by_role("button", name="next").first.click()
        assert len(shown(page, TESTS)) == rows
    assert page.get_by_role("button", name="next").first.is_disabled()
    page.get_by_role("button", name="took").click()
    seconds = page.evaluate(
        "[...document.querySelectorAll('tr[data-test]')].map((row) => RESULTS[row.dataset.test].seconds)"
    )
    assert len(seconds) == 200
    assert seconds == sorted(seconds, reverse=True)


def test_each_kind_of_change_can_be_filtered(opener: Opener) -> None:
    page = opener.open(opener.file(SMALL, compare=True), "#view=comparison")
    assert len(shown(page, TESTS)) == len(sample.comparison())
    for row in sample.comparison():
        chip(page, "kind", row["kind"])
        (line,) = shown(page, TESTS)
        assert row["test"].removeprefix("suites/") in line
        assert row["reason"] in line
        assert line.startswith(row["kind"])
        chip(page, "kind", row["kind"])
    page.locator(".open").first.click()
    assert sample.kernel_id(0) in page.get_by_role("dialog").inner_text()


def test_without_a_comparison_there_is_no_such_view(opener: Opener) -> None:
    page = opener.open(opener.file(SMALL), "#view=comparison")
    assert shown(page, "#views button") == ["matrix", "tests", "durations"]
    assert shown(page, ROWS) == requirement_ids()


def test_of_one_kernel_there_is_no_choice(opener: Opener) -> None:
    page = opener.open(opener.file(sample.document(kernels=1)))
    assert shown(page, "thead .kernel") == [sample.kernel_id(0).replace("/", "\n")]
    assert page.locator(".choice").is_hidden()


def test_the_table_of_kernels_tells_what_took_more_than_a_second(opener: Opener) -> None:
    document = sample.document()
    document["kernels"][0]["preparation"] = {"fetch_s": 0.9, "build_s": 190.2, "probe_s": 0, "boot_s": 17, "boots": 3}
    document["kernels"][1]["preparation"] = {"boot_s": 1.0, "boots": 1}
    table = opener.open(opener.file(document)).locator("table.kernels")
    names = table.locator("th[scope=col]").all_inner_texts()
    assert names[-4:] == ["flaky", "built in", "booted in", "tests took"]
    cells = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
    assert [row[-3:-1] for row in cells] == [["3 min 10 s", "17 s"], ["", ""]]
    assert table.locator("td[title='3 boots']").inner_text() == "17 s"
    plain = opener.open(opener.file(SMALL)).locator("table.kernels th[scope=col]").all_inner_texts()
    assert plain[-2:] == ["flaky", "tests took"]


def test_durations_are_of_the_tests_that_ran(opener: Opener) -> None:
    document = sample.document()
    ran = [each for each in document["results"] if each["area"] == "yama" and each["outcome"] != "skip"]
    ran[0]["duration_s"] = 10.0  # where the scale ends
    page = opener.open(opener.file(document), "#view=durations&area=yama")
    (histogram,) = page.locator(".plots svg").all()
    assert str(histogram.get_attribute("aria-label")).startswith(f"yama: {len(ran)} tests, ")
    bars = [int(text.split()[0]) for text in histogram.locator("rect title").all_text_contents()]
    assert sum(bars) == len(ran)
    assert shown(page, ".slowest li")[0].split("\n")[0] == "10 s"
    assert shown(page, ".slowest .open")[0] == ran[0]["nodeid"].removeprefix("suites/")
    assert page.locator("svg .name").all_text_contents() == [sample.kernel_id(0), sample.kernel_id(1)]


@pytest.mark.parametrize("view", VIEWS)
def test_hostile_text_does_no_harm(opener: Opener, view: str) -> None:
    page = opener.open(opener.file(sample.hostile(), compare=True), f"#view={view}")
    page.fill("#q", "hacked")
    page.evaluate(
        "openPanel({ test: RESULTS.find((each) => each.test.includes('hacked') && each.outcome === 'fail').test })"
    )
    panel = page.get_by_role("dialog")
    page.evaluate("for (const each of document.querySelectorAll('dialog details')) each.open = true")
    assert sample.SPELLED in page.inner_text("h1")
    assert sample.SPELLED in panel.inner_text()
    assert sample.SPELLED in page.locator("details.piece pre").first.inner_text()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    links = page.evaluate("[...document.querySelectorAll('dialog a')].map((each) => each.protocol)")
    assert set(links) == {"file:"}
