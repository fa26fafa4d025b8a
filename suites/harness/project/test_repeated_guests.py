# SPDX-License-Identifier: GPL-2.0-or-later
"""Each attempt at a test has a guest that has only just booted, after a crash, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs.kernel import Kernel
from suites.harness.checkout import ROOT
from suites.harness.project.separate_run import SeparateRun, kernel_options

FLUKES = "suites/harness/project/samples/flukes.py"


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["no-workers", "two-workers"])
def test_a_failure_is_confirmed_on_fresh_guests(kernel: Kernel, tmp_path: Path, workers: tuple[str, ...]) -> None:
    attempts = tmp_path / "attempts"
    attempts.mkdir()
    arguments = ("-c", str(ROOT / "pyproject.toml"), *workers, FLUKES, "--confirm=2", "--reproducers=none")
    with SeparateRun(
        tmp_path, *arguments, *kernel_options(kernel, tmp_path), env={"KCONFORM_ATTEMPTS": str(attempts)}
    ) as run:
        assert run.wait() == 1, run.said()
    results = run.results()["results"]
    found = {each["nodeid"].partition("::test_")[2].partition("[")[0]: each for each in results}
    outcomes = {name: (each["outcome"], each["repetition"]["broken"]) for name, each in found.items()}
    assert outcomes == {"always": ("fail", 2), "sometimes": ("flaky", 0), "crash_once": ("flaky", 0)}
    assert "the kernel went down during" in found["crash_once"]["reason"]
    assert {name: len(each["repetition"]["attempts"]) for name, each in found.items()} == dict.fromkeys(found, 3)
    assert [file.name for file in sorted(attempts.glob("test_always-*"))] == [f"test_always-{n}" for n in (1, 2, 3)]
