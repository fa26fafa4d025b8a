# SPDX-License-Identifier: GPL-2.0-or-later
"""A run with a baseline, and the files that it writes beside results.json."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reports.formats.markdown_summary import STEP_SUMMARY
from reports.model.report_directory import DERIVED
from suites.harness.checkout import ROOT
from suites.harness.reports.run.inner_runs import suite

pytestmark = pytest.mark.usefixtures("_inner_project")

HOLDS = "def test_one(): pass\ndef test_two(): pass\n"
BROKEN = "def test_one(): pass\ndef test_two(): assert 1 == 2\n"


def run(pytester: pytest.Pytester, text: str, *args: str) -> tuple[int, str]:
    """Run a suite with these tests; the exit status, and the last section of the terminal."""
    suite(pytester, text)
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", *args, timeout=120)
    return int(done.ret), done.stdout.str().partition("= kconform =")[2] or done.stderr.str()


def described(path: str) -> dict[str, Any]:
    return dict(json.loads(Path(path, "results.json").read_text(encoding="utf-8"))["run"])


def test_a_run_tells_what_changed_against_its_baseline(pytester: pytest.Pytester) -> None:
    assert run(pytester, HOLDS, "--report-dir=old")[0] == 0
    status, said = run(pytester, BROKEN, "--report-dir=new", "--baseline=old")
    assert status == 1
    assert "old/results.json (run old): 1 newly failing, 1 as before" in said
    assert "  newly failing: suites/harness/test_it.py::test_two (pass -> fail)" in said
    assert "1 newly failing" in Path("new/summary.md").read_text()
    (shown,) = re.findall(r'"comparison":(\[.*?\])', Path("new/index.html").read_text())
    assert [(row["test"], row["was"], row["now"], row["kind"]) for row in json.loads(shown)] == [
        ("suites/harness/test_it.py::test_two", "pass", "fail", "newly failing")
    ]
    baseline = described("new")["baseline"]
    assert baseline == {
        "path": str(Path.cwd() / "old/results.json"),
        "id": "old",
        "started": described("old")["started"],
    }
    schema = json.loads((ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(Path("new/results.json").read_text()))


def test_a_baseline_sets_no_exit_status(pytester: pytest.Pytester) -> None:
    """Whether it fails in both or only in the former: the run's own result counts."""
    assert run(pytester, BROKEN, "--report-dir=old")[0] == 1
    assert run(pytester, BROKEN, "--report-dir=new", "--baseline=old/results.json")[0] == 1
    status, said = run(pytester, HOLDS, "--report-dir=new", "--baseline=old")
    assert status == 0
    assert "newly passing: suites/harness/test_it.py::test_two (fail -> pass)" in said


def test_the_baseline_may_be_what_the_report_replaces(pytester: pytest.Pytester) -> None:
    assert run(pytester, HOLDS, "--report-dir=report")[0] == 0
    _, said = run(pytester, BROKEN, "--report-dir=report", "--baseline=report")
    assert "1 newly failing" in said


def test_a_baseline_with_nothing_in_common_is_said_and_harms_nothing(pytester: pytest.Pytester) -> None:
    assert run(pytester, "def test_other(): pass", "--report-dir=old")[0] == 0
    status, said = run(pytester, HOLDS, "--report-dir=new", "--baseline=old")
    assert status == 0
    assert "not compared: " in said
    assert "REPORT NOT COMPLETE" not in said


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one-process", "xdist"])
def test_a_bad_baseline_is_wrong_use_before_any_test(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    Path("half.json").write_text('{"schema": 1, "run": {')
    status, said = run(pytester, HOLDS, "--baseline=half.json", "--report-dir=new", *workers)
    assert status == 4
    assert "half.json: line 1, column 23: the file ends in the middle" in said
    assert not Path("new").exists()


def test_a_bad_origin_is_wrong_use(pytester: pytest.Pytester) -> None:
    status, said = run(pytester, HOLDS, "--kcidb-origin=My CI")
    assert status == 4
    assert "lower-case letters, digits and underscores" in said


def test_the_origin_of_kcidb_is_what_was_said(pytester: pytest.Pytester) -> None:
    kernel = (
        "@pytest.fixture(autouse=True)\ndef k(request): set_kernel(request.node, {'id': 'k/full', 'digest': 'd'})\n"
    )
    run(
        pytester,
        f"import pytest\nfrom reports.run.notes import set_kernel\n{kernel}{HOLDS}",
        "--report-dir=new",
        "--kcidb-origin=my_ci",
    )
    tests = json.loads(Path("new/kcidb.json").read_text())["tests"]
    assert [test["origin"] for test in tests] == ["my_ci", "my_ci"]


@pytest.mark.parametrize("name", DERIVED)
def test_a_file_that_cannot_be_written_is_said_and_loses_no_verdict(pytester: pytest.Pytester, name: str) -> None:
    Path("new", name).mkdir(parents=True)
    Path("new", name, "full").touch()
    status, said = run(pytester, HOLDS, "--report-dir=new")
    assert status == 3
    assert "REPORT NOT COMPLETE" in said
    assert name in said
    assert described("new")["exit_status"] == 3
    assert not list(Path("new").glob(".*.tmp"))


def test_a_former_reports_files_are_cleared_away(pytester: pytest.Pytester) -> None:
    """A run that is killed must not leave another run's files beside its own."""
    assert run(pytester, HOLDS, "--report-dir=new")[0] == 0
    assert all(Path("new", name).is_file() for name in DERIVED)
    run(pytester, "import os\ndef test_killed(): os.kill(os.getpid(), 9)", "--report-dir=new")
    assert described("new")["state"] == "running"
    assert not any(Path("new", name).exists() for name in DERIVED)


def test_the_summary_is_on_the_page_of_githubs_step(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STEP_SUMMARY, str(Path.cwd() / "step"))
    run(pytester, BROKEN, "--report-dir=new", "-n", "2")
    assert Path("step").read_text() == Path("new/summary.md").read_text()
    monkeypatch.setenv(STEP_SUMMARY, "/none/step")
    status, said = run(pytester, HOLDS, "--report-dir=new")
    assert status == 3
    assert "REPORT NOT COMPLETE" in said
