# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMUs of a run end with it, however it ends; and what a run makes of a test that it cannot do."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from kconfigs.kernel import Kernel
from suites.harness.checkout import ROOT
from suites.harness.project.separate_run import SeparateRun, kernel_options

HOLD = "suites/harness/project/samples/hold_guest.py"
LACK = "suites/harness/project/samples/missing_option.py"
STUMBLE = "suites/harness/project/samples/dead_task.py"
TALK = "suites/yama/test_talk.py"
KILLER = "suites.harness.project.samples.killed_run"


class Run(SeparateRun):
    """A separate run on a kernel; tests of samples/hold_guest.py report their guests in `held`."""

    def __init__(self, kernel: Kernel, tmp_path: Path, *arguments: str) -> None:
        self.held = tmp_path / "held"
        self.held.mkdir(exist_ok=True)
        super().__init__(
            tmp_path,
            *("-c", str(ROOT / "pyproject.toml"), *arguments, *kernel_options(kernel, tmp_path)),
            env={"KCONFORM_HELD": str(self.held)},
        )


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 2, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 2, id="terminated"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="killed"),
    ],
)
@pytest.mark.parametrize("workers", [pytest.param(("-n", "2"), id="two-workers"), pytest.param((), id="no-workers")])
def test_no_qemu_outlives_a_run_that_is_ended(
    kernel: Kernel, tmp_path: Path, number: signal.Signals, status: int, workers: tuple[str, ...]
) -> None:
    """Guests and spare clones end with the run."""
    with Run(kernel, tmp_path, HOLD, *workers) as run:
        run.wait_while_running(lambda: len(list(run.held.iterdir())) == max(1, len(workers)), "guests are held")
        assert any(name.startswith("qemu") for name in run.processes())
        os.kill(run.process.pid, number)
        assert run.wait() == status
        run.wait_until_gone()


def test_a_run_that_was_killed_is_resumed(kernel: Kernel, tmp_path: Path) -> None:
    """The tests on this kernel that had a verdict keep it; the others are tested."""
    with Run(kernel, tmp_path, TALK, "-n", "0", "-p", KILLER) as run:
        assert run.wait() == -signal.SIGKILL, run.said()
        run.wait_until_gone()
    before = run.results()["results"]
    assert before
    with Run(kernel, tmp_path, TALK, "-n", "0", "--resume") as run:
        assert run.wait() == 0, run.said()
    document = run.results()
    assert document["run"]["resumed"]["results"] == len(before)
    assert [result for result in document["results"] if result in before] == before
    assert len({result["nodeid"] for result in document["results"]}) == document["run"]["collected"] > len(before)
    assert {result["outcome"] for result in document["results"]} <= {"pass", "skip"}


def test_nothing_outlives_a_run_that_ends(kernel: Kernel, tmp_path: Path) -> None:
    """The spare clone that no test took ends too."""
    with Run(kernel, tmp_path, TALK, "-n", "2") as run:
        assert run.wait() == 0, run.log.read_text()
        assert run.processes() == []


def test_boots_are_no_part_of_the_tests_that_wait_for_them(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is empty: one worker boots, the other waits for the same boot."""
    monkeypatch.setenv("KCONFORM_CACHE", str(tmp_path / "cache"))
    with Run(kernel, tmp_path, TALK, "-k", "gdb or daemon", "-n", "2", "--accel=tcg") as run:
        assert run.wait() == 0, run.log.read_text()
    report = json.loads((tmp_path / "report" / "results.json").read_text())
    assert {result["worker"] for result in report["results"]} == {"gw0", "gw1"}
    took = report["kernels"][0]["preparation"]
    assert took["boots"] == 1
    assert took["boot_s"] > max(result["duration_s"] for result in report["results"])


def test_the_qemu_of_a_killed_worker_ends(kernel: Kernel, tmp_path: Path) -> None:
    """The worker's test is an error, the run continues to its end, and no QEMU is left."""
    with Run(kernel, tmp_path, HOLD, "-n", "2", "--max-worker-restart=0") as run:
        run.wait_while_running(lambda: len(list(run.held.iterdir())) == 2, "guests are held")
        for child in psutil.Process(run.process.pid).children():
            child.kill()
        assert run.wait() == 3, run.log.read_text()
        run.wait_until_gone()


def test_a_splat_replaces_a_harness_error(kernel: Kernel, tmp_path: Path) -> None:
    """A task that an oops killed takes no orders: then the kernel has failed.  Otherwise, it is a harness error."""
    with Run(kernel, tmp_path, STUMBLE, "-n", "0") as run:
        assert run.wait() == 1, run.log.read_text()
    results = json.loads((tmp_path / "report" / "results.json").read_text())["results"]
    splat, none = [(result["outcome"], result["reason"]) for result in results]
    assert splat == ("fail", "the kernel complained: BUG: planted")
    assert none[0] == "error"
    assert "the agent refused an order: task[" in none[1]


LACKING = """\
text = "A profile that requires an option that no kernel has."
[[config]]
option = "KCONFORM_NOTHING"
value = "y"
source = "this test"
"""


@pytest.mark.parametrize(
    ("profile", "status", "outcome", "reason"),
    [
        ("kspp", 5, "skip", "needs CONFIG_KCONFORM_MORE, CONFIG_KCONFORM_NOTHING or CONFIG_KCONFORM_LESS"),
        (LACKING, 1, "fail", "CONFIG_KCONFORM_NOTHING is missing, which profile mine asks for: this test"),
    ],
    ids=["which-the-profile-does-not-ask-for", "which-the-profile-asks-for"],
)
def test_a_skip_for_lack_of_an_option(
    kernel: Kernel, tmp_path: Path, profile: str, status: int, outcome: str, reason: str
) -> None:
    """If a profile requires the option, the test fails instead of being skipped."""
    if profile == LACKING:
        (tmp_path / "mine.toml").write_text(LACKING)
        profile = str(tmp_path / "mine.toml")
    with Run(kernel, tmp_path, LACK, "-n", "0", f"--profile={profile}") as run:
        assert run.wait() == status, run.log.read_text()
    (result,) = json.loads((tmp_path / "report" / "results.json").read_text())["results"]
    assert result["outcome"] == outcome
    assert result["reason"].startswith(reason)


AFTER_SYSCTL = """\
text = "A profile of a system that sets Yama's scope."
[[default]]
what = "yama-scope"
value = "0"
sysctl = "2"
source = "this test"
"""


@pytest.mark.needs("SECURITY_YAMA", "SYSCTL")
@pytest.mark.parametrize(("scope", "status"), [("2", 0), ("1", 1)], ids=["right", "wrong"])
def test_a_profile_is_about_the_system_settings(kernel: Kernel, tmp_path: Path, scope: str, status: int) -> None:
    """They are made in the guest; a failure names the line, and the report says what was set."""
    (tmp_path / "mine.toml").write_text(AFTER_SYSCTL)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "10.conf").write_text(f"kernel.none = 1\nkernel.yama.ptrace_scope = {scope}\nnonsense\n")
    options = (f"--profile={tmp_path / 'mine.toml'}", f"--sysctl={tmp_path / 'etc'}")
    with Run(kernel, tmp_path, "suites/yama/test_profile.py", "-k", "scope", "-n", "0", *options) as run:
        assert run.wait() == status, run.said()
    place = f"{tmp_path}/etc/10.conf"
    assert run.said().count(f"warning: {place}:3: systemd-sysctl ignores this line") == 1
    document = run.results()
    assert document["run"]["versions"]["sysctl"] == [
        f"kernel.none = 1 ({place}:1)",
        f"kernel.yama.ptrace_scope = {scope} ({place}:2)",
    ]
    assert f"--sysctl={tmp_path}/etc (kernel.yama.ptrace_scope={scope})" in document["kernels"][0]["machine_options"]
    (result,) = document["results"]
    assert result["outcome"] == ("fail" if status else "pass")
    if status:
        assert result["reason"] == (
            f"kernel.yama.ptrace_scope is '{scope}' by {place}:2, but the profile requires '2'"
        )


@pytest.mark.parametrize(
    ("expires", "outcome"),
    [("2999-12-31", "error"), ("2020-01-01", "fail")],
    ids=["until-its-day", "no-more-after-it"],
)
def test_a_splat_that_is_waived_counts_as_none(kernel: Kernel, tmp_path: Path, expires: str, outcome: str) -> None:
    """The test then has the same harness error as without a splat, and its evidence mentions the waiver."""
    text = f'[[waiver]]\nsplat = "^BUG: pl.nted$"\nreason = "planted"\nexpires = {expires}\n'
    (tmp_path / "known.toml").write_text(text)
    arguments = ("-n", "0", "-k", "BUG or splat", f"--waivers={tmp_path / 'known.toml'}")
    with Run(kernel, tmp_path, f"{STUMBLE}::test_stumble", *arguments) as run:
        assert run.wait() == {"error": 3, "fail": 1}[outcome], run.log.read_text()
    result = json.loads((tmp_path / "report" / "results.json").read_text())["results"][0]
    assert result["outcome"] == outcome
    assert ("waived splats" in result["evidence"]) == (outcome == "error")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_qemu_that_is_no_program_ends_the_run_in_a_sentence(kernel: Kernel, tmp_path: Path, workers: str) -> None:
    """At once, without a report, and for all tests together."""
    with Run(kernel, tmp_path, TALK, "-n", workers, "--qemu=/nonexistent") as run:
        assert run.wait() == 4, run.said()
        assert "Exit: --qemu=/nonexistent is not an executable program" in run.said()
        assert "INTERNALERROR" not in run.said()
        assert not run.report.exists()
