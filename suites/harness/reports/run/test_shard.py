# SPDX-License-Identifier: GPL-2.0-or-later
"""--shard K/N, and the report that `kconform merge` makes of all shards."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from suites.harness.checkout import ROOT
from suites.harness.reports.documents import result, write
from suites.harness.reports.run.inner_runs import document, refusal, requirements_toml, run, suite

pytestmark = pytest.mark.usefixtures("_inner_project")

CONFTEST = """
import pytest
from reports.run import preparation_times
from reports.run.notes import attach, set_kernel

def pytest_configure(config):
    preparation_times.group_boots(config, lambda item: item.callspec.params["kernel"])

def pytest_generate_tests(metafunc):
    metafunc.parametrize("kernel", ["tiny-6.1/full", "tiny-6.2/full"])

def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.callspec.params["kernel"])

@pytest.fixture(autouse=True)
def record(request, kernel):
    set_kernel(request.node, {"id": kernel, "digest": f"d {kernel}", "accel": "tcg", "version": "6.1"})
    attach(request.node, "transcript", f"of {request.node.name}")
"""

TESTS = """
pytestmark = pytest.mark.requirement("yama.a")
@pytest.mark.parametrize("number", range(5))
def test_holds(kernel, number): pass
def test_broken(kernel): assert kernel == ""
def test_skipped(kernel): pytest.skip("no CONFIG_X")
@pytest.mark.requirement("yama.b")
def test_undetermined(kernel): raise Ours("no boot")
"""


@pytest.fixture
def tests(pytester: pytest.Pytester) -> pytest.Pytester:
    suite(pytester, TESTS, area="yama")
    (pytester.path / "suites" / "yama" / "requirements.toml").write_text(requirements_toml("yama.a", "yama.b"))
    (pytester.path / "suites" / "conftest.py").write_text(CONFTEST)
    return pytester


def merge(*reports: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, ROOT / "kconform.py", "merge", "--output", "merged", *reports]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def document_exists() -> bool:
    return any(Path("reports").rglob("results.json"))


OF_ONE_RUN = {"duration_s", "started", "worker"}


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """What must be the same, however the tests were divided: all but times, names of processes, and the runs."""
    results = [{key: value for key, value in each.items() if key not in OF_ONE_RUN} for each in found["results"]]
    for each in results:
        each["longrepr"] = re.sub(r"^\[gw\d\] .*\n+", "", each["longrepr"])  # the worker
    kept = ("state", "exit_status", "collected", "counts", "selection", "certainty")
    run = {key: found["run"][key] for key in kept}
    for kernel in found["kernels"]:
        assert kernel.pop("preparation")
    for promise in found["requirements"]:
        promise["nodeids"].sort()
    return {**found, "run": run, "results": sorted(results, key=lambda each: str(each["nodeid"]))}


def test_shards_give_the_results_of_one_run(tests: pytest.Pytester, workers: Sequence[str]) -> None:
    whole = run(tests, "--report-dir=whole")
    names = []
    for number in (1, 2, 3):
        done = run(tests, *workers, f"--shard={number}/3", f"--report-dir=shard-{number}")
        found = document(f"shard-{number}")
        names.append([each["nodeid"] for each in found["results"]])
        assert found["run"]["collected"] == len(names[-1])
        assert (found["run"]["shard"]["number"], found["run"]["shard"]["of"]) == (number, 3)
        assert found["run"]["shard"]["tests"] == 16
        done.stdout.fnmatch_lines([f"only shard {number} of 3, which together have 16 tests"])
        jsonschema.validate(found, json.loads((ROOT / "reports" / "results.schema.json").read_text()))
    assert all(4 <= len(each) <= 7 for each in names), names
    merged = merge("shard-1", "shard-2", "shard-3")
    assert merged.returncode == whole.ret == 1
    assert "remark" not in merged.stderr
    assert comparable(document("merged")) == comparable(document("whole"))
    for each in document("merged")["results"]:
        for title, path in each["evidence"].items():
            assert Path("merged", path).read_text() == Path("whole", path).read_text(), title


def test_only_a_complete_set_of_shards_is_a_whole(tests: pytest.Pytester) -> None:
    for number in (1, 3):
        run(tests, f"--shard={number}/3", f"--report-dir=shard-{number}", "-k", "holds")
    done = merge("shard-1", "shard-3")
    assert done.returncode == 2
    assert "remark: shard 2 of 3 is missing" in done.stderr
    found = document("merged")["run"]
    assert (found["state"], found["collected"], found["counts"]["pass"] < 10) == ("interrupted", 10, True)
    assert [each["shard"]["number"] for each in found["merged"]] == [1, 3]


def test_shards_that_were_cut_in_other_places_are_no_whole(tests: pytest.Pytester) -> None:
    """A test may be in none of them, which nothing else would notice."""
    names = [(kernel, case) for kernel in ("tiny-6.1/full", "tiny-6.2/full") for case in range(5)]
    known = [result(f"yama/holds[{case}]", on=kernel, duration_s=1.0) for kernel, case in names]
    known[0]["duration_s"] = 90.0
    write(tests.path / "other", *known)
    run(tests, "--shard=1/2", "--report-dir=shard-1", "-k", "holds")
    run(tests, "--shard=2/2", "--report-dir=shard-2", "-k", "holds", "--timings=other")
    done = merge("shard-1", "shard-2")
    assert done.returncode == 2
    assert done.stderr.count("is missing") == 2


def test_a_shard_is_resumed(tests: pytest.Pytester) -> None:
    run(tests, "--shard=1/2", "--report-dir=shard-1")
    first = document("shard-1")
    done = run(tests, "--shard=1/2", "--report-dir=shard-1", "--resume")
    again = document("shard-1")
    assert again["run"]["shard"] == first["run"]["shard"]
    assert again["run"]["collected"] == first["run"]["collected"]
    assert done.ret == first["run"]["exit_status"]


def test_more_shards_than_tests_leave_some_without_any(tests: pytest.Pytester) -> None:
    """Nothing ran is never 0; their reports are merged all the same."""
    names = ("-k", "tiny-6.1/full-0 or tiny-6.1/full-1")
    ends = [run(tests, f"--shard={n}/3", f"--report-dir=s{n}", *names).ret for n in (1, 2, 3)]
    assert ends == [0, 0, 5]
    assert merge("s1", "s2", "s3").returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard=3/2"], "*'3/2' is not a shard such as 2/5*"),
        (["--shard=1/2", "--timings=nowhere"], "*--timings: *nowhere: cannot be read*"),
    ],
)
def test_wrong_use_is_rejected(tests: pytest.Pytester, options: list[str], message: str) -> None:
    done = run(tests, *options)
    assert done.ret == 4
    pytest.LineMatcher([*done.outlines, *done.errlines]).fnmatch_lines([message])
    assert not document_exists()


@pytest.mark.parametrize("chosen", ["--touched=security/yama/yama_lsm.c:1", "--since=HEAD"])
def test_tests_that_depend_on_the_number_of_workers_are_not_cut(tmp_path: Path, chosen: str) -> None:
    """Machines with other numbers would cut other tests, and `merge` would miss shards."""
    options = ("--collect-only", f"--report-dir={tmp_path / 'report'}", "--shard=1/2", chosen)
    said = refusal(tmp_path, *options)
    assert "--shard cannot be combined with --touched or --since" in said
    assert "hint: add --touched-seconds=0" in said
    # That is no longer what is wrong: there is no map, or no tree.
    assert "--shard" not in refusal(tmp_path, *options, "--touched-seconds=0")
