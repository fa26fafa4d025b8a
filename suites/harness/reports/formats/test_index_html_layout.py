# SPDX-License-Identifier: GPL-2.0-or-later
"""index.html in a browser: phones, dark mode, print, contrast, and a browser without scripts."""

from __future__ import annotations

import pytest

from suites.harness.reports import page_sample as sample
from suites.harness.reports.formats.page_browser import PHONE, SMALL, VIEWS, Opener, shown

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
