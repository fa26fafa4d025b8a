# SPDX-License-Identifier: GPL-2.0-or-later
"""Several runs at once, in one checkout and with one cache, do not disturb each other."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path

from kconfigs.cache import Cache
from kconfigs.kernel import Kernel
from suites.harness.checkout import ROOT
from suites.harness.project.separate_run import SeparateRun, kernel_options

RUNS = 4

TESTS = """
import os, pathlib, signal

def test_together():
    "It ends when all runs are here."
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    pathlib.Path(os.environ["HERE"]).touch()
    signal.sigwait([signal.SIGUSR1])

def test_after(tmp_path):
    pass
"""


def test_each_has_a_report_of_its_own(tmp_path: Path) -> None:
    """All of them are in the same test at the same time; `latest` is one of their reports."""
    project = tmp_path / "project"
    (project / "suites" / "yama").mkdir(parents=True)
    (project / "pytest.ini").write_text("[pytest]\naddopts = -p reports.run.plugin -p no:hypothesispytest\n")
    (project / "suites" / "yama" / "test_it.py").write_text(TESTS)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with contextlib.ExitStack() as runs:
        started = []
        for number in range(RUNS):
            folder = tmp_path / str(number)
            folder.mkdir()
            env = {"HERE": str(folder / "here"), "TMPDIR": str(temporary)}
            run = SeparateRun(folder, "suites", cwd=project, env=env, default_report=True)
            started.append((runs.enter_context(run), folder / "here"))
        for run, here in started:
            run.wait_while_running(here.exists, "its test")
        for run, _ in started:
            run.process.send_signal(signal.SIGUSR1)
        assert [run.wait() for run, _ in started] == [0] * RUNS, [run.said() for run, _ in started]
    out = project / "reports" / "out"
    reports = [path for path in out.iterdir() if path.is_dir() and not path.is_symlink()]
    assert len(reports) == RUNS
    for report in reports:
        document = json.loads((report / "results.json").read_text())
        assert document["run"]["state"] == "finished"
        assert [result["outcome"] for result in document["results"]] == ["pass", "pass"]
    assert (out / "latest").resolve() in reports


def test_they_share_what_one_of_them_makes(kernel: Kernel, tmp_path: Path) -> None:
    """The cache is empty: one run boots the kernel, and all of them test it."""
    options = [
        *("-c", str(ROOT / "pyproject.toml"), "suites/yama/test_talk.py", "-k", "daemon_of_another_user", "-n", "0"),
        "--accel=tcg",
    ]
    cache = tmp_path / "cache"
    with contextlib.ExitStack() as runs:
        started = []
        for number in range(RUNS):
            folder = tmp_path / str(number)
            folder.mkdir()
            run = SeparateRun(folder, *options, *kernel_options(kernel, folder), env={"KCONFORM_CACHE": str(cache)})
            started.append(runs.enter_context(run))
        for run in started:
            assert run.wait() == 0, run.said()
            run.wait_until_gone()
    boots = []
    for run in started:
        document = run.results()
        assert [result["outcome"] for result in document["results"]] == ["pass"]
        boots += [record["preparation"]["boots"] for record in document["kernels"]]
        assert run.left_behind() == []
    assert sorted(boots) == [0, 0, 0, 1]
    assert sorted(entry.kind for entry in Cache(cache).entries() if entry.kind in ("agents", "templates")) == [
        "agents",
        "templates",
    ]
    assert list(cache.glob("*/.*.tmp")) == []
