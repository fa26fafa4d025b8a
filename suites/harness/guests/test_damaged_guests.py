# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs whose guests send damaged data, or are silent: no kernel is blamed, and the run continues to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kconfigs.kernel import Kernel
from suites.harness.checkout import ROOT

DEADLINE_S = 900.0
PLUGIN = "suites.harness.project.samples.damaged_channel"
TALK = "suites/yama/test_talk.py"


@dataclass(frozen=True)
class Run:
    status: int
    said: str
    report: Path
    results: list[dict[str, Any]]

    def outcomes(self) -> Counter[str]:
        return Counter(result["outcome"] for result in self.results)

    def evidence(self, result: dict[str, Any], title: str) -> str:
        path: str = result["evidence"][title]
        return (self.report / path).read_text()


def run(kernel: Kernel, folder: Path, damage: str, *arguments: str) -> Run:
    config, report = folder / "config", folder / "report"
    config.write_text(kernel.config.render())
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", PLUGIN, "-n", "0"]
    command += ["-p", "no:cacheprovider", *arguments]
    command += [f"--kernel={kernel.image}", f"--kernel-config={config}", f"--report-dir={report}"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "KCONFORM_DAMAGE": damage},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "INTERNALERROR" not in said, said
    return Run(done.returncode, said, report, json.loads((report / "results.json").read_text())["results"])


def test_flipped_bits_are_harness_errors(kernel: Kernel, tmp_path: Path) -> None:
    """Every second guest's data has flipped bits, and only the tests that receive one are errors."""
    found = run(kernel, tmp_path, "flip", "suites/yama", "-k", "talk or relations or scopes")
    outcomes = found.outcomes()
    assert outcomes["fail"] == 0, found.said
    assert outcomes["error"] > 3
    assert outcomes["pass"] > len(found.results) // 3
    assert found.status == 3
    assert sum(outcomes.values()) == len(found.results) > 40
    errors = [result for result in found.results if result["outcome"] == "error"]
    for result in errors:
        assert "the guest sent invalid data during " in result["reason"]
    assert any("transcript" in result["evidence"] for result in errors)


def test_a_silent_clone_is_an_error_with_evidence(kernel: Kernel, tmp_path: Path) -> None:
    """The test has not begun, so the kernel has broken no promise.  The tests after it get new guests."""
    found = run(kernel, tmp_path, "mute", TALK)
    first, second, *others = found.results
    assert second["outcome"] == "error", found.said
    assert "did not start: the kernel has hung since the first answer" in second["reason"]
    assert "Linux version" in found.evidence(second, "console of the boot")
    assert {result["outcome"] for result in (first, *others)} <= {"pass", "skip"}
    assert found.status == 3


def test_a_spare_clone_that_cannot_start_is_the_next_tests_error(kernel: Kernel, tmp_path: Path) -> None:
    found = run(kernel, tmp_path, "unprepared", TALK)
    failed = [number for number, result in enumerate(found.results) if result["outcome"] == "error"]
    assert failed == [1], found.said
    assert "planted: no spare clone" in found.results[1]["reason"]


def test_an_endless_log_is_an_error_with_the_kept_part_as_evidence(kernel: Kernel, tmp_path: Path) -> None:
    """Complaints would be missed.  The evidence contains no control sequences."""
    found = run(kernel, tmp_path, "greedy", TALK)
    errors = [result for result in found.results if result["outcome"] == "error"]
    assert errors, found.said
    assert len(errors) == len(found.results)
    assert all("the kernel logs too much to be read to the end" in result["reason"] for result in errors)
    assert "faster than its log can be read" in found.evidence(errors[0], "kernel log")
    assert "\x1b[2J" not in found.said
