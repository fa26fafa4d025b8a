# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs on a kernel that is older than its promises: what it says and what a profile lists decides what is tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from kconfigs.kernel import Kernel
from suites.harness.checkout import ROOT
from suites.harness.project.separate_run import SeparateRun, kernel_options

YOUNGER = """
from dataclasses import replace
from reports.run.requirement_marker import registry

PROBES = {
    "seccomp.notif-wait-killable": "filter-flag WAIT_KILLABLE_RECV",
    "seccomp.notif-signal": "option NO_KERNEL_HAS_THIS",
    "seccomp.notif-restart": "",
    "seccomp.notif-kill": "",
}

def pytest_configure(config):
    known = registry(config)
    for name, probe in PROBES.items():
        known[name] = replace(known[name], since="9.9", probe=probe)
"""
"""A plugin that makes promises younger than any kernel."""

TESTS = (
    "suites/seccomp/test_notify_signals.py::test_wait_killable_needs_a_listener",
    "suites/seccomp/test_notify_signals.py::test_a_signal_that_is_not_delivered",
    "suites/seccomp/test_notify_signals.py::test_a_restarted_call_is_a_new_notification",
    "suites/seccomp/test_notify.py::test_a_caller_is_killed",
)

PROFILE = """
text = "Ours."
[[backport]]
requirements = ["seccomp.notif-restart"]
source = "our changelog"
"""


@pytest.mark.needs("SECCOMP_FILTER")
def test_what_is_tested_on_an_older_kernel(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "younger.py").write_text(YOUNGER)
    (tmp_path / "ours.toml").write_text(PROFILE)
    arguments = ("-c", str(ROOT / "pyproject.toml"), *TESTS, "-p", "younger", f"--profile={tmp_path}/ours.toml")
    env = {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    with SeparateRun(tmp_path, *arguments, *kernel_options(kernel, tmp_path), env=env) as run:
        assert run.wait() == 0, run.said()
        results = {result["requirements"][0]: result for result in run.results()["results"]}
    older = f"since Linux 9.9, this is {'.'.join(map(str, kernel.version))}"
    found = {name: (result["outcome"], result["reason"]) for name, result in results.items()}
    probe = "filter-flag WAIT_KILLABLE_RECV"
    listed = f"profile ours lists it: our changelog ({tmp_path}/ours.toml:3: [[backport]] 1)"
    expected = {
        "seccomp.notif-wait-killable": ("pass", f"{older}, but the kernel says that it has {probe}"),
        "seccomp.notif-signal": ("skip", f"{older}, which does not say that it has option NO_KERNEL_HAS_THIS"),
        "seccomp.notif-restart": ("pass", f"{older}, but {listed}"),
        "seccomp.notif-kill": ("skip", older),
    }
    if kernel.version < (5, 19):
        expected["seccomp.notif-wait-killable"] = ("skip", f"{older}, which does not say that it has {probe}")
    assert found == {
        name: (outcome, f"backported: {name}: {reason}" if outcome == "pass" else reason)
        for name, (outcome, reason) in expected.items()
    }
    assert "remark" in results["seccomp.notif-restart"]["evidence"]


def test_a_profile_that_lists_an_unknown_promise(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text(PROFILE.replace("notif-restart", "notif-restarts"))
    tests = "suites/seccomp/test_notify_signals.py"
    with SeparateRun(
        tmp_path, "-c", str(ROOT / "pyproject.toml"), tests, f"--profile={tmp_path}/ours.toml", "--collect-only"
    ) as run:
        assert run.wait() == 4, run.said()
        place = f"{tmp_path}/ours.toml:3: [[backport]] 1"
        message = f"{place}: unknown requirement 'seccomp.notif-restarts'; did you mean 'seccomp.notif-restart'"
        assert message in run.said()
