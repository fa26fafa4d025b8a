# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes of a run that are killed or told to end: no result is lost, --resume goes on, and no process is left.

The run is that of a small project without guests; test_faults_guests.py is about those.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from suites.harness.checkout import ROOT
from suites.harness.project.separate_run import SeparateRun

INI = "[pytest]\naddopts = -p kconfigs.plugin -p reports.run.plugin -p no:hypothesispytest\n"

CONFTEST = """
import os, pathlib, threading
from common.workers import handed_over, is_worker
from reports.formats import report_files

PHASE = os.environ["PHASE"]

def hold(phase, name=os.getpid()):
    if PHASE == phase:
        pathlib.Path(os.environ["REACHED"], str(name)).touch()
        threading.Event().wait()

def meet(config, name):
    "Wait until as many tests have met as there are workers; without workers, one is enough."
    folder = pathlib.Path(os.environ["MEETING"])
    (folder / name).touch()
    while len(list(folder.iterdir())) < (handed_over(config, "workercount") or 1):
        os.sched_yield()

def pytest_collection_modifyitems(config):
    hold("collection")

write = report_files.write
def slow_write(*arguments, **options):
    try:
        hold("report")
    except KeyboardInterrupt:
        if "SLOW_END" in os.environ:
            hold("report", "again")
        raise
    return write(*arguments, **options)
report_files.write = slow_write
"""

TESTS = """
import pytest
from conftest import hold, meet

@pytest.mark.parametrize("number", range(4))
def test_before(number, pytestconfig):
    # Each of two workers has two of these, and gets the next test when it has done one.  They wait for each other, or
    # one could do both, and get both tests that hold.
    if number in (1, 3):
        meet(pytestconfig, str(number))
    assert number != 1
def test_held(): hold("test")
def test_held_too(): hold("test")
def test_after(): pass
"""

NAMES = [f"test_before[{number}]" for number in range(4)] + ["test_held", "test_held_too", "test_after"]

ONE_PROCESS: tuple[str, ...] = ()
TWO_WORKERS = ("-n", "2")
WORKERS = [pytest.param(ONE_PROCESS, id="one-process"), pytest.param(TWO_WORKERS, id="two-workers")]

REACHED_BY = {"collection": 2, "test": 2, "report": 1}
"""The number of processes that hold in a phase if there are two workers."""

IN_ORDER = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def start(
    tmp_path: Path, phase: str, *arguments: str, prefix: Sequence[str] = (), before: str = "", **env: str
) -> SeparateRun:
    """Run the project; it holds in that phase.  `before`: what its conftest.py does first."""
    project, reached, meeting = tmp_path / "project", tmp_path / "reached", tmp_path / "meeting"
    meeting.mkdir(exist_ok=True)
    (project / "suites" / "yama").mkdir(parents=True, exist_ok=True)
    reached.mkdir(exist_ok=True)
    (project / "pytest.ini").write_text(INI)
    (project / "conftest.py").write_text(before + CONFTEST)
    (project / "suites" / "yama" / "test_it.py").write_text(TESTS)
    env |= {
        "PHASE": phase,
        "REACHED": str(reached),
        "MEETING": str(meeting),
        "KCONFORM_CACHE": str(tmp_path / "cache"),
    }
    return SeparateRun(tmp_path, "suites", *arguments, cwd=project, env=env, prefix=prefix)


def hold(run: SeparateRun, tmp_path: Path, phase: str, workers: tuple[str, ...]) -> list[int]:
    """Wait until the run holds in that phase, and return the PIDs of the processes that do."""
    wanted = REACHED_BY[phase] if workers else 1
    run.wait_while_running(lambda: len(list((tmp_path / "reached").iterdir())) == wanted, phase)
    return [int(path.name) for path in (tmp_path / "reached").iterdir()]


def names(results: dict[str, Any]) -> list[str]:
    return [result["nodeid"].partition("::")[2] for result in results["results"]]


def check_resumed(tmp_path: Path, *, least: int = 4) -> None:
    """`--resume` completes the run: each test has one result, and what was done is not done again."""
    with start(tmp_path, "none", "--resume") as run:
        assert run.wait() == 1, run.said()
        results = run.results()
    assert sorted(names(results)) == sorted(NAMES)
    assert results["run"]["counts"]["fail"] == 1
    assert results["run"]["state"] == "finished"
    assert results["run"]["resumed"]["results"] >= least


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
@pytest.mark.parametrize("phase", ["collection", "test", "report"])
def test_a_controller_that_ends_loses_no_result_and_leaves_no_process(
    tmp_path: Path, phase: str, number: signal.Signals, workers: tuple[str, ...]
) -> None:
    with start(tmp_path, phase, *workers) as run:
        hold(run, tmp_path, phase, workers)
        run.process.send_signal(number)
        status = run.wait()
        run.wait_until_gone()
    killed = number is signal.SIGKILL
    assert status == (-number if killed else 2), run.said()
    if not killed:
        assert run.left_behind() == []
    if phase == "collection" and killed:
        assert not (run.report / "results.json").exists(), "nothing is written before it is known what is tested"
        return
    results = run.results()
    assert set(names(results)) >= (set() if phase == "collection" else set(NAMES[:4]))
    assert results["run"]["state"] == ("running" if killed else "interrupted")
    check_resumed(tmp_path, least=len(results["results"]))


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["ctrl-c", "hung-up"])
def test_a_signal_to_all_processes_ends_a_run_in_order(
    tmp_path: Path, number: signal.Signals, workers: tuple[str, ...]
) -> None:
    """As a terminal sends it: to the controller, its workers, and what they have started."""
    with start(tmp_path, "test", *workers) as run:
        hold(run, tmp_path, "test", workers)
        os.killpg(run.process.pid, number)
        assert run.wait() == 2, run.said()
        run.wait_until_gone()
    assert run.left_behind() == []
    results = run.results()
    assert (results["run"]["state"], results["run"]["exit_status"]) == ("interrupted", 2)
    assert set(NAMES[:4]) <= set(names(results))
    assert not [result for result in results["results"] if result["outcome"] == "error"]
    assert (run.report / "index.html").exists()
    check_resumed(tmp_path)


@pytest.mark.parametrize("number", IN_ORDER, ids=[number.name for number in IN_ORDER])
def test_a_second_signal_ends_a_run_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """It arrives while the run is still coping with the first.  results.json has all results all the same."""
    with start(tmp_path, "report", *TWO_WORKERS, SLOW_END="1") as run:
        hold(run, tmp_path, "report", TWO_WORKERS)
        run.process.send_signal(number)
        run.wait_while_running((tmp_path / "reached" / "again").exists, "the first signal")
        run.process.send_signal(number)
        # Python itself turns each SIGINT into a KeyboardInterrupt, and the end of the report is skipped.
        assert run.wait() == (2 if number is signal.SIGINT else -number), run.said()
        run.wait_until_gone()
    assert sorted(names(run.results())) == sorted(NAMES)
    check_resumed(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_a_worker_that_ends_costs_one_error_and_is_replaced(tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path, "test", *TWO_WORKERS) as run:
        workers = hold(run, tmp_path, "test", TWO_WORKERS)
        for worker in workers:
            psutil.Process(worker).send_signal(number)
        assert run.wait() == 1, run.said()
        run.wait_until_gone()
    results = run.results()
    outcomes = {
        result["nodeid"].partition("::")[2]: (result["outcome"], result["reason"]) for result in results["results"]
    }
    assert sorted(outcomes) == sorted(NAMES)
    for name in ("test_held", "test_held_too"):
        outcome, reason = outcomes[name]
        assert outcome == "error"
        assert "crashed while running" in reason
    assert outcomes["test_after"][0] == "pass"
    assert results["run"]["state"] == "finished"
    assert run.left_behind() == []
    check_resumed(tmp_path)


def test_a_worker_that_is_stopped_ends_with_its_controller(tmp_path: Path) -> None:
    """It can do nothing itself until it is continued."""
    with start(tmp_path, "test", *TWO_WORKERS) as run:
        workers = hold(run, tmp_path, "test", TWO_WORKERS)
        for worker in workers:
            psutil.Process(worker).suspend()
        run.process.kill()
        run.wait()
        for worker in workers:
            psutil.Process(worker).resume()
        run.wait_until_gone()


def test_nohup_is_respected(tmp_path: Path) -> None:
    """A run that ignores SIGHUP goes on."""
    with start(tmp_path, "test", prefix=["nohup"]) as run:
        hold(run, tmp_path, "test", ONE_PROCESS)
        run.process.send_signal(signal.SIGHUP)
        run.process.send_signal(signal.SIGTERM)
        assert run.wait() == 2, run.said()
    assert "the run received SIGTERM" in run.said()


CLOCK = """
import itertools, time
real, readings = time.time, itertools.count()
time.time = lambda: real() + 86400 * (number := next(readings)) * (-1) ** number
"""


@pytest.mark.parametrize("workers", WORKERS)
def test_a_clock_that_jumps_changes_no_verdict(tmp_path: Path, workers: tuple[str, ...]) -> None:
    """By more days each time that it is read, forwards and backwards."""
    with start(tmp_path, "none", *workers, before=CLOCK) as run:
        assert run.wait() == 1, run.said()
    results = run.results()
    assert sorted(names(results)) == sorted(NAMES)
    assert results["run"]["counts"]["fail"] == 1
    assert all(0 <= each["duration_s"] < 3600 for each in [results["run"], *results["results"]])


def test_the_table_of_faults_names_tests_that_exist() -> None:
    """A name may be cut at its end, by three dots."""
    harness = ROOT / "suites" / "harness"
    files = {path.name: path.read_text() for path in harness.rglob("test_*.py")}
    table = (ROOT / "docs" / "faults.md").read_text()
    named = re.findall(r"`(?:[\w/]+/)?(test_\w+)(\.py|\.{3}|)`", table)
    assert len(named) > 30
    functions = "\n".join(files.values())

    def exists(name: str, end: str) -> bool:
        return f"{name}.py" in files if end == ".py" else f"def {name}{'' if end else '('}" in functions

    assert [name + end for name, end in named if not exists(name, end)] == []
