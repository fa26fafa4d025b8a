# SPDX-License-Identifier: GPL-2.0-or-later
"""Report directories: what belongs to a former report, and what remains of a run without one."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.project_files import REPORTS
from reports.model import report_directory
from suites.harness.reports.documents import result, write


def test_only_a_former_report_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    files = [tmp_path / name for name in ("index.html", "report.html", "junit.xml")]
    for path in files:
        path.touch()
    report_directory.clear_former(tmp_path)
    assert (tmp_path / "evidence").is_dir()
    assert all(path.exists() for path in files)
    (tmp_path / "results.json").write_text('{"schema": 1, "run": {}, "results": []}')
    report_directory.clear_former(tmp_path)
    assert not (tmp_path / "evidence").exists()
    assert not any(path.exists() for path in files)


@pytest.mark.parametrize("earlier", [[], ["20260101T000000Z"]], ids=["the first run", "a later run"])
def test_a_run_without_results_leaves_nothing(tmp_path: Path, earlier: list[str]) -> None:
    for name in earlier:
        (tmp_path / REPORTS / name).mkdir(parents=True)
    claimed = report_directory.claim(tmp_path, tmp_path, None, datetime(2026, 11, 29, tzinfo=UTC))
    assert claimed.path.is_dir()
    claimed.release()
    reports = tmp_path / REPORTS
    assert [path.name for path in reports.glob("*")] == earlier
    assert reports.exists() == bool(earlier)


def test_a_directory_that_was_there_stays(tmp_path: Path) -> None:
    for name in ("mine", "new"):
        (tmp_path / "mine").mkdir(exist_ok=True)
        report_directory.claim(tmp_path, tmp_path, name, datetime(2026, 11, 29, tzinfo=UTC)).release()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("changed", "ours"),
    [
        pytest.param({}, True, id="whole"),
        pytest.param({"end": " "}, False, id="cut"),
        pytest.param({"begin": "{}"}, False, id="of-something-else"),
        pytest.param({"begin": '{"schema": 3, "run": {"id": '}, False, id="half-a-run"),
    ],
)
def test_a_report_is_one_whatever_its_size(tmp_path: Path, changed: dict[str, str], ours: bool) -> None:
    """An earlier version may have written it.  What is no report is not cleared away."""
    write(tmp_path, result("yama/scope"))
    text = (tmp_path / "results.json").read_text()
    begin, end = changed.get("begin", text[:-2]), changed.get("end", text[-2:])
    (tmp_path / "results.json").write_text(begin + " " * report_directory.SIZE_LIMIT + end)
    (tmp_path / "evidence").mkdir()
    assert report_directory.is_report(tmp_path) == ours
    report_directory.clear_former(tmp_path)
    assert (tmp_path / "evidence").exists() != ours


def test_git_ignores_reports_in_a_work_tree(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    report = tmp_path / "kconform-reports" / "one"
    report.mkdir(parents=True)
    (report / report_directory.RESULTS).write_text("{}")
    status = ["git", "-C", str(tmp_path), "status", "--porcelain"]
    assert subprocess.run(status, check=True, capture_output=True).stdout == b"?? kconform-reports/\n"
    report_directory.update_latest(report)
    assert subprocess.run(status, check=True, capture_output=True).stdout == b""
