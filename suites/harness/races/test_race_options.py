# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of races: how the time is shared, what a seed decides, and which kernel is tested by default."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from guests.meeting import LONGEST, Tally
from suites.harness.checkout import ROOT
from suites.races import plugin
from suites.races.plugin import budget_of
from suites.races.race import ROUNDS, ROUNDS_OF_A_BATCH, ROUNDS_ON_ONE_PROCESSOR, RaceRecord

TEST = "suites/yama/test_concurrent_exceptions.py::test_scope_and_access"
OPTIONS = {
    **dict.fromkeys(("race_seconds", "race_seed", "kernel", "flavor", "matrix", "target")),
    "cpus": 1,
}


def configured(**options: object) -> pytest.Config:
    """What the plugin needs of a config, after it was configured."""
    fake = SimpleNamespace(
        option=SimpleNamespace(**{**OPTIONS, **options}), stash=pytest.Stash(), addinivalue_line=lambda *_: None
    )
    config = cast(pytest.Config, fake)
    plugin.pytest_cmdline_main(config)
    plugin.pytest_configure(config)
    return config


def item_of(
    config: pytest.Config, nodeid: str = TEST, *, races: bool = True, marker: pytest.MarkDecorator = pytest.mark.races
) -> pytest.Item:
    found = marker.mark if races else None
    return cast(pytest.Item, SimpleNamespace(config=config, nodeid=nodeid, get_closest_marker=lambda _: found))


def test_few_rounds_without_options() -> None:
    """The rounds depend on the number of processors; the seed is the same in each run, and another for each test."""
    one, two = configured(), configured(cpus=2)
    assert budget_of(item_of(one)).rounds == ROUNDS_ON_ONE_PROCESSOR
    assert budget_of(item_of(two)).rounds == ROUNDS
    assert budget_of(item_of(one)).seconds == 0
    assert budget_of(item_of(one)).seed == budget_of(item_of(two)).seed
    assert budget_of(item_of(one)).seed != budget_of(item_of(one, f"{TEST}-other")).seed


def test_tests_share_the_seconds() -> None:
    config = configured(race_seconds=60, race_seed=5)
    items = [item_of(config), item_of(config, f"{TEST}-other"), item_of(config, "suites/yama/test_x", races=False)]
    plugin.pytest_collection_modifyitems(config, items)
    assert [budget_of(item).seconds for item in items[:2]] == [30.0, 30.0]
    assert budget_of(items[0]).rounds == ROUNDS_OF_A_BATCH


def test_seeds() -> None:
    """A seed gives the same again; without one, a longer run takes a new one."""
    seeds = [
        budget_of(item_of(configured(race_seconds=9, race_seed=seed))).seed for seed in (1, 1, 2, None, None, None)
    ]
    assert seeds[0] == seeds[1]
    assert len(set(seeds)) == 5


def test_a_worker_has_the_seed_of_the_run() -> None:
    config, worker = configured(race_seconds=9), configured(race_seconds=9)
    node = SimpleNamespace(config=config, workerinput={})
    plugin.pytest_configure_node(node)
    worker.workerinput = node.workerinput  # type: ignore[attr-defined]
    assert budget_of(item_of(worker)).seed == budget_of(item_of(config)).seed


@pytest.mark.parametrize(
    ("options", "kernels", "flavors"),
    [
        pytest.param({}, None, None, id="the-main-job"),
        pytest.param({"race_seconds": 9}, ["source"], ["races"], id="seconds"),
        pytest.param({"race_seconds": 9, "flavor": ["sanitizers"]}, ["source"], ["sanitizers"], id="a-flavor"),
        pytest.param({"race_seconds": 9, "kernel": ["running"]}, ["running"], None, id="a-kernel"),
        pytest.param({"race_seconds": 9, "target": "local"}, None, None, id="a-target"),
        pytest.param({"race_seconds": 9, "matrix": "m.toml"}, None, None, id="a-matrix"),
    ],
)
def test_which_kernel_is_tested(options: dict[str, object], kernels: object, flavors: object) -> None:
    """With --race-seconds alone, one that is made for races."""
    option = configured(**options).option
    assert (option.kernel, option.flavor) == (kernels, flavors)


def test_the_marker_says_how_long_moments_are() -> None:
    """With --race-seconds and without; by default as long as those of any meeting."""
    for config in (configured(), configured(race_seconds=9)):
        assert budget_of(item_of(config)).longest == LONGEST
        assert budget_of(item_of(config, marker=pytest.mark.races(longest=20))).longest == 20


def test_records_are_added_up() -> None:
    """The same outcome in two batches is one outcome."""
    record, tally = RaceRecord(allowed=3), Tally(3, 1, 0, {("OK",): (2, 0), ("EPERM",): (1, 2)})
    record.add(RaceRecord.of(tally))
    record.add(RaceRecord.of(tally))
    assert record.outcomes == {("OK",): 4, ("EPERM",): 2}
    assert str(record) == "6 rounds, 2 of them with an overlap, 2 of 3 outcomes"


@pytest.mark.parametrize(
    ("option", "other"), [("--seed=7", "--walk-seed"), ("--seconds=9", "--walk-seconds")], ids=["seed", "seconds"]
)
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_short_name_without_races_is_wrong_use(tmp_path: Path, workers: str, option: str, other: str) -> None:
    """Somebody may have meant the option of walks, and the run would ignore it."""
    done = run_of_other_tests(tmp_path, "-n", workers, option)
    assert done.returncode == 4, done.stdout + done.stderr
    name = option.partition("=")[0]
    assert f"{name} is for tests with the marker `races`, and none is selected" in done.stdout + done.stderr
    assert f"hint: select them with -m races; walks have {other}\n" in done.stdout + done.stderr


def test_the_long_names_say_what_they_are_for(tmp_path: Path) -> None:
    done = run_of_other_tests(tmp_path, "--race-seconds=9", "--race-seed=7")
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_test_the_run_says_that(tmp_path: Path) -> None:
    assert run_of_other_tests(tmp_path, "--seed=7", "-k", "none_of_that_name").returncode == 5


def run_of_other_tests(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A run of tests that need no kernel."""
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, f"--report-dir={folder / 'report'}", *arguments, str(ROOT / "suites/harness/common/test_text.py")],
        cwd=folder,
        env={**os.environ, "KCONFORM_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
