# SPDX-License-Identifier: GPL-2.0-or-later
"""A run of a kernel that crashes while it boots: one broken promise, and an error for every other test."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs.kernel import Kernel
from suites.harness.checkout import ROOT
from suites.harness.project.separate_run import SeparateRun, kernel_options


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_crash_breaks_one_promise_once(kernel: Kernel, tmp_path: Path, workers: str) -> None:
    """The exit status is 1, so that a gate which repeats or ignores runs that end with 3 does not let it through."""
    arguments = ("-p", "suites.harness.project.samples.crashing_boot", "-n", workers, "suites/yama/test_talk.py")
    options = kernel_options(kernel, tmp_path)
    with SeparateRun(tmp_path, "-c", str(ROOT / "pyproject.toml"), *arguments, *options) as run:
        assert run.wait() == 1, run.said()
        results = run.results()["results"]
    (failed,) = [result for result in results if result["outcome"] == "fail"]
    others = [result for result in results if result is not failed]
    assert failed["breaks"] == ["boot.reaches-init"]
    assert "Kernel panic - not syncing: planted" in failed["reason"]
    assert (run.report / failed["evidence"]["console"]).read_text() == "Kernel panic - not syncing: planted\n"
    assert {result["outcome"] for result in others} == {"error"}
    assert all("another test reports it" in result["reason"] for result in others)
