# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform soak`: what counts as drift, as lost, and as blaming a kernel for a fault of the host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from suites.harness.checkout import ROOT
from suites.soak.__main__ import blamed, drift, lost
from suites.soak.guest_faults import INJECTED
from suites.soak.repetition import Sample

TIMES = 4


def sample(number: int, nodeid: str = "a", *, rss_mib: float = 50.0, fault: str = "") -> Sample:
    return Sample(
        worker="gw0",
        nodeid=nodeid,
        end_s=number,
        duration_s=0.1,
        rss_mib=rss_mib,
        descriptors=20,
        children=1,
        fault=fault,
    )


def passing(samples: Sequence[Sample]) -> list[dict[str, str]]:
    return [{"nodeid": each.nodeid, "outcome": "pass", "reason": ""} for each in samples]


@pytest.mark.parametrize(
    ("per_test_mib", "grows"), [(0.0, []), (1.0, []), (5.0, ["rss_mib"])], ids=["constant", "a-little", "a-leak"]
)
def test_growth_is_drift(per_test_mib: float, grows: list[str]) -> None:
    """Ten tests in each pass."""
    samples = [sample(number, rss_mib=50 + number * per_test_mib) for number in range(10 * TIMES)]
    assert [each.what for each in drift(samples, TIMES) if each.too_much] == grows


def test_the_first_pass_may_fill_caches() -> None:
    samples = [sample(number, rss_mib=10 if number < 10 else 500) for number in range(10 * TIMES)]
    assert [each.what for each in drift(samples, TIMES) if each.too_much] == []


def test_a_test_that_ran_too_seldom_is_lost() -> None:
    samples = [sample(1), sample(2), sample(3, "b")]
    assert list(lost(samples, 2)) == ["b ran 1 times instead of 2"]


def test_results_are_counted() -> None:
    samples = [sample(1), sample(2, "b")]
    assert list(blamed(samples, passing(samples[:1]), 0)) == ["b has no result", "there are 1 results of 2 tests"]


@pytest.mark.parametrize(
    ("outcome", "reason", "fault", "problem"),
    [
        ("error", "QEMU was killed", "killed", ""),
        ("error", f"OSError: {INJECTED}", "", ""),
        ("error", "QEMU was killed", "", "is an error without a fault"),
        ("fail", "evil attached", "killed", "blames the kernel"),
    ],
)
def test_a_fault_explains_an_error_and_no_failure(outcome: str, reason: str, fault: str, problem: str) -> None:
    results = [{"nodeid": "a", "outcome": outcome, "reason": reason}]
    found = list(blamed([sample(1, fault=fault)], results, 3))
    assert len(found) == bool(problem)
    assert problem in "".join(found)


def test_a_soak_of_a_small_project(tmp_path: Path) -> None:
    """Every test runs as often as asked for, by two workers, each time with its own fixtures."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p reports.run.plugin -p no:hypothesispytest\n")
    (tmp_path / "test_small.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def fresh():\n    return []\n"
        "@pytest.mark.parametrize('number', range(3))\n"
        "def test_small(number, fresh):\n    fresh.append(number)\n    assert fresh == [number]\n"
    )
    samples = tmp_path / "samples"
    samples.mkdir()
    command = [sys.executable, "-m", "pytest", "-p", "suites.soak.repetition", "--soak-times", "5", "-n", "2"]
    command += ["--soak-samples", str(samples), "--report-dir", str(tmp_path / "report"), str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ran = [json.loads(line) for path in samples.glob("gw*.jsonl") for line in path.read_text().splitlines()]
    results = json.loads((tmp_path / "report" / "results.json").read_text())["results"]
    assert len(ran) == len(results) == 15
    assert {result["outcome"] for result in results} == {"pass"}
