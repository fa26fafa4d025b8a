# SPDX-License-Identifier: GPL-2.0-or-later
"""`kconform history`: what it says, what it writes, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kconform import main
from reports.history.history_file import schema
from reports.model.schema import render
from suites.harness.checkout import ROOT
from suites.harness.reports import page_sample
from suites.harness.reports.history.small_fleet import Fleet

SCHEMA = ROOT / "reports" / "history.schema.json"
TALE = """\
4 runs from 2026-11-01 to 2026-11-04, 1 kernel

debian/full: 4 runs of 3 builds, 2026-11-01 to 2026-11-04
  broken now: 1
    yama.scope: began to break in 6.12.2 (2026-11-03), held last in 6.12.1 (2026-11-02), seen 2 times
        suites/yama/test_it.py::test_scope: why fail
  fixed: 1
    yama.exec: began to break in 6.12.1 (2026-11-02), fixed in 6.12.2 (2026-11-03)
        suites/yama/test_it.py::test_exec: why fail
  flaky tests: 1
    suites/yama/test_it.py::test_rate: in 1 of 3 builds: 6.12.2
"""


@pytest.fixture
def four(fleet: Fleet) -> Fleet:
    """Four runs of three builds: one promise breaks, one is fixed, and one is flaky."""
    for version, scope, execute, rate in (
        ("6.12.0", "pass", "pass", "pass"),
        ("6.12.1", "pass", "fail", "pass"),
        ("6.12.2", "fail", "pass", "fail"),
        ("6.12.2", "fail", "pass", "pass"),
    ):
        fleet.run(version, {"yama/scope": scope, "yama/exec": execute, "yama/rate": rate})
    return fleet


def test_it_says_what_changed_and_when(four: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", str(four.folder)]) == 0
    assert capsys.readouterr() == (TALE, "")


def test_nothing_to_say_is_said(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.run("6.12.0", {"yama/scope": "pass"})
    assert main(["history", str(fleet.folder)]) == 0
    assert capsys.readouterr().out.endswith("  nothing was broken, and nothing flaky\n")


def test_long_sections_are_cut_but_for_what_is_broken_now(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    for number, outcome in enumerate(("fail", "pass")):
        tests = {f"yama/fixed_{test}": outcome for test in range(25)}
        fleet.run(f"6.12.{number}", tests | {f"yama/broken_{test}": "fail" for test in range(25)})
    assert main(["history", str(fleet.folder)]) == 0
    said = capsys.readouterr().out
    assert said.count("yama.broken_") == 25
    assert said.count("yama.fixed_") == 20
    assert "    ... and 5 more; --all lists them\n" in said
    assert main(["history", str(fleet.folder), "--all"]) == 0
    assert capsys.readouterr().out.count("yama.fixed_") == 25


@pytest.mark.parametrize(
    ("options", "runs", "promises"),
    [
        (["--since=2026-11-03"], 2, {"yama.scope", "yama.exec", "yama.rate"}),
        (["--promise=yama.s*"], 4, {"yama.scope"}),
        (["--kernel=debian-6.12.?/full"], 4, {"yama.scope", "yama.exec", "yama.rate"}),
        (["--kernel=debian/*"], 4, {"yama.scope", "yama.exec", "yama.rate"}),
    ],
)
def test_a_filter_leaves_the_others_out(
    four: Fleet, tmp_path: Path, options: list[str], runs: int, promises: set[str]
) -> None:
    assert main(["history", str(four.folder), "--output", str(tmp_path / "made"), *options]) == 0
    found = json.loads((tmp_path / "made" / "history.json").read_text(encoding="utf-8"))
    assert len(found["runs"]) == runs
    assert {each["id"] for each in found["promises"]} == promises
    assert {row["id"] for series in found["series"] for row in series["promises"]} == promises
    assert {
        name.rpartition("_")[2] for series in found["series"] for name in [f["test"] for f in series["flaky"]]
    } <= {promise.rpartition(".")[2] for promise in promises}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since=2026-12-01"], "no run began on 2026-12-01 or later; 4 began before"),
        (["--kernel=arch/*"], "no kernel matches 'arch/*'"),
        (["--promise=yama.sc\x1bpe"], "no promise matches 'yama.sc\\x1bpe'"),
        (["--since=soon"], "'soon' is not a date"),
        (["--output=/dev/null/x"], "/dev/null/x: cannot be written"),
        (["/nowhere"], "/nowhere: cannot be read: No such file or directory"),
    ],
)
def test_wrong_use_is_4_and_a_sentence(
    four: Fleet, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    try:
        status = main(["history", str(four.folder), *arguments])
    except SystemExit as ended:
        status = int(str(ended.code))
    assert status == 4
    assert message in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_named_and_makes_it_3(four: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    path = four.folder / "day-2" / "results.json"
    path.write_text(path.read_text()[:-100])
    assert main(["history", str(four.folder)]) == 3
    said = capsys.readouterr()
    assert said.err.startswith(f"kconform: remark: {path}: left out: line 1, column ")
    assert "the file ends in the middle" in said.err
    assert said.out.startswith("3 runs from 2026-11-01 to 2026-11-04, 1 kernel, 1 file left out\n")


def test_a_copy_is_named_and_changes_no_status(four: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    (four.folder / "copy").mkdir()
    (four.folder / "copy" / "results.json").write_bytes((four.folder / "day-2" / "results.json").read_bytes())
    assert main(["history", str(four.folder)]) == 0
    assert "left out: a copy of a run that was read already" in capsys.readouterr().err


def test_if_no_file_can_be_read_it_is_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.json").write_text("[]")
    assert main(["history", str(tmp_path), "--output", str(tmp_path / "made")]) == 4
    assert "none of 1 files can be read; the first: " in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_the_schema_is_that_of_the_records() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == render(schema()), (
        "python -m reports.history.history_file > reports/history.schema.json"
    )


def test_the_file_fits_its_schema_and_is_the_same_each_time(four: Fleet, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main(["history", str(four.folder), "--output", str(tmp_path / name)]) == 0
    content = (tmp_path / "one" / "history.json").read_bytes()
    found: dict[str, Any] = json.loads(content)
    jsonschema.validate(found, json.loads(SCHEMA.read_text(encoding="utf-8")))
    (series,) = found["series"]
    assert all(len(row["statuses"]) == len(series["columns"]) for row in series["promises"])
    assert series["columns"][1]["seconds"] == {"yama": 0.75}
    for name in ("history.json", "history.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_what_a_file_says_reaches_the_terminal_spelled_out(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    file = fleet.run("6.12.0", {"yama/scope": "fail"}) / "results.json"
    content = json.loads(file.read_text())
    content["results"][0] |= {"reason": page_sample.HOSTILE, "nodeid": f"::error::{page_sample.HOSTILE}"}
    content["requirements"][0]["id"] = content["results"][0]["requirements"][0] = "\x1b[2Jx"
    content["kernels"][0]["machine_options"] = "\u202e\n::error::"
    file.write_text(json.dumps(content))
    bad = fleet.folder / "\x1b[31mbad\n::error::"
    bad.mkdir()
    (bad / "results.json").write_text("{")
    assert main(["history", str(fleet.folder)]) == 3
    said = "".join(capsys.readouterr())
    assert not [char for char in said if not char.isprintable() and char != "\n"]
    assert not [line for line in said.splitlines() if line.lstrip().startswith("::")]
    assert page_sample.SPELLED in said
