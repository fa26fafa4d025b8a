# SPDX-License-Identifier: GPL-2.0-or-later
"""Unusual settings and limits of the host change no verdict, and a full report directory loses none."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from guests.guest import Guest
from kconform import parser
from reports.model.report_directory import DERIVED
from suites.harness.checkout import ROOT
from suites.harness.project import test_faults_processes as small_project
from suites.harness.project.separate_run import SeparateRun, kernel_options

SCENARIO = ("suites/yama/test_talk.py", "-k", "secret_with_yama")

CLOCK_STEP = timedelta(seconds=2)
"""How far the host's clock may be set back during a test."""


@dataclass(frozen=True)
class Setting:
    """How the host is set up for a run."""

    prefix: tuple[str, ...] = ()
    """A command that limits another one, and runs it."""
    env: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    """A regular expression: the reason if nothing can be found out on this host, neither held nor broken."""


def limit(option: str, error: str = "") -> Setting:
    return Setting(prefix=("prlimit", option), error=error)


NO_MEMORY = "did not start: QEMU|cannot save and load guests: QEMU"

SETTINGS = {
    "time-zone": Setting(env={"TZ": "XXX-14"}),  # fourteen hours before UTC
    "narrow-terminal": Setting(env={"COLUMNS": "30"}),
    "warnings-are-errors": Setting(env={"PYTHONWARNINGS": "error"}),
    "missing-TMPDIR": Setting(env={"TMPDIR": "/nonexistent"}),
    "umask-777": Setting(prefix=("sh", "-c", 'umask 777 && exec "$@"', "sh")),
    "34-open-files": limit("--nofile=34"),
    "files-of-1-MB": limit("--fsize=1000000"),
    # How much QEMU needs differs: without KVM, its buffer for translated code alone may have a gigabyte.
    "1.5-GiB-of-addresses": limit(f"--as={3 << 29}", NO_MEMORY),
    "1-GiB-of-addresses": limit(f"--as={1 << 30}", NO_MEMORY),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_changes_no_verdict(guest: Guest, tmp_path: Path, pytestconfig: pytest.Config, setting: str) -> None:
    """The scenario's promises are held, and the report is complete; its times are UTC.

    This test has a guest, so the template is in the cache: making one needs files of more than 1 MB.
    """
    if setting == "umask-777" and os.geteuid() != 0:
        pytest.skip("only root can use the files that it makes with this umask")
    chosen = SETTINGS[setting]
    options = (*kernel_options(guest.kernel, tmp_path), f"--accel={pytestconfig.getoption('accel')}", "-n", "0")
    began = datetime.now(UTC)
    with SeparateRun(
        tmp_path,
        *("-c", str(ROOT / "pyproject.toml"), *SCENARIO, *options),
        prefix=chosen.prefix,
        env=chosen.env,
    ) as run:
        status = run.wait()
        run.wait_until_gone()
    assert "INTERNALERROR" not in run.said()
    assert run.left_behind() == []
    if chosen.error and status in (3, 4):
        assert re.search(chosen.error, run.said())
        return
    assert status == 0, run.said()
    (result,) = run.results()["results"]
    assert (result["outcome"], result["reason"]) == ("pass", "")
    assert {"transcript", "kernel log"} <= set(result["evidence"])
    assert {"results.json", *DERIVED} <= {path.name for path in run.report.iterdir()}
    started = datetime.fromisoformat(run.results()["run"]["started"])
    assert began - CLOCK_STEP < started < datetime.now(UTC) + CLOCK_STEP


def test_a_narrow_terminal_shows_all_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """argparse has to wrap the usage of every command."""
    monkeypatch.setenv("COLUMNS", "30")
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    assert "check" in commands.choices
    for name, command in commands.choices.items():
        assert command.format_help().startswith(f"usage: kconform {name}")


def test_a_narrow_terminal_shows_the_options_of_a_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--help"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "30"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--kernel-config=FILE" in done.stdout


# The report directory is full

FILL = """
import os

def pytest_runtest_teardown(item):
    if item.name == "test_held":
        with open(os.path.join(os.environ["REPORT"], "filler"), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass
"""
"""What the project's conftest.py does, so that nothing can be written any more."""

ONE_PAGE, ROOM = os.sysconf("SC_PAGE_SIZE"), 4 << 20
"""Sizes of a tmpfs: there is room for the first results.json, and not for the next; there is room for a report."""


@pytest.mark.parametrize(
    ("size", "tests", "workers", "status", "recorded"),
    [
        pytest.param(ONE_PAGE, (), (), 1, [], id="from-the-beginning"),
        pytest.param(ROOM, (), (), 1, small_project.NAMES[:4], id="from-some-test-on"),
        pytest.param(ROOM, (), ("-n", "2"), 1, None, id="from-some-test-on-with-workers"),
        pytest.param(ROOM, ("-k", "not before"), (), 3, [], id="and-no-promise-is-broken"),
    ],
)
def test_a_full_report_directory_hides_no_verdict(
    tmp_path: Path,
    size: int,
    tests: tuple[str, ...],
    workers: tuple[str, ...],
    status: int,
    recorded: list[str] | None,
) -> None:
    """The exit status is that of the verdicts; what is missing is said once; results.json has what came before."""
    report, kept = tmp_path / "report", tmp_path / "kept"
    report.mkdir()
    mount = f"mount -t tmpfs -o size={size} none {report}"
    namespace = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*namespace, "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("needs a mount namespace")
    # The file system ends with its namespace, so what is in it is copied before that.
    script = f'{mount} && "$@"; status=$?; cp -r {report} {kept}; exit $status'
    prefix = [*namespace, "sh", "-c", script, "sh"]
    with small_project.start(
        tmp_path, "none", *tests, *workers, prefix=prefix, before=FILL, REPORT=str(report)
    ) as run:
        assert run.wait() == status, run.said()
    said = run.said()
    assert said.count("REPORT NOT COMPLETE: ") == 1
    assert "No space left on device" in said
    assert "INTERNALERROR" not in said
    assert "Traceback" not in said
    found = small_project.names(json.loads((kept / "results.json").read_text()))
    assert set(found) < set(small_project.NAMES) if recorded is None else found == recorded
    assert not [path.name for path in kept.iterdir() if path.name.endswith(".tmp")]
