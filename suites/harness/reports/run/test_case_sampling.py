# SPDX-License-Identifier: GPL-2.0-or-later
"""`--cases N`: which cases of a test a kernel gets.  What a run says about it is in test_quick_marker.py."""

from __future__ import annotations

import pytest

from reports.run.case_sampling import chosen
from suites.harness.reports.run.inner_runs import prepare


def test_each_kernel_gets_the_cases_that_follow() -> None:
    cases = [(name, kernel) for kernel in ("first", "second", "third") for name in ("a", "a", "a", "b", "b")]
    assert chosen(cases, 1) == [0, 3, 6, 9, 12, 13]
    assert chosen(cases, 2) == [0, 1, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14]
    assert chosen(cases, 3) == list(range(15))


def test_a_function_may_have_fewer_cases_for_a_kernel() -> None:
    """It is not tested with all of them."""
    assert chosen([("a", "first"), ("a", "first"), ("a", "second"), ("b", "")], 1) == [0, 2, 3]


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", ""])
def test_it_is_a_number_of_cases(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    prepare(pytester, monkeypatch)
    done = pytester.runpytest_subprocess(f"--cases={number}")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(f"*argument --cases: {number!r} is not a number of cases of 1 or more")
