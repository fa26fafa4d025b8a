# SPDX-License-Identifier: GPL-2.0-or-later
"""index.html in a real browser, without network: what it shows, filters and opens, and what it must not do.

The browser is the machine's own Chromium; playwright drives it and brings none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reports.formats import index_html
from reports.model.document import load
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

CONTRASTS = """() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => numbers(color).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const paper = (node) => {
    const color = getComputedStyle(node).backgroundColor;
    return numbers(color)[3] === 0 && node.parentElement ? paper(node.parentElement) : color;
  };
  const found = {};
  const texts = ".badge, .about, .sentence, .reason, .open, a, dt, td, th, pre, #said";
  for (const node of document.querySelectorAll(texts)) {
    if (node.closest(".aside")) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(paper(node))].sort((one, other) => other - one);
    const key = `${node.tagName}.${node.className}`;
    found[key] = Math.min(found[key] ?? 99, (a + 0.05) / (b + 0.05));
  }
  return found;
}"""


def requirement_ids(wanted: Callable[[dict[str, Any]], object] = bool) -> list[str]:
    return [
        each["id"] for area in sample.AREAS for each in SMALL["requirements"] if each["area"] == area and wanted(each)
    ]


def nodeids(wanted: Callable[[dict[str, Any]], bool]) -> set[str]:
    return {each["nodeid"].removeprefix("suites/") for each in SMALL["results"] if wanted(each)}


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


@pytest.fixture
def opener(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    made = Opener(browser, tmp_path)
    yield made
    made.close()
    assert made.complaints == [], "on the console"
    assert [url for url in made.requests if not url.startswith(tmp_path.as_uri())] == []


def shown(page: Page, selector: str) -> list[str]:
    return page.locator(selector).all_inner_texts()


def chip(page: Page, name: str, *values: str) -> None:
    for value in values:
        page.locator(f'.chip[data-filter="{name}"][data-value="{value}"]').click()


def loadpin_at_fault(page: Page) -> None:
    page.fill("#q", "loadpin")
    chip(page, "status", "waived", "unknown")


def address(page: Page) -> str:
    return str(page.evaluate("location.hash"))


def close_panel(page: Page) -> None:
    """Press Escape, and wait until the page has followed: its event comes some time after the panel has closed."""
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="hidden")
    page.wait_for_function("!/promise=|test=/.test(location.hash)")


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
    assert names[-4:] == ["skipped", "built in", "booted in", "tests took"]
    cells = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
    assert [row[-3:-1] for row in cells] == [["3 min 10 s", "17 s"], ["", ""]]
    assert table.locator("td[title='3 boots']").inner_text() == "17 s"
    plain = opener.open(opener.file(SMALL)).locator("table.kernels th[scope=col]").all_inner_texts()
    assert plain[-2:] == ["skipped", "tests took"]


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


@pytest.mark.parametrize("panel", [False, True], ids=["page", "panel"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_scrolls_no_body_sideways(opener: Opener, view: str, panel: bool) -> None:
    document = sample.hostile()
    document["kernels"] += sample.document(kernels=10)["kernels"][2:]
    page = opener.open(opener.file(document, compare=True), f"#view={view}", viewport=PHONE)
    if panel:
        page.evaluate("openPanel({ test: RESULTS.find((each) => each.test.includes('hacked')).test })")
        assert page.evaluate("document.querySelector('dialog').scrollWidth") <= PHONE["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    if view == "matrix" and not panel:
        head = page.locator(".matrix tbody th[scope=row]").first
        before = head.bounding_box()
        page.evaluate("document.querySelector('.grid').scrollLeft = 150")
        assert page.evaluate("document.querySelector('.grid').scrollLeft") == 150, "the matrix scrolls by itself"
        assert head.bounding_box() == before, "the promises stay in sight"


def test_dark_mode_is_dark(opener: Opener) -> None:
    path = opener.file(SMALL)
    colors = {
        scheme: opener.open(path, color_scheme=scheme).evaluate(
            "getComputedStyle(document.documentElement).backgroundColor"
        )
        for scheme in ("light", "dark")
    }
    assert colors == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_fits_on_paper_and_is_printed_light(opener: Opener, view: str) -> None:
    """A4 has about 720 pixels between its margins; a browser either shrinks what is wider, or cuts it off."""
    path = opener.file(sample.document(kernels=6), compare=True)
    page = opener.open(path, f"#view={view}", color_scheme="dark", viewport={"width": 720, "height": 1000})
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 720
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav, #filters, .turn button").locator("visible=true").count() == 0


def test_of_an_open_panel_only_that_is_printed(opener: Opener) -> None:
    """All of it, on as many sheets as it needs."""
    page = opener.open(opener.file(SMALL))
    page.evaluate("openPanel({ test: RESULTS.find((each) => each.outcome === 'fail').test })")
    page.evaluate("for (const each of document.querySelectorAll('dialog details')) each.open = true")
    page.emulate_media(media="print")
    visible = page.locator("body > *").locator("visible=true")
    assert [each.evaluate("(node) => node.id") for each in visible.all()] == ["panel"]
    assert page.evaluate(
        "[...document.querySelectorAll('dialog, dialog pre')].every((each) => each.scrollHeight <= each.offsetHeight)"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_text_stands_out_from_its_ground(opener: Opener, view: str, scheme: str) -> None:
    """4.5 is what WCAG asks for text of this size."""
    page = opener.open(opener.file(SMALL, compare=True), f"#view={view}", color_scheme=scheme)
    page.evaluate("openPanel({ test: RESULTS.find((each) => each.outcome === 'fail').test })")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 10
    assert {name: value for name, value in contrasts.items() if value < 4.5} == {}


def test_without_scripts_the_page_says_what_to_read(opener: Opener) -> None:
    page = opener.open(opener.file(SMALL), java_script_enabled=False)
    assert "drawn by a script" in page.inner_text("body")
    assert shown(page, "noscript a") == ["results.json", "evidence"]


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
