# SPDX-License-Identifier: GPL-2.0-or-later
"""Which parts of a run are in index.html, and in what form; the tests of index.html show it to a browser."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from reports.formats import page_data
from reports.formats.index_html import render
from reports.formats.page_data import PIECE_LIMIT
from reports.judgement.comparison import KINDS
from reports.model.result import STATUSES, VERDICTS
from suites.harness.checkout import ROOT
from suites.harness.reports import page_sample as sample
from suites.harness.reports.documents import TIME, read, result

SMALL = sample.document()
READ = sample.read(SMALL)


def embedded(page: str) -> dict[str, Any]:
    """The data in a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    page = render(sample.read(sample.hostile()), lambda path: path + sample.HOSTILE, sample.comparison())
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    outside = re.sub(r'<script type="application/json".*?</script>', "", page, flags=re.DOTALL)
    assert re.findall(r"https?:(?!//www\.w3\.org/2000/svg)|@import|url\(|<[^>]*\bsrc=|<link|<img", outside) == []
    assert "default-src 'none'" in outside


def test_what_a_kernel_says_reaches_the_page_whole_and_spelled_out() -> None:
    data = embedded(render(sample.read(sample.hostile()), lambda _: sample.HOSTILE + "\nsecond", sample.comparison()))
    assert data["run"]["id"] == sample.SPELLED
    assert data["kernels"][1]["id"] == sample.SPELLED
    (number,) = [place for place, row in enumerate(data["results"]) if sample.SPELLED in row[0]]
    assert data["texts"][str(number)][0] == ["failure", sample.SPELLED]
    assert data["texts"][str(number)][1] == [sample.SPELLED, f"{sample.SPELLED}\nsecond"]


def test_the_page_has_a_sign_and_a_colour_for_every_word_and_none_is_green_that_is_not_held() -> None:
    templates = ROOT / "reports" / "templates"
    script = "".join((templates / name).read_text(encoding="utf-8") for name in ("elements.js", "state.js"))
    signs, tones, worst = (
        re.search(rf"const {name} = [{{\[](.*?)[}}\]];", script, re.DOTALL)[1]  # type: ignore[index]
        for name in ("SIGNS", "TONES", "WORST")
    )

    def table(text: str) -> dict[str, str]:
        return {key.strip('"'): value for key, value in re.findall(r'("[^"]+"|\w+): "([^"]+)"', text)}

    assert set(table(signs)) >= {*VERDICTS, *STATUSES}
    assert set(table(tones)) >= {*VERDICTS, *STATUSES, *KINDS.values()} - {"changed reason"}
    assert set(re.findall(r'"([\w-]+)"', worst)) == set(VERDICTS)
    green = {word for word, tone in table(tones).items() if tone == "good"}
    assert green == {"pass", "held", "newly passing"}


def test_a_repeated_test_lists_its_attempts() -> None:
    tried = [{"outcome": "fail", "reason": "why"}, {"outcome": "pass", "reason": ""}]
    repetition = {
        "option": "confirm",
        "broken": 0,
        "of": 1,
        "attempts": [{**each, "started": TIME, "duration_s": 0.25} for each in tried],
    }
    data = page_data.page_data(read(result("yama/a", "flaky", repetition=repetition)), sample.evidence)
    assert data["texts"][0][0] == ("attempts", "1: fail after 0.25 s why\n2: pass after 0.25 s")


def test_only_what_did_not_pass_brings_its_evidence_along() -> None:
    data = page_data.page_data(READ, sample.evidence)
    shown = {SMALL["results"][number]["outcome"] for number in data["texts"]}
    assert shown == {"fail", "error", "waived", "unexpected-pass"}
    assert data["without"] == 0
    titles = {
        SMALL["results"][number]["outcome"]: [title for title, _ in texts] for number, texts in data["texts"].items()
    }
    assert titles["fail"] == ["failure", "transcript", "process tree", "kernel log"]
    assert titles["waived"] == ["transcript", "process tree", "kernel log"]


def test_evidence_is_bounded_the_worst_first_and_what_lacks_is_counted() -> None:
    read: list[str] = []

    def long_text(path: str) -> str:
        read.append(path)
        return "x" * 2 * PIECE_LIMIT

    fails = [number for number, each in enumerate(SMALL["results"]) if each["outcome"] == "fail"]
    others = [each for each in SMALL["results"] if each["outcome"] in ("error", "waived", "unexpected-pass")]
    data = page_data.page_data(READ, long_text, room=PIECE_LIMIT * 5 // 2)
    assert list(data["texts"]) == fails[:1], "the first that failed comes first"
    assert [name for name, _ in data["texts"][fails[0]]] == ["failure", "transcript", "process tree"]
    title, text = data["texts"][fails[0]][1]
    assert title == "transcript"
    assert text.startswith(f"[... {PIECE_LIMIT} characters before these]\n")
    assert data["without"] == len(fails) + len(others)
    assert len(read) == 3, "what has no room is not read"


def test_evidence_that_is_gone_is_said() -> None:
    def gone(path: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", path)

    data = page_data.page_data(READ, gone)
    texts = {text for pieces in data["texts"].values() for title, text in pieces if title != "failure"}
    assert texts
    assert all(text.endswith("cannot be read: No such file or directory]") for text in texts)


def test_a_comparison_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_data, "COMPARISON_LIMIT", 4)
    data = page_data.page_data(READ, sample.evidence, sample.comparison())
    assert [row["kind"] for row in data["comparison"]] == [row["kind"] for row in sample.comparison()[:4]]
    assert data["uncompared"] == len(sample.comparison()) - 4


def test_a_run_without_kernel_or_result_has_a_page() -> None:
    empty = SMALL | {"kernels": [], "results": [], "requirements": []}
    assert page_data.page_data(sample.read(empty), sample.evidence)["kernels"] == []
    without = {**SMALL["results"][0], "kernel": None}
    assert (
        page_data.page_data(sample.read(empty | {"results": [without]}), sample.evidence)["kernels"][0]["id"]
        == "(no kernel)"
    )
