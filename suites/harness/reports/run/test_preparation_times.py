# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kernel takes besides its tests: in its record, and in the duration of no test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import kcidb_io
import pytest

from reports.formats import kcidb, page_data
from reports.model.document import load, parse
from reports.model.result import KernelRecord, Preparation
from reports.model.store import Store
from reports.run import preparation_times
from reports.run.resume import Former, take_up
from reports.run.terminal_summary import Summary
from reports.tools.merge import merge
from suites.harness.checkout import ROOT
from suites.harness.reports.documents import FULL, NEXT, document, kernel, read, result, write

CONFTEST = """
import functools
import os
import pytest
from _pytest import timing
from common.stopwatch import Stopwatch
from reports.run import preparation_times
from reports.run.notes import set_kernel

CLOCK = [0.0]
timing.perf_counter = lambda: CLOCK[0]
BOOTS = os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"


def pytest_generate_tests(metafunc):
    kernels = ["bad/full"] if metafunc.function.__name__ == "test_bad" else ["k/full"]
    metafunc.parametrize("kernel", kernels, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    set_kernel(item, {"id": item.callspec.params["kernel"]})


@pytest.fixture(scope="session")
def kernel(request):
    watch = Stopwatch(functools.partial(preparation_times.record, request.config), lambda: CLOCK[0])
    with watch.timed(request.param, "wait"):
        CLOCK[0] += 200  # for the build, which a process of its own does
        if BOOTS:
            watch.record(request.param, "build", 190.0)
            with watch.timed(request.param, "boot"):
                CLOCK[0] += 5
                assert request.param != "bad/full", "it does not boot"
        else:
            CLOCK[0] += 5


@pytest.fixture
def guest(kernel):
    CLOCK[0] += 0.5
    yield
    CLOCK[0] += 0.25


@pytest.fixture
def clock():
    return CLOCK
"""
"""Builds and boots a kernel by turning the clock that pytest measures with; one worker boots, the others wait."""

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(guest, clock, number):
    clock[0] += 1

def test_bad(guest):
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "suites" / "yama").mkdir(parents=True)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "suites" / "yama" / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p reports.run.plugin -p no:hypothesispytest\n")
    return tmp_path


def run(project: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """results.json, and what the terminal showed."""
    # The worker that runs this test is none of the run's own.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_XDIST_WORKER"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--report-dir=report", *arguments],
        cwd=project,
        env={**inherited, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (project / "report" / "results.json").exists(), done.stdout + done.stderr
    return json.loads((project / "report" / "results.json").read_text()), done.stdout


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one-process", "xdist"])
def test_the_duration_of_a_test_is_its_own(project: Path, workers: tuple[str, ...]) -> None:
    """The first test of each worker waited 205 seconds for the build and the boot."""
    found, shown = run(project, "-k", "not bad", "--durations=1", "-vv", *workers)
    assert [each["duration_s"] for each in found["results"]] == [1.75] * 6
    (suite,) = ElementTree.parse(project / "report" / "junit.xml").iter("testsuite")  # noqa: S314
    assert suite.get("time") == "10.500"
    (record,) = found["kernels"]
    took = {"fetch_s": 0.0, "build_s": 190.0, "probe_s": 0.0, "boot_s": 5.0, "boots": 1}
    assert record["preparation"] == took, "by the one process that did it"
    assert "  besides its tests: built in 3 min, booted in 5 s\n" in shown
    assert "205" not in shown, "in pytest's own list of durations"
    schema = json.loads((ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(found)


def test_boots_are_numbered() -> None:
    """By what tests need; a test that needs no boot has no number."""
    boots = {"a": ("k", "quiet"), "b": None, "c": ("k", "debug"), "d": ("k", "quiet"), "e": ("other", "quiet")}
    config: Any = SimpleNamespace(stash=pytest.Stash())
    items: Any = {name: SimpleNamespace(name=name, config=config, stash=pytest.Stash()) for name in boots}
    preparation_times.group_boots(config, lambda item: boots[item.name])
    preparation_times.number_boots(list(items.values()))
    found = {name: item.stash.get(preparation_times.BOOT, None) for name, item in items.items()}
    assert found == {"a": (0, 3), "b": None, "c": (1, 3), "d": (0, 3), "e": (2, 3)}


def test_a_boot_that_fails_is_no_part_of_its_test_either(project: Path) -> None:
    found, _ = run(project, "-k", "bad")
    (record,), (each,) = found["kernels"], found["results"]
    assert (each["outcome"], each["duration_s"]) == ("error", 0.0)
    assert (record["preparation"]["build_s"], record["preparation"]["boot_s"]) == (190.0, 5.0)


class TestSums:
    TOOK = Preparation(build_s=190.25, boot_s=5.5, boots=2)

    def test_it_may_be_known_before_the_kernel_is(self, tmp_path: Path) -> None:
        kept = Store(tmp_path, {}, lambda: 0.0)
        kept.prepare("k/full", self.TOOK)
        assert kept.kernels == {}
        kept.add_kernel(KernelRecord.of({"id": "k/full"}))
        kept.prepare("k/full", Preparation(boot_s=0.1, boots=1))
        assert kept.kernels["k/full"].preparation == Preparation(build_s=190.25, boot_s=5.6, boots=3)

    def test_a_merged_report_has_the_sum(self, tmp_path: Path) -> None:
        took = {"build_s": 190.25, "boot_s": 5.5, "boots": 2}
        shards = [
            write(tmp_path / "one", result("yama/a"), kernels=[kernel(FULL, preparation=took)]),
            write(tmp_path / "two", result("yama/b"), kernels=[kernel(FULL, preparation=took), kernel(NEXT)]),
        ]
        merge(shards, tmp_path / "out", origin="my_ci")
        found = load(tmp_path / "out").kernels
        assert found[FULL].preparation == Preparation(build_s=380.5, boot_s=11.0, boots=4)
        assert found[NEXT].preparation is None, "nobody knows"

    def test_a_resumed_run_adds_to_what_the_former_one_took(self, tmp_path: Path) -> None:
        former = read(kernels=[kernel(FULL, preparation={"build_s": 190.25, "boot_s": 5.5, "boots": 2})])
        kept = Store(tmp_path, {}, lambda: 0.0)
        take_up(tmp_path, Former(former, former.kernels, ()), kept)
        kept.prepare(FULL, Preparation(boot_s=4.5, boots=1))
        assert kept.kernels[FULL].preparation == Preparation(build_s=190.25, boot_s=10.0, boots=3)

    def test_the_first_version_of_results_can_still_be_read(self, tmp_path: Path) -> None:
        former = document([result("yama/scope")]) | {"schema": 1}
        for record in former["kernels"]:
            del record["preparation"]
        found = parse(former, tmp_path / "results.json")
        assert found.kernels[FULL].preparation is None
        assert page_data.page_data(found, lambda _: "")["kernels"][0]["preparation"] is None
        assert "duration" not in kcidb.convert(found)["builds"][0]


def test_the_terminal_tells_what_took_more_than_a_second() -> None:
    def told(**took: float) -> list[str]:
        record = KernelRecord.of({"id": "k/full", "preparation": Preparation(**took)})  # type: ignore[arg-type]
        summary = Summary([], {"k/full": record}, {}, "out", 0, ())
        return [line.text for line in summary.totals()][1:]

    assert told() == told(fetch_s=0.9, boot_s=1.0, boots=1) == []
    assert told(fetch_s=12.2, build_s=190.0, probe_s=25.1, boot_s=17.0, boots=3) == [
        "  besides its tests: fetched in 12 s, built in 3 min, tried KVM in 25 s, booted 3 times in 17 s"
    ]


def test_kcidb_knows_how_long_a_build_took() -> None:
    found = kcidb.convert(read(kernels=[kernel(FULL, preparation={"build_s": 190.25}), kernel(NEXT)]))
    kcidb_io.schema.V5_3.validate(found)
    assert [build.get("duration") for build in found["builds"]] == [190.25, None]
