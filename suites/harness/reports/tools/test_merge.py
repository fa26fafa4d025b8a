# SPDX-License-Identifier: GPL-2.0-or-later
"""One report from several shards."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from common.errors import UsageError
from kconform import main
from reports.model.document import load
from reports.model.run_record import CertaintyRecord
from reports.tools.merge import merge
from suites.harness.checkout import ROOT
from suites.harness.reports import ktap_reader
from suites.harness.reports.documents import FULL, NEXT, TIME, kernel, result, write

NASTY = result("yama/b", "fail", "x\x1b & <y>", longrepr="\x1b[1m & <z>")
FILES = {"results.json", "results.ktap", "kcidb.json", "summary.md", "junit.xml", "index.html"}


@pytest.fixture(autouse=True)
def _no_page_of_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def shard(root: Path, name: str, *results: dict[str, Any], **more: Any) -> Path:
    """A report whose results have evidence: their own names."""
    for number, each in enumerate(results):
        path = f"evidence/{name}-{number}/log.txt"
        (root / name / path).parent.mkdir(parents=True)
        (root / name / path).write_text(f"{name} {each['outcome']}\n")
        each["evidence"] = {"kernel log": path}
    return write(root / name, *results, **({"id": name} | more))


def test_a_merged_report_has_all_of_its_shards(tmp_path: Path) -> None:
    one = shard(
        tmp_path,
        "one",
        result("yama/a"),
        result("yama/b", "fail", "x\x1b & <y>", longrepr="\x1b[1m & <z>"),
        exit_status=1,
    )
    two = shard(tmp_path, "two", result("loadpin/a", "skip", on=NEXT), result("loadpin/w", "waived", on=NEXT))
    three = shard(tmp_path, "three", result("seccomp/e", "error"), exit_status=3)
    merged = merge([one, two / "results.json", three], tmp_path / "out", origin="my_ci")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES | {"evidence"}
    assert (merged.exit_status, merged.remarks) == (1, [])
    found = load(tmp_path / "out")
    schema = json.loads((ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(found.path.read_text(encoding="utf-8")))
    assert [each.verdict for each in found.results] == ["pass", "fail", "skip", "waived", "error"]
    assert list(found.kernels) == [FULL, NEXT]
    assert found.promises["yama.b"].status == {FULL: "broken", NEXT: "untested"}
    assert found.run.counts == dict.fromkeys(("pass", "fail", "error", "skip", "waived"), 1) | {
        "unexpected-pass": 0,
        "flaky": 0,
    }
    assert [each.id for each in found.run.merged or ()] == ["one", "two", "three"]
    assert (found.run.collected, found.run.duration_s, found.run.state) == (5, 4.5, "finished")
    texts = [(found.directory / path).read_text() for each in found.results for path in each.evidence.values()]
    assert texts == ["one pass\n", "one fail\n", "two skip\n", "two waived\n", "three error\n"]
    assert '"my_ci:' in (tmp_path / "out" / "kcidb.json").read_text()


def test_its_other_formats_tell_the_same(tmp_path: Path) -> None:
    one = shard(
        tmp_path,
        "one",
        result("yama/a"),
        result("yama/b", "fail", "x\x1b & <y>", longrepr="\x1b[1m & <z>"),
        exit_status=1,
    )
    two = shard(
        tmp_path, "two", result("loadpin/s", "skip", "why"), result("loadpin/w", "waived"), result("yama/e", "error")
    )
    found = merge([one, two], tmp_path / "out", origin="my_ci").document
    (suite,) = ElementTree.parse(tmp_path / "out" / "junit.xml").iter("testsuite")  # noqa: S314
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["5", "1", "1", "2"]
    told = [
        {str(each.get("name")): each.get("value") for each in case.iterfind("properties/property")}
        for case in suite.iter("testcase")
    ]
    assert [each["test"] for each in told] == [each.nodeid for each in found.results]
    assert [each["outcome"] for each in told] == [each.verdict for each in found.results]
    assert all(each["kernel"] == FULL and each["flavor"] == "full" and each["requirement"] for each in told)
    (failure,) = suite.iter("failure")
    assert (failure.get("message"), failure.text) == ("x\\x1b & <y>", "\\x1b[1m & <z>")
    (top,) = ktap_reader.read((tmp_path / "out" / "results.ktap").read_text())
    assert {leaf.name for leaf in top.leaves()} == {each.nodeid for each in found.results}
    assert "exit status 1" in (tmp_path / "out" / "summary.md").read_text()


def test_one_id_for_two_kernels_is_an_error(tmp_path: Path) -> None:
    one = shard(tmp_path, "one", result("yama/a"))
    two = shard(tmp_path, "two", result("yama/b"), kernels=[kernel(FULL, digest="another")])
    with pytest.raises(UsageError, match=f"two/results.json: the kernel {FULL} is not the one in .*one/results.json"):
        merge([one, two], tmp_path / "out", origin="my_ci")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("first", ["pass", "fail"])
def test_of_a_test_that_is_in_two_the_worse_counts_and_it_is_said(tmp_path: Path, first: str) -> None:
    second = {"pass": "fail", "fail": "pass"}[first]
    paths = [shard(tmp_path, name, result("yama/a", outcome)) for name, outcome in (("one", first), ("two", second))]
    merged = merge(paths, tmp_path / "out", origin="my_ci")
    (found,) = merged.document.results
    assert (found.verdict, merged.exit_status) == ("fail", 1)
    assert (tmp_path / "out" / found.evidence["kernel log"]).read_text().endswith(" fail\n")
    (remark,) = merged.remarks
    assert f"{first} in {paths[0]}/results.json, {second} in {paths[1]}/results.json: fail counts" in remark
    assert merged.document.run.collected == 1


@pytest.mark.parametrize(
    ("outcomes", "ends", "states", "status"),
    [
        (["pass", "pass"], [0, 0], ["finished", "finished"], 0),
        (["pass", "skip"], [0, 5], ["finished", "finished"], 0),
        (["skip", "skip"], [5, 5], ["finished", "finished"], 5),
        (["pass", "error"], [0, 3], ["finished", "finished"], 3),
        (["fail", "error"], [1, 4], ["finished", "finished"], 1),
        (["pass", "error"], [0, 4], ["finished", "finished"], 4),
        (["pass", "fail"], [2, 1], ["interrupted", "finished"], 2),
        (["pass", "pass"], [0, None], ["finished", "running"], 2),
        (["pass", "pass"], [0, 3], ["finished", "interrupted"], 3),
        (["pass", "pass"], [0, 3], ["finished", "finished"], 3),
        (["pass", "pass"], [0, 4], ["finished", "finished"], 4),
        (["pass", "unexpected-pass"], [0, 1], ["finished", "finished"], 1),
        (["pass", "flaky"], [0, 1], ["finished", "finished"], 1),
        (["fail", "flaky"], [1, 1], ["finished", "finished"], 1),
        (["error", "flaky"], [3, 1], ["finished", "finished"], 1),
    ],
)
def test_the_exit_status_is_that_of_one_run(
    tmp_path: Path, outcomes: list[str], ends: list[int | None], states: list[str], status: int
) -> None:
    paths = [
        shard(tmp_path, str(n), result(f"yama/t{n}", outcome), exit_status=end, state=state)
        for n, (outcome, end, state) in enumerate(zip(outcomes, ends, states, strict=True))
    ]
    merged = merge(paths, tmp_path / "out", origin="my_ci")
    assert merged.exit_status == status
    assert merged.document.run.state == ("finished" if set(states) == {"finished"} else "interrupted")


@pytest.mark.parametrize(("policies", "status"), [(("undetermined",) * 2, 3), (("undetermined", "broken"), 1)])
def test_a_flaky_test_counts_as_the_shards_say_and_is_never_green(
    tmp_path: Path, policies: tuple[str, ...], status: int
) -> None:
    """The stricter one decides.  What all shards have in common is the fewest attempts."""
    one = shard(
        tmp_path, "one", result("yama/a", "flaky"), exit_status=3, certainty={"confirm": 3, "flaky": policies[0]}
    )
    two = shard(tmp_path, "two", result("yama/b"), exit_status=0, certainty={"confirm": 2, "flaky": policies[1]})
    merged = merge([one, two], tmp_path / "out", origin="my_ci")
    assert merged.exit_status == status
    assert merged.document.run.certainty == CertaintyRecord(confirm=2, flaky=policies[1])  # type: ignore[arg-type]


def test_evidence_that_is_not_there_or_leads_out_is_said(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    one = shard(tmp_path, "one", result("yama/a"), result("yama/b"))
    (one / "evidence/one-0/log.txt").unlink()
    (one / "evidence/one-1/log.txt").unlink()
    (one / "evidence/one-1/log.txt").symlink_to(tmp_path / "secret")
    merged = merge([one], tmp_path / "out", origin="my_ci")
    assert [remark.rpartition(":")[2] for remark in merged.remarks] == [" kernel log", " kernel log"]
    assert [dict(each.evidence) for each in merged.document.results] == [{}, {}]
    assert not (tmp_path / "out" / "evidence").exists()


def test_a_former_merge_is_replaced(tmp_path: Path) -> None:
    one, two = shard(tmp_path, "one", result("yama/a")), shard(tmp_path, "two", result("yama/b"))
    merge([one], tmp_path / "out", origin="my_ci")
    merge([two], tmp_path / "out", origin="my_ci")
    texts = [path.read_text() for path in (tmp_path / "out" / "evidence").rglob("*.txt")]
    assert texts == ["two pass\n"]


def test_what_shards_differ_in_is_told_of_all(tmp_path: Path) -> None:
    one = shard(tmp_path, "one", result("yama/a"), host={"node": "a", "machine": "x86_64"}, started=TIME)
    two = shard(tmp_path, "two", result("yama/b"), host={"node": "b", "machine": "x86_64"}, suite={"commit": None})
    run = merge([one, two], tmp_path / "out", origin="my_ci").document.run
    assert run.host == {"node": "a, b", "machine": "x86_64"}
    assert run.suite.commit == "0" * 40


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ((None, None), None),
        (("-m quick", "-m quick"), "-m quick"),
        (("suites/yama", "suites/loadpin"), "suites/yama and suites/loadpin"),
        ((None, "-k scope"), "all and -k scope"),
    ],
)
def test_what_was_chosen_of_the_tests_is_told_of_all(
    tmp_path: Path, chosen: tuple[str | None, str | None], told: str | None
) -> None:
    one, two = (shard(tmp_path, f"{n}", result(f"yama/{n}"), selection=words) for n, words in enumerate(chosen))
    assert merge([one, two], tmp_path / "out", origin="my_ci").document.run.selection == told


class TestCommand:
    HOSTILE = "\x1b[2J\u202e\n::error::forged ##[error]"

    @pytest.mark.parametrize("change", ["nodeid", "title", "path", "kernel", "outcome", "selection"])
    def test_nothing_of_a_file_is_obeyed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
    ) -> None:
        """Whatever an error or a remark quotes of it is spelled out."""
        hostile = result("yama/a", "fail")
        if change in ("nodeid", "kernel", "outcome"):
            hostile[change] = self.HOSTILE
        elif change != "selection":
            hostile["evidence"] = {self.HOSTILE: "../x" if change == "title" else f"../{self.HOSTILE}"}
        one, two = (
            write(tmp_path / name, hostile, kernels=[kernel(FULL)], selection=self.HOSTILE) for name in ("one", "two")
        )
        for command in (
            ["merge", "--output", str(tmp_path / "out"), str(one), str(two)],
            ["diff", str(one), str(two)],
        ):
            main(command)
            said = capsys.readouterr()
            text = said.out + said.err
            assert re.search(r"\\(x|u00)1b\[2J", text)
            assert {char for char in text if not char.isprintable()} == {"\n"}
            assert not [line for line in text.splitlines() if line.lstrip().startswith("::") or "##[" in line]

    def test_it_tells_what_it_came_to(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        one = shard(tmp_path, "one", result("yama/a"), result("yama/b", "fail"))
        out = tmp_path / "out"
        assert main(["merge", "--output", str(out), str(one), str(one)]) == 1
        said = capsys.readouterr()
        assert said.out == f"1 pass, 1 fail\nreport: {out}\nexit status 1: a promise was broken\n"
        assert said.err.count("kconform: remark: ") == 2

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["one"], "--output"),
            (["--output", "out"], "IN"),
            (["--output", "one", "one"], "this is one of the reports to be merged"),
            (["--output", "out", "none"], "none: cannot be read"),
            (["--output", "one/results.json", "one"], "cannot be written"),
        ],
    )
    def test_wrong_use_is_4_and_a_sentence(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        complaint: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        shard(tmp_path, "one", result("yama/a"))
        try:
            status = main(["merge", *arguments])
        except SystemExit as ended:
            status = int(str(ended.code))
        assert status == 4
        assert complaint in capsys.readouterr().err
        assert load(tmp_path / "one").results
