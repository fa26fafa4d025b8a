# SPDX-License-Identifier: GPL-2.0-or-later
"""A run of a kernel that crashes while it boots: one broken promise, and an error for every other test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kconfigs.kernel import Kernel
from suites.harness.checkout import ROOT

DEADLINE_S = 300.0


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_crash_breaks_one_promise_once(kernel: Kernel, tmp_path: Path, workers: str) -> None:
    """The exit status is 1, so that a gate which repeats or ignores runs that end with 3 does not let it through."""
    config, report = tmp_path / "config", tmp_path / "report"
    config.write_text(kernel.config.render())
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-n", workers),
            *("-p", "suites.harness.project.samples.crashing_boot", "-p", "no:cacheprovider"),
            *("suites/yama/test_talk.py", f"--kernel={kernel.image}", f"--kernel-config={config}"),
            f"--report-dir={report}",
        ],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    results = json.loads((report / "results.json").read_text())["results"]
    (failed,) = [result for result in results if result["outcome"] == "fail"]
    others = [result for result in results if result is not failed]
    assert failed["breaks"] == ["boot.reaches-init"]
    assert "Kernel panic - not syncing: planted" in failed["reason"]
    assert (report / failed["evidence"]["console"]).read_text() == "Kernel panic - not syncing: planted\n"
    assert {result["outcome"] for result in others} == {"error"}
    assert all("another test reports it" in result["reason"] for result in others)
