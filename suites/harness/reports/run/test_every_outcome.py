# SPDX-License-Identifier: GPL-2.0-or-later
"""One run with every outcome, without and with pytest-xdist: all its files must say the same."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import junitparser
import kcidb_io
import pytest

from reports.formats.markdown_summary import STEP_SUMMARY
from suites.harness.checkout import ROOT
from suites.harness.reports import ktap_reader
from suites.harness.reports.run.sample_project import FILES, KERNELS, OUTCOMES


@dataclass(frozen=True)
class Run:
    directory: Path
    output: str
    status: int
    document: dict[str, Any]
    workers: bool

    def result(self, test: str, kernel: str = KERNELS[0]) -> dict[str, Any]:
        nodeid = f"suites/yama/test_it.py::test_{test}[{kernel}]"
        (found,) = [each for each in self.document["results"] if each["nodeid"] == nodeid]
        return dict(found)


@pytest.fixture(scope="module", params=[(), ("-n", "2")], ids=["one-process", "xdist"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("project")
    (root / "suites" / "yama").mkdir(parents=True)
    for name, text in FILES.items():
        (root / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *request.param],
        cwd=root,
        env={key: value for key, value in os.environ.items() if key != STEP_SUMMARY} | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    directory = root / "reports" / "out" / "latest"
    assert directory.is_symlink(), done.stdout + done.stderr
    document = json.loads((directory / "results.json").read_text(encoding="utf-8"))
    return Run(directory, done.stdout + done.stderr, done.returncode, document, bool(request.param))


def test_results_are_as_the_published_schema_says(run: Run) -> None:
    schema = json.loads((ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(run.document)


@pytest.mark.parametrize(("outcome", "words"), [("fail", "broken promise"), ("error", "error")])
def test_the_first_failure_is_told_while_the_run_goes_on(run: Run, outcome: str, words: str) -> None:
    """Once, with its reason, and long before pytest's summary."""
    lines = run.output.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith(f"first {words}: ")]
    result = next(each for each in run.document["results"] if lines[at] == f"first {words}: {each['nodeid']}")
    assert (result["outcome"], f"  {result['reason']}") == (outcome, lines[at + 1])
    assert at < next(number for number, line in enumerate(lines) if re.match("=+ (ERRORS|FAILURES) =+", line))


@pytest.mark.parametrize("kernel_id", KERNELS)
@pytest.mark.parametrize("test", OUTCOMES)
def test_each_test_has_its_outcome_and_reason(run: Run, test: str, kernel_id: str) -> None:
    result = run.result(test, kernel_id)
    assert (result["outcome"], result["reason"]) == OUTCOMES[test]
    assert (result["kernel"], result["flavor"], result["area"]) == (kernel_id, kernel_id.split("/")[1], "yama")
    assert result["accel"] == "tcg"
    assert (result["worker"] in ("gw0", "gw1")) == run.workers
    assert bool(result["longrepr"]) == (result["outcome"] in ("fail", "error"))


def test_the_run_is_described(run: Run) -> None:
    described = run.document["run"]
    assert (run.status, described["exit_status"], described["state"]) == (1, 1, "finished")
    assert described["counts"] == {
        "pass": 4,
        "fail": 10,
        "error": 6,
        "skip": 4,
        "waived": 0,
        "unexpected-pass": 0,
        "flaky": 0,
    }
    assert described["collected"] == 2 * len(OUTCOMES)
    assert described["versions"]["qemu"] == "7.2"
    assert described["id"] == run.directory.resolve().name
    kernels = {kernel["id"]: kernel for kernel in run.document["kernels"]}
    assert sorted(kernels) == sorted(KERNELS)
    assert kernels["tiny-6.1/no-yama"]["flavor"] == "no-yama"


def test_requirements_have_a_status_for_each_kernel(run: Run) -> None:
    status = {each["id"]: each["status"] for each in run.document["requirements"]}
    assert status == {
        "yama.scope-1": dict.fromkeys(KERNELS, "broken"),
        "yama.scope-3": dict.fromkeys(KERNELS, "broken"),
        "yama.nobody-tests-me": dict.fromkeys(KERNELS, "untested"),
    }
    assert run.result("crashing")["requirements"] == ["yama.scope-3", "yama.scope-1"]


def test_evidence_lies_where_the_result_says(run: Run) -> None:
    for result in run.document["results"]:
        for path in result["evidence"].values():
            assert (run.directory / path).is_file()
    # A passing test has its transcript too, and what came at its teardown.
    assert list(run.result("holds")["evidence"]) == ["transcript", "kernel log", "process tree"]
    assert list(run.result("crashing")["evidence"]) == ["transcript", "kernel log", "console", "process tree"]
    # What a failed test printed is evidence too.
    printed = run.directory / run.result("broken")["evidence"]["Captured stdout call"]
    assert printed.read_text(encoding="utf-8") == "printed\n"
    assert run.result("no_qemu")["evidence"] == {}
    transcript = run.directory / run.result("holds")["evidence"]["transcript"]
    assert transcript.read_text(encoding="utf-8") == "evil.attach(secret) -> OK & <more> \\udcff\n"


def test_junit_has_our_properties_and_our_words(run: Run) -> None:
    (suite,) = ElementTree.parse(run.directory / "junit.xml").iter("testsuite")  # noqa: S314
    seen = set()
    for case in suite.iter("testcase"):
        properties = [(each.get("name"), each.get("value")) for each in case.iterfind("properties/property")]
        name, kernel = re.fullmatch(r"test_(\w+)\[(.*)\]", str(case.get("name"))).groups()  # type: ignore[union-attr]
        outcome, _ = OUTCOMES[name]
        assert ("outcome", outcome) in properties
        assert ("kernel", kernel) in properties
        assert ("flavor", kernel.split("/")[1]) in properties
        assert ("requirement", "yama.scope-1") in properties
        assert ("test", f"suites/yama/test_it.py::{case.get('name')}") in properties
        assert (case.find("failure") is not None) == (outcome == "fail")
        assert (case.find("error") is not None) == (outcome == "error")
        seen.add((name, kernel))
    assert len(seen) == 2 * len(OUTCOMES)
    assert len(list(suite.iter("testcase"))) == int(str(suite.get("tests"))) == 2 * len(OUTCOMES)
    assert (suite.get("failures"), suite.get("errors")) == ("10", "6")


JUNIT_RESULTS = {
    "fail": [junitparser.Failure],
    "error": [junitparser.Error],
    "skip": [junitparser.Skipped],
    "pass": [],
}


def test_junitparser_reads_the_outcome_of_each_test(run: Run) -> None:
    """The file's totals agree with them."""
    (suite,) = junitparser.JUnitXml.fromfile(str(run.directory / "junit.xml"))
    found = {case.name: [type(each) for each in case.result] for case in suite}
    assert found == {
        f"test_{test}[{kernel}]": JUNIT_RESULTS[outcome]
        for test, (outcome, _) in OUTCOMES.items()
        for kernel in KERNELS
    }
    totals = {
        junitparser.Failure: suite.failures,
        junitparser.Error: suite.errors,
        junitparser.Skipped: suite.skipped,
    }
    assert totals == Counter(kind for kinds in found.values() for kind in kinds)
    assert suite.tests == len(found)


JUNIT2HTML_LETTERS = {"fail": "f", "error": "f", "skip": "s", "pass": "/"}


def test_junit2html_shows_each_test(run: Run, tmp_path: Path) -> None:
    """On its page with the reason, and in its matrix with a letter."""

    def command(*arguments: str | Path) -> str:
        words = [sys.executable, "-m", "junit2htmlreport", *arguments]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    matrix = command("--summary-matrix", run.directory / "junit.xml")
    command(run.directory / "junit.xml", tmp_path / "junit.html")
    page = html.unescape((tmp_path / "junit.html").read_text(encoding="utf-8"))
    shown = dict(re.findall(r"^- (\S+) +(\S)", matrix, re.MULTILINE))
    assert len(shown) == 2 * len(OUTCOMES)
    for test, (outcome, reason) in OUTCOMES.items():
        for kernel in KERNELS:
            assert shown[f"test_{test}[{kernel}]"] == JUNIT2HTML_LETTERS[outcome]
            assert f"test_{test}[{kernel}]" in page
        assert outcome == "pass" or reason in page


def test_other_formats_lie_beside_and_call_each_test_by_the_same_name(run: Run) -> None:
    """The names below are those of every run, whichever process ran a test."""
    expected = {f"suites/yama/test_it.py::test_{test}[{kernel}]" for kernel in KERNELS for test in OUTCOMES}
    leaves = [
        leaf
        for top in ktap_reader.read((run.directory / "results.ktap").read_text(encoding="utf-8"))
        for leaf in top.leaves()
    ]
    submitted = json.loads((run.directory / "kcidb.json").read_text(encoding="utf-8"))
    kcidb_io.schema.V5_3.validate(submitted)
    cases = ElementTree.parse(run.directory / "junit.xml").iter("testcase")  # noqa: S314
    for names in (
        [result["nodeid"] for result in run.document["results"]],
        [leaf.name for leaf in leaves],
        [test["misc"]["kconform"]["nodeid"] for test in submitted["tests"]],
        [each.get("value") for case in cases for each in case.iterfind("properties/property[@name='test']")],
    ):
        assert len(names) == len(expected)
        assert set(names) == expected
    assert len({(test["build_id"], test["path"]) for test in submitted["tests"]}) == len(expected)
    summary = (run.directory / "summary.md").read_text(encoding="utf-8")
    assert "**exit status 1: a promise was broken**" in summary
    assert "| debian-6.12/full | 2 | 5 | 3 | 2 |" in summary


def test_the_terminal_says_what_broke_where_and_what_it_came_to(run: Run) -> None:
    _, _, summary = run.output.partition("= kconform =")
    path = run.document["run"]["id"]
    for text in (
        "yama.scope-1: At scope 1 a task may attach <only> to its descendants.",
        "evil[41].attach(secret[40]) -> OK, expected EPERM",
        f"evidence: reports/out/{path}/evidence/yama-test_it-test_broken-debian-6.12-full-",
        "qemu is not there (hint: install qemu)",
        "2  no CONFIG_X",
        "debian-6.12/full (6.12.1, tcg): 2 held, 5 broken, 2 not applicable, 3 errors",
        f"report: reports/out/{path}",
        "exit status 1: a promise was broken",
    ):
        assert text in summary
    assert f"kconform 0.1.0: report in reports/out/{path}" in run.output
    # pytest's own totals: subfailures of a teardown are failures here, faults of ours errors.
    assert re.search(r"12 failed, .* 6 errors in", run.output)


def test_a_failure_on_the_terminal_shows_the_transcript_then_the_log(run: Run) -> None:
    assert re.search(
        r"- transcript -+\nevil.attach\(secret\) -> OK & <more> .*\n-+ kernel log -+\n\[0.0\] Linux", run.output
    )
    assert "\x1b[31mKernel panic" not in run.output
