# SPDX-License-Identifier: GPL-2.0-or-later
"""The summary in Markdown."""

from __future__ import annotations

from pathlib import Path

from reports.formats import markdown_summary
from reports.judgement.comparison import compare
from suites.harness.reports.documents import FULL, read, result
from suites.harness.reports.formats.format_samples import SAMPLE


class TestSummary:
    def test_it_has_a_row_for_each_kernel_and_what_broke(self) -> None:
        lines = markdown_summary.render(read(*SAMPLE, exit_status=1)).splitlines()
        assert "**exit status 1: a promise was broken** (sample, 18 tests, 2 s)" in lines
        assert "| kernel | pass | fail | error | skip | waived | unexpected-pass | flaky |" in lines
        assert "| debian-6.12.117/full | 2 | 2 | 2 | 2 | 2 | 2 | 2 |" in lines
        assert f"- `suites/yama/test_it.py::test_fail[{FULL}]`  " in lines
        assert "  why fail" in lines
        assert "  - yama.fail: The promise yama.fail." in lines
        assert "- 1 x why error" in lines or "- 2 x why error" in lines

    def test_flaky_tests_have_a_section_of_their_own(self) -> None:
        text = markdown_summary.render(read(result("yama/scope", "flaky", "broken in 1 of 3 attempts: OK")))
        assert "### Broken promises" not in text
        _, _, section = text.partition("### Flaky promises, broken in some attempts and not in others\n")
        assert f"- `suites/yama/test_it.py::test_scope[{FULL}]`  " in section
        assert "  broken in 1 of 3 attempts: OK" in section
        assert "  - yama.scope: The promise yama.scope." in section

    def test_it_tells_what_newly_fails(self) -> None:
        old, new = read(result("yama/scope")), read(result("yama/scope", "fail"))
        text = markdown_summary.render(new, compare(old, new))
        assert "1 newly failing, 0 as before" in text
        assert f"- `suites/yama/test_it.py::test_scope[{FULL}]`: pass -\\> fail" in text

    def test_it_is_bounded(self) -> None:
        many = read(*(result(f"yama/t{n}[{'x' * 900}]", "fail", "\u4e2d" * 500) for n in range(900)))
        text = markdown_summary.render(many, compare(read(result("yama/t0[" + "x" * 900 + "]")), many))
        assert len(text.encode()) <= markdown_summary.LIMIT
        assert "... and more: see results.json" in text

    def test_it_goes_to_the_page_of_githubs_step_as_far_as_there_is_room(self, tmp_path: Path) -> None:
        page = tmp_path / "step"
        page.write_text("before\n")
        markdown_summary.append_to_step("ours\n", {markdown_summary.STEP_SUMMARY: str(page)})
        assert page.read_text() == "before\n\nours\n"
        page.write_bytes(b"x" * markdown_summary.STEP_LIMIT)
        markdown_summary.append_to_step("ours\n", {markdown_summary.STEP_SUMMARY: str(page)})
        assert page.stat().st_size == markdown_summary.STEP_LIMIT
        markdown_summary.append_to_step("ours\n", {})
        assert [path.name for path in tmp_path.iterdir()] == ["step"]
