# SPDX-License-Identifier: GPL-2.0-or-later
"""An error that every test has, such as a kernel that cannot be built, does not fill the terminal."""

from __future__ import annotations

import json

import pytest

from reports.run.printed_reports import PRINTED_IN_FULL
from suites.harness.reports.run.inner_runs import suite

TESTS = """
import pytest

class NotBuilt(Exception):
    verdict = "error"
    exit_status = 3

@pytest.fixture
def kernel():
    raise NotBuilt("the kernel could not be compiled")

@pytest.mark.parametrize("number", range(8))
def test_guest(kernel, number):
    pass

@pytest.mark.parametrize("number", range(8))
def test_wrong(number):
    assert number < 0, "this one is broken"
"""


@pytest.mark.usefixtures("_inner_project")
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one-process", "workers"])
def test_it_is_printed_a_few_times(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    """The results have it once, and failures are always there: each accuses the kernel of something."""
    suite(pytester, TESTS)
    done = pytester.runpytest_subprocess(*options, "--report-dir=report", timeout=120)
    lines = done.outlines
    raised = [line for line in lines if line.startswith("E ") and "NotBuilt: the kernel could" in line]
    same = [line for line in lines if line.startswith("the same error as that of ")]
    assert (len(raised), len(same)) == (PRINTED_IN_FULL, 8 - PRINTED_IN_FULL)
    assert "::test_guest[" in same[0]
    assert len([line for line in lines if line.startswith("E ") and "this one is broken" in line]) == 8
    results = json.loads((pytester.path / "report" / "results.json").read_text())["results"]
    (full,) = [result for result in results if "raise NotBuilt(" in result["longrepr"]]
    named = f"the same error as that of {full['nodeid']}, which has it in full"
    assert len([result for result in results if result["longrepr"] == named]) == 7
    assert len([result for result in results if "this one is broken" in result["longrepr"]]) == 8
