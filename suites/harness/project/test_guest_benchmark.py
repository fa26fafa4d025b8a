# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark of guests compares kernels with the first one."""

from __future__ import annotations

import io

from rich.console import Console

from suites.bench.guest_benchmark import Speed, compared


def test_ratios_are_to_the_first_kernel() -> None:
    own = Speed("x86", boot=2.0, clone=0.02, round_trip=0.001, scenario=0.1)
    other = Speed("arm64", boot=3.0, clone=0.02, round_trip=0.0005, scenario=0.15)
    printed = io.StringIO()
    Console(file=printed, width=100).print(compared([own, other]))
    rows = [line.strip("│ ").split(" │ ") for line in printed.getvalue().splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["x86", "1.00", "1.00", "1.00", "1.00"],
        ["arm64", "1.50", "1.00", "0.50", "1.50"],
    ]
