# SPDX-License-Identifier: GPL-2.0-or-later
"""Results of each verdict, with text that each format must escape."""

from __future__ import annotations

from suites.harness.reports.documents import NEXT, result

NASTY = "# SKIP <b>|`x`*\x1b[2J\u2028 100% \udcff"
OUTCOMES = ("pass", "fail", "error", "skip", "waived", "unexpected-pass", "flaky")
SAMPLE = [
    *(result(f"yama/{outcome}", outcome) for outcome in OUTCOMES),
    *(result(f"loadpin/nasty[{outcome}]", outcome, NASTY) for outcome in OUTCOMES),
    result("seccomp/old", "skip", on=NEXT),
    result("seccomp/older", "skip", on=NEXT),
    result("yama/held", on=NEXT),
    result("harness/lost", "error", on=None),
]
