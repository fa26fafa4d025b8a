# SPDX-License-Identifier: GPL-2.0-or-later
"""The summary on the terminal after a run."""

from __future__ import annotations

from reports.model.result import Result
from reports.run.terminal_summary import Summary
from suites.harness.reports.documents import REQUIREMENTS, kernel_record, numbered_record


class TestSummary:
    def lines(self, found: list[Result], verbosity: int = 0) -> list[str]:
        summary = Summary(
            results=found,
            kernels={"k/full": kernel_record(release="6.12.1", accel="tcg")},
            requirements=REQUIREMENTS,
            report_dir="out",
            status=1,
            problems=(),
        )
        return [line.text.strip() for line in summary.lines(verbosity=verbosity)]

    def test_equal_errors_are_one_entry(self) -> None:
        lines = self.lines([numbered_record(number, "error", reason="no boot") for number in range(60)])
        assert lines.count("no boot") == 1
        assert "suites/yama/test_x.py::test_0 and 59 more" in lines
        assert "k/full (6.12.1, tcg): 0 held, 0 broken, 0 not applicable, 60 errors" in lines

    def test_a_complaint_at_boot_is_told_with_its_kernel(self) -> None:
        summary = Summary(
            results=[numbered_record(1)],
            kernels={"k/full": kernel_record(boot_complaint="BUG: early")},
            requirements=REQUIREMENTS,
            report_dir="out",
            status=0,
            problems=(),
        )
        lines = [line.text for line in summary.totals()]
        assert [line for line in lines if "complained" in line] == ["k/full complained while it booted: BUG: early"]

    def test_skips_are_counted_by_reason_and_left_out_with_q(self) -> None:
        skips = [numbered_record(number, "skip", reason="no CONFIG_X") for number in range(3)]
        assert "3  no CONFIG_X" in self.lines(skips)
        assert "3  no CONFIG_X" not in self.lines(skips, verbosity=-1)

    def test_a_long_list_is_cut_but_not_with_v(self) -> None:
        broken = [numbered_record(number, "fail", reason=f"reason {number}") for number in range(50)]
        assert "... and 30 more, see results.json" in self.lines(broken)
        assert "reason 49" not in self.lines(broken)
        assert "reason 49" in self.lines(broken, verbosity=1)
