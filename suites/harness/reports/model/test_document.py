# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a results.json, and the schema of its records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from common.errors import UsageError
from reports.model.document import load, parse
from reports.model.schema import render, schema
from suites.harness.checkout import ROOT
from suites.harness.reports.documents import FULL, document, read, result, write


def test_the_published_schema_is_that_of_the_records() -> None:
    assert (ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8") == render(schema())


def test_the_samples_conform_to_the_published_schema() -> None:
    """Otherwise the tests with them show nothing."""
    schema = json.loads((ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(
        document([result("yama/scope"), result("yama/x", "fail", on=None)])
    )


class TestReading:
    def test_a_file_and_its_directory_are_the_same(self, tmp_path: Path) -> None:
        path = write(tmp_path / "report", result("yama/scope", "fail", "evil -> OK"))
        assert load(path) == load(path / "results.json")
        (found,) = load(path).results
        assert (found.nodeid, found.verdict) == (f"suites/yama/test_it.py::test_scope[{FULL}]", "fail")
        assert load(path).remarks() == []

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            pytest.param("", "the file is empty", id="empty"),
            pytest.param("\n\n  {,}", "line 3, column 4: this is not JSON", id="no-json"),
            pytest.param("<testsuites/>", "line 1, column 1: this is not JSON", id="junit"),
            pytest.param(
                '{"schema": 1,\n"run": {"id": "x', "line 2, column 15: the file ends in the middle", id="half"
            ),
            pytest.param('{"schema": 1,\n"run": {', "the file ends in the middle", id="half-an-object"),
            pytest.param('{"schema": 1, "run": {}, "results": [', "the file ends in the middle", id="half-a-list"),
            pytest.param('{"checkouts": []}', "is JSON, but not a results.json of kconform", id="foreign"),
            pytest.param("[]", "is JSON, but not a results.json of kconform", id="list"),
            pytest.param("[" * 100_000, "this JSON cannot be read", id="deep"),
            pytest.param("1" * 100_000, "this JSON cannot be read", id="long-number"),
        ],
    )
    def test_what_is_no_results_is_one_sentence(self, tmp_path: Path, text: str, complaint: str) -> None:
        path = tmp_path / "results.json"
        path.write_text(text)
        with pytest.raises(UsageError) as caught:
            load(path)
        assert complaint in caught.value.message
        assert caught.value.message.startswith(f"{path}: ")
        assert "\n" not in caught.value.message

    @pytest.mark.parametrize(
        ("keys", "value", "complaint"),
        [
            (("schema",), 4, "$.schema: written by a newer kconform (format 4, this one reads 3)"),
            (("schema",), "1", '$.schema: expected a version number, not "1"'),
            (("schema",), True, "$.schema: expected a version number, not true"),
            (("run",), [], "$.run: expected `object`, got `array`"),
            (("run", "state"), "done", "$.run.state: invalid enum value 'done'"),
            (("run", "collected"), -1, "$.run.collected: expected `int` >= 0"),
            (("run", "duration_s"), float("nan"), "NaN is not a number in JSON"),
            (("run", "duration_s"), 10**400, "$.run.duration_s: "),
            (("run", "duration_s"), float("inf"), "Infinity is not a number in JSON"),
            (("kernels",), None, "$.kernels: expected `array`, got `null`"),
            (("kernels", 0, "id"), "other", '$.results[0].kernel: "debian-6.12.117/full" is not one of $.kernels'),
            (("requirements", 0, "area"), None, "$.requirements[0].area: expected `str`, got `null`"),
            (
                ("requirements", 0, "status", "debian-6.12.117/full"),
                "kept",
                "$.requirements[0].status[...]: invalid enum value 'kept'",
            ),
            (("requirements", 0, "text"), 1, "$.requirements[0].text: expected `str`, got `int`"),
            (("results", 1), "x", "$.results[1]: expected `object`, got `str`"),
            (("results", 1, "outcome"), "passed", "$.results[1].outcome: invalid enum value 'passed'"),
            (("results", 1, "outcome"), [], "$.results[1].outcome: expected `str`, got `array`"),
            (("results", 1, "started"), "today", "$.results[1].started: expected `str` matching regex"),
            (("run", "finished"), "", "$.run.finished: expected `str` matching regex"),
            (("results", 1, "reason"), "a\nb", "$.results[1].reason: expected `str` matching regex"),
            (("results", 1, "requirements"), [1], "$.results[1].requirements[0]: expected `str`, got `int`"),
            (("results", 1, "evidence"), {"log": "../x"}, "expected a path in the report directory"),
            (("results", 1, "evidence"), {"log": "/etc/passwd"}, "expected a path in the report directory"),
        ],
    )
    def test_a_wrong_value_has_its_place(
        self, tmp_path: Path, keys: tuple[str | int, ...], value: object, complaint: str
    ) -> None:
        found = document([result("yama/scope"), result("yama/rate")])
        *outer, last = keys
        part: Any = found
        for key in outer:
            part = part[key]
        part[last] = value
        path = tmp_path / "results.json"
        path.write_text(json.dumps(found))
        with pytest.raises(UsageError) as caught:
            load(path)
        assert complaint in str(caught.value)

    def test_a_promise_is_there_once(self, tmp_path: Path) -> None:
        content = document([result("yama/scope")])
        content["requirements"] *= 2
        with pytest.raises(UsageError, match=r'\$\.requirements\[1\]\.id: "yama\.scope" is used twice'):
            parse(content, tmp_path)

    def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_it(self, tmp_path: Path) -> None:
        """Some programs that copy a file put it there."""
        (tmp_path / "results.json").write_text(json.dumps(document([])), encoding="utf-8-sig")
        assert load(tmp_path).results == []

    @pytest.mark.parametrize("key", ["kernel", "outcome", "longrepr", "evidence"])
    def test_what_is_missing_has_its_place(self, tmp_path: Path, key: str) -> None:
        found = document([result("yama/scope")])
        del found["results"][0][key]
        (tmp_path / "results.json").write_text(json.dumps(found))
        with pytest.raises(UsageError, match=rf"results\[0\]: object missing required field `{key}`"):
            load(tmp_path)

    def test_what_cannot_be_read_is_one_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "binary").write_bytes(b"{\xff}")
        for path, complaint in (
            (tmp_path, "this directory has no results.json"),
            (tmp_path / "none", "cannot be read: No such file"),
            (tmp_path / "binary", "no UTF-8 text at byte 1"),
        ):
            with pytest.raises(UsageError, match=complaint):
                load(path)

    def test_half_a_character_can_be_written_again(self, tmp_path: Path) -> None:
        path = write(tmp_path / "report", result("yama/scope", "fail", "\udcff"))
        assert "\\udcff" in (path / "results.json").read_text()
        assert load(path).results[0].reason.encode() == b"\\udcff"

    def test_more_than_we_know_is_no_fault(self) -> None:
        found = read(result("yama/scope", later="x"), later="x")
        assert len(found.results) == 1

    def test_a_run_that_did_not_end_is_read_with_a_remark(self) -> None:
        assert "still going on or was killed" in read(state="running").remarks()[0]
        assert "was interrupted" in read(state="interrupted").remarks()[0]
        assert "1 of 2 tests did not run" in read(result("yama/scope"), collected=2).remarks()[0]
        assert "not all tests were chosen, only: -k yama" in read(selection="-k yama").remarks()[0]
