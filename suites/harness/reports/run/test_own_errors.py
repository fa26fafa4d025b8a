# SPDX-License-Identifier: GPL-2.0-or-later
"""An exception in the reports' own code, wherever it is raised, costs one result or one file, and never the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.model.report_directory import DERIVED
from suites.harness.reports.run.inner_runs import document, run, suite

pytestmark = pytest.mark.usefixtures("_inner_project")

TESTS = "@pytest.mark.parametrize('number', range(5))\ndef test_it(number): assert number != 4\n"
CHOSEN = "test_it[2]"
NASTY = r"\x1b[2J\n::error::forged"

PLANT = f"""
import functools, importlib

def plant(module, path, of=lambda *_: True):
    "Let a function raise an exception when `of` says so of its arguments."
    *outer, name = path.split(".")
    owner = functools.reduce(getattr, outer, importlib.import_module(module))
    real = getattr(owner, name)

    def planted(*arguments, **options):
        if of(*arguments):
            raise ValueError("planted {NASTY}")
        return real(*arguments, **options)

    setattr(owner, name, planted)

def chosen(*arguments):
    "In one test; if it can be told, only in its call."
    for each in arguments:
        if "{CHOSEN}" in getattr(each, "nodeid", str(each)):
            return getattr(each, "when", getattr(arguments[-1], "when", "call")) == "call"
    return False
"""

BEFORE_THE_VERDICT = {
    "judging": "plant('reports.run.plugin', 'judged', lambda item, _, report: chosen(report))",
    "its-parts": "plant('reports.run.judging', 'judge', lambda report, *_: chosen(report))",
    "every-phase": "plant('reports.run.judging', 'kernel_of', chosen)",
    "recording": "plant('reports.run.recorder', 'Recorder.take', lambda _, report, __: chosen(report))",
    "assembling": "plant('reports.run.phases', 'Assembler.test_of', lambda _, report: chosen(report))",
    "another-plugin": """
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    assert not chosen(report), "planted"
    return report
""",
}


@pytest.mark.parametrize("where", BEFORE_THE_VERDICT)
def test_one_test_is_an_error_and_all_others_keep_their_results(
    pytester: pytest.Pytester, workers: tuple[str, ...], where: str
) -> None:
    suite(pytester, TESTS)
    pytester.makeconftest(PLANT + BEFORE_THE_VERDICT[where])
    done = run(pytester, *workers)
    said = done.stdout.str() + done.stderr.str()
    assert "INTERNALERROR" not in said
    assert {char for char in said if not char.isprintable()} == {"\n"}
    found = {each["nodeid"].partition("::test_it")[2]: each for each in document()["results"]}
    verdicts = {name: each["outcome"] for name, each in found.items()}
    assert verdicts == {"[0]": "pass", "[1]": "pass", "[2]": "error", "[3]": "pass", "[4]": "fail"}
    assert "planted" in found["[2]"]["reason"]
    assert done.ret == document()["run"]["exit_status"] == 1


AFTER_THE_VERDICT = {
    "evidence": ("plant('reports.model.evidence', 'write', lambda _, nodeid, *__: chosen(nodeid))", "evidence of "),
    "printing": ("plant('reports.run.printed_reports', 'make_printable', chosen)", "is not printed"),
    "progress": ("plant('reports.run.progress', 'RunProgress.take', lambda _, *of: chosen(*of))", "the progress"),
    "document": ("plant('reports.model.store', 'Store.document')", "files of the report"),
    "results": (
        "plant('reports.model.store', 'Store._content', lambda store, *_: len(store.results) == 3)",
        "results",
    ),
}
FORMATS = {
    "index.html": "index_html",
    "junit.xml": "junit_xml",
    "results.ktap": "ktap",
    "kcidb.json": "kcidb",
    "summary.md": "markdown_summary",
}


@pytest.mark.parametrize("where", [*AFTER_THE_VERDICT, *FORMATS])
def test_all_results_are_kept_and_what_is_missing_is_said(pytester: pytest.Pytester, where: str) -> None:
    planted, missing = AFTER_THE_VERDICT.get(where) or (
        f"plant('reports.formats.{FORMATS[where]}', 'render')",
        f"{where}: ValueError: planted",
    )
    suite(pytester, TESTS)
    pytester.makeconftest(PLANT + planted)
    done = run(pytester, "-k", "not 4")
    said = done.stdout.str() + done.stderr.str()
    assert "INTERNALERROR" not in said
    assert {char for char in said if not char.isprintable()} == {"\n"}
    (line,) = [line for line in said.splitlines() if line.startswith("REPORT NOT COMPLETE: ")]
    assert missing in line
    assert [each["outcome"] for each in document()["results"]] == ["pass"] * 4
    assert (done.ret, document()["run"]["exit_status"], document()["run"]["state"]) == (3, 3, "finished")
    if where in FORMATS:
        left = {path.name for path in Path("reports/out/latest").iterdir()}
        assert left >= {"results.json", *DERIVED} - {where}
        assert where not in left


def test_a_summary_that_fails_is_said_with_the_exit_status(pytester: pytest.Pytester) -> None:
    suite(pytester, "def test_it(): pass\n")
    pytester.makeconftest(PLANT + "plant('reports.run.terminal_summary', 'Summary.lines')")
    done = run(pytester)
    assert done.ret == document()["run"]["exit_status"] == 3
    done.stdout.fnmatch_lines(["the summary failed: ValueError: planted *; the exit status is 3"])
    done.stdout.no_fnmatch_line("*INTERNALERROR*")
