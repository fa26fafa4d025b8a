# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMUs of a run end with it, whether it ends by itself, by Ctrl-C, by SIGTERM or by SIGKILL."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kconfigs.kernel import Kernel
from suites.harness.checkout import ROOT

HOLD = "suites/harness/project/samples/hold_guest.py"
LACK = "suites/harness/project/samples/lack.py"
STUMBLE = "suites/harness/project/samples/stumble.py"
TALK = "suites/yama/test_talk.py"
DEADLINE_S = 120.0


class Run:
    """A separate pytest run on a kernel, whose processes are identified by a variable in their environment."""

    def __init__(self, kernel: Kernel, tmp_path: Path, *arguments: str) -> None:
        self.held = tmp_path / "held"
        self.held.mkdir()
        self._mark = f"KCONFORM_MARK={uuid.uuid4()}"
        name, _, value = self._mark.partition("=")
        config = tmp_path / "config"
        config.write_text(kernel.config.render())
        command = [
            # As when started from a terminal: a background job of a script ignores SIGINT, and so do its children.
            *("env", "--default-signal=INT"),
            *(
                sys.executable,
                "-m",
                "pytest",
                "-c",
                str(ROOT / "pyproject.toml"),
                *arguments,
                "-p",
                "no:cacheprovider",
            ),
            *(f"--kernel={kernel.image}", f"--kernel-config={config}", f"--report-dir={tmp_path / 'report'}"),
        ]
        self.log = tmp_path / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, name: value, "KCONFORM_HELD": str(self.held)},
                start_new_session=True,
            )

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        """End a run that has not ended by itself, so that it does not affect later tests."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def processes(self) -> list[str]:
        """The command names of all living processes of the run."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and self._mark in "\n".join(
                    f"{name}={value}" for name, value in process.environ().items()
                ):
                    found.append(process.name())
            except psutil.Error:
                continue  # it has ended meanwhile, or belongs to another user
        return found

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what}, which did not happen:\n{self.log.read_text()[-3000:]}"
            assert not (what.startswith("waited for guests") and self.process.poll() is not None), (
                self.log.read_text()
            )
            os.sched_yield()


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 2, id="ctrl-c"),
        pytest.param(signal.SIGTERM, -signal.SIGTERM, id="terminated"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="killed"),
    ],
)
@pytest.mark.parametrize("workers", [pytest.param(("-n", "2"), id="two-workers"), pytest.param((), id="no-workers")])
def test_no_qemu_outlives_a_run_that_is_ended(
    kernel: Kernel, tmp_path: Path, number: signal.Signals, status: int, workers: tuple[str, ...]
) -> None:
    """Guests and spare clones end with the run."""
    with Run(kernel, tmp_path, HOLD, *workers) as run:
        run.wait_for(lambda: len(list(run.held.iterdir())) == max(1, len(workers)), "waited for guests")
        assert any(name.startswith("qemu") for name in run.processes())
        os.kill(run.process.pid, number)
        assert run.process.wait(DEADLINE_S) == status
        run.wait_for(lambda: not run.processes(), f"waited for {run.processes()} to end")


def test_nothing_outlives_a_run_that_ends(kernel: Kernel, tmp_path: Path) -> None:
    """The spare clone that no test took ends too."""
    with Run(kernel, tmp_path, TALK, "-n", "2") as run:
        assert run.process.wait(DEADLINE_S) == 0, run.log.read_text()
        assert run.processes() == []


def test_boots_are_no_part_of_the_tests_that_wait_for_them(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is empty: one worker boots, the other waits for the same boot."""
    monkeypatch.setenv("KCONFORM_CACHE", str(tmp_path / "cache"))
    with Run(kernel, tmp_path, TALK, "-k", "gdb or daemon", "-n", "2", "--accel=tcg") as run:
        assert run.process.wait(2 * DEADLINE_S) == 0, run.log.read_text()
    report = json.loads((tmp_path / "report" / "results.json").read_text())
    assert {result["worker"] for result in report["results"]} == {"gw0", "gw1"}
    took = report["kernels"][0]["preparation"]
    assert took["boots"] == 1
    assert took["boot_s"] > max(result["duration_s"] for result in report["results"])


def test_the_qemu_of_a_killed_worker_ends(kernel: Kernel, tmp_path: Path) -> None:
    """The worker's test is an error, the run continues to its end, and no QEMU is left."""
    with Run(kernel, tmp_path, HOLD, "-n", "2", "--max-worker-restart=0") as run:
        run.wait_for(lambda: len(list(run.held.iterdir())) == 2, "waited for guests")
        for child in psutil.Process(run.process.pid).children():
            child.kill()
        assert run.process.wait(DEADLINE_S) == 3, run.log.read_text()
        run.wait_for(lambda: not run.processes(), "waited for all processes to end")


def test_a_splat_replaces_a_harness_error(kernel: Kernel, tmp_path: Path) -> None:
    """A task that an oops killed takes no orders: then the kernel has failed.  Otherwise, it is a harness error."""
    with Run(kernel, tmp_path, STUMBLE, "-n", "0") as run:
        assert run.process.wait(DEADLINE_S) == 1, run.log.read_text()
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
        ("kspp", 5, "skip", "needs CONFIG_KCONFORM_MORE, CONFIG_KCONFORM_NOTHING"),
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
        assert run.process.wait(DEADLINE_S) == status, run.log.read_text()
    (result,) = json.loads((tmp_path / "report" / "results.json").read_text())["results"]
    assert result["outcome"] == outcome
    assert result["reason"].startswith(reason)


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
        assert run.process.wait(DEADLINE_S) == {"error": 3, "fail": 1}[outcome], run.log.read_text()
    result = json.loads((tmp_path / "report" / "results.json").read_text())["results"][0]
    assert result["outcome"] == outcome
    assert ("waived splats" in result["evidence"]) == (outcome == "error")
