# SPDX-License-Identifier: GPL-2.0-or-later
"""What `git bisect run` is told about a run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from reports.model.document import load
from reports.tools import bisect
from suites.harness.checkout import ROOT
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.reports.documents import result, write

TALK = "suites/yama/test_talk.py"


@pytest.mark.parametrize(
    ("exit_status", "with_results", "told"),
    [
        pytest.param(0, True, bisect.GOOD, id="held"),
        pytest.param(1, True, bisect.BAD, id="broken"),
        pytest.param(0, False, bisect.STOP, id="only-collected"),
        pytest.param(1, False, bisect.STOP, id="no-pytest"),
        pytest.param(2, True, bisect.STOP, id="interrupted"),
        pytest.param(3, True, bisect.SKIP, id="does-not-boot"),
        pytest.param(3, False, bisect.STOP, id="internal-error"),
        pytest.param(4, True, bisect.SKIP, id="does-not-build"),
        pytest.param(4, False, bisect.STOP, id="wrong-use"),
        pytest.param(5, True, bisect.SKIP, id="does-not-apply"),
        pytest.param(5, False, bisect.STOP, id="no-such-test"),
        pytest.param(-9, True, bisect.STOP, id="killed"),
    ],
)
def test_what_git_is_told(tmp_path: Path, exit_status: int, with_results: bool, told: int) -> None:
    if with_results:
        write(tmp_path, result("yama/scope"))
    assert bisect.answer(exit_status, bisect.verdicts_in(tmp_path)) == told


def test_git_is_told_that_a_flaky_commit_is_bad(tmp_path: Path) -> None:
    """With --repeat: any attempt that broke a promise is enough, unless --flaky=undetermined says otherwise."""
    write(tmp_path, result("yama/a"), result("yama/b", "flaky"))
    counts = bisect.verdicts_in(tmp_path)
    assert bisect.answer(1, counts) == bisect.BAD
    assert bisect.answer(3, counts) == bisect.SKIP


def test_what_is_waived_does_not_make_a_commit_bad_but_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A waiver is for a range of versions, of which a search could find the edge."""

    def run(command: Sequence[str]) -> int:
        if command != bisect.DOCTOR:
            write(tmp_path, result("yama/a"), result("yama/b", "waived"))
        return 0

    monkeypatch.setattr(bisect, "wait_for", run)
    assert bisect.main([TALK, f"--report-dir={tmp_path}"]) == bisect.GOOD
    assert "good (exit status 0: all promises held, but for 1 waived: see --no-waivers)" in capsys.readouterr().out


def bisected(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "reports.tools.bisect",
        f"--report-dir={tmp_path / 'report'}",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [*command, *arguments],
        cwd=tmp_path,
        # A cache of its own: in the user's a build would wait for another that goes on.
        env={**os.environ, "PYTHONPATH": str(ROOT), "KCONFORM_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        # Ctrl-C is sent to a whole group, which must not be ours.
        start_new_session=True,
    )


def test_a_tree_that_does_not_build_is_skipped(tmp_path: Path) -> None:
    """From wherever it is called, as git does from the tree."""
    tree = fakes.tree(tmp_path / "linux")
    (tree / "broken-source").touch()
    done = bisected(tmp_path, f"--kernel={tree}", TALK)
    assert done.returncode == 125, done.stdout + done.stderr
    assert "bisect: cannot be judged (exit status 4: wrong use" in done.stdout
    # The report says whose errors they are, and no more, for no more is known of that kernel.
    report = load(tmp_path / "report")
    assert {result.kernel for result in report.results} == {"linux-6.12.7/full"}
    known = msgspec.structs.asdict(report.kernels["linux-6.12.7/full"])
    assert known.pop("preparation").build_s > 0
    assert {key: value for key, value in known.items() if value} == {
        "id": "linux-6.12.7/full",
        "name": "linux-6.12.7",
        "flavor": "full",
        "spec": str(tree),
    }


@pytest.mark.parametrize(
    "arguments",
    [["--flavour=full", TALK], ["suites/yama/test_tolk.py"], ["--collect-only", TALK]],
    ids=["option", "test", "no-run"],
)
def test_a_slip_ends_the_bisection(tmp_path: Path, arguments: list[str]) -> None:
    """Even if the last step has left a report."""
    write(tmp_path / "report", result("yama/scope"))
    done = bisected(tmp_path, f"--kernel={fakes.tree(tmp_path / 'linux')}", *arguments)
    assert done.returncode == 128, done.stdout + done.stderr
    assert "bisect: the bisection cannot go on" in done.stdout


@pytest.mark.parametrize(
    "place",
    [["--report-dir"], ["--report-dir=/dev/null"], ["--report-dir=~nobody-of-that-name/x"]],
    ids=["none", "a-file", "no-home"],
)
def test_a_report_that_cannot_be_ends_the_bisection(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Neither Python's exit status for an exception nor argparse's must mean `bad` to git."""
    assert bisect.main([TALK, *place]) == bisect.STOP
    assert "bisect: the bisection cannot go on: --report-dir cannot be used: " in capsys.readouterr().out


def test_a_machine_that_lacks_something_ends_the_bisection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The doctor's exit status, 3 or 4, would mean `bad` to git."""
    ran: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> int:
        ran.append(command)
        return 4

    monkeypatch.setattr(bisect, "wait_for", run)
    assert bisect.main([TALK, f"--report-dir={tmp_path}"]) == bisect.STOP
    assert ran == [bisect.DOCTOR]
    assert capsys.readouterr().out == "bisect: the bisection cannot go on: this machine lacks something\n"


def test_the_report_may_lie_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(command: Sequence[str]) -> int:
        if command == bisect.DOCTOR:
            return 0
        write(tmp_path / "mine", result("yama/scope"))
        return 5

    monkeypatch.setattr(bisect, "wait_for", run)
    assert bisect.main([TALK, "--report-dir=~/mine"]) == bisect.SKIP


def test_ctrl_c_leaves_the_run_time_to_write_its_report(tmp_path: Path) -> None:
    (tmp_path / "test_long.py").write_text(
        """
import os, signal, time, pytest

def test_it():
    os.killpg(0, signal.SIGINT)
    time.sleep(60)

@pytest.fixture(autouse=True)
def ending():
    yield
    time.sleep(1)  # longer than subprocess.run() gives it
"""
    )
    done = bisected(tmp_path, str(tmp_path / "test_long.py"))
    assert done.returncode == 128, done.stdout + done.stderr
    assert "bisect: the bisection cannot go on (exit status 2: interrupted" in done.stdout
    assert load(tmp_path / "report").run.state == "interrupted"
