# SPDX-License-Identifier: GPL-2.0-or-later
"""KTAP, KCIDB, and the summary: each read by the rules of its readers, and all with the same names."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import kcidb_io
import pytest

from kconform import main
from reports.formats import kcidb, ktap, markdown_summary
from reports.judgement.comparison import compare
from reports.model.document import Document
from reports.model.test_names import junit_name, kcidb_path, kernel_in, ktap_name, without_kernel
from suites.harness.reports import ktap_reader
from suites.harness.reports.documents import FULL, NEXT, TIME, kernel, read, result, write

ROOT = Path(__file__).parents[3]

NASTY = "# SKIP <b>|`x`*\x1b[2J\u2028 100% \udcff"
OUTCOMES = ("pass", "fail", "error", "skip", "waived", "unexpected-pass")
SAMPLE = [
    *(result(f"yama/{outcome}", outcome) for outcome in OUTCOMES),
    *(result(f"loadpin/nasty[{outcome}]", outcome, NASTY) for outcome in OUTCOMES),
    result("seccomp/old", "skip", on=NEXT),
    result("seccomp/older", "skip", on=NEXT),
    result("yama/held", on=NEXT),
    result("harness/lost", "error", on=None),
]


def names(document: Document) -> dict[str, list[str]]:
    """What each format calls the tests."""
    leaves = [leaf for top in ktap_reader.read(ktap.render(document)) for leaf in top.leaves()]
    tests = kcidb.convert(document)["tests"]
    return {
        "results.json": [each.nodeid for each in document.results],
        "KTAP": [unquote(leaf.name, errors="surrogatepass") for leaf in leaves],
        "KCIDB": [test["misc"]["kconform"]["nodeid"] for test in tests],
        "KCIDB paths": [f"{test['build_id']} {test['path']}" for test in tests],
        "JUnit": [" ".join(junit_name(each.nodeid)) for each in document.results],
    }


class TestNames:
    def test_they_are_unique_and_the_same_in_all_formats(self) -> None:
        found = names(read(*SAMPLE))
        for each in found.values():
            assert len(set(each)) == len(each)
        assert set(found["KTAP"]) == set(found["results.json"])
        assert set(found["KCIDB"]) == {each["nodeid"] for each in SAMPLE if each["kernel"]}

    def test_they_are_the_same_in_another_run(self) -> None:
        """A name contains neither the order of tests, nor times, nor outcomes."""
        other = [each | {"started": TIME.replace("2026", "2027"), "outcome": "pass"} for each in SAMPLE]
        random.Random(1).shuffle(other)  # noqa: S311
        one, two = names(read(*SAMPLE)), names(read(*other, id="another"))
        for form in one:
            assert set(one[form]) == set(two[form])

    @pytest.mark.parametrize(
        ("nodeid", "path"),
        [
            ("suites/yama/test_log.py::test_rate", "kconform.yama.test_log.test_rate"),
            (f"suites/yama/test_log.py::test_rate[{FULL}]", "kconform.yama.test_log.test_rate"),
            (f"suites/yama/test_log.py::test_rate[{FULL}-many]", "kconform.yama.test_log.test_rate.many"),
            (
                f"suites/yama/test_log.py::TestX::test_rate[{FULL}-a/b]",
                "kconform.yama.test_log.TestX.test_rate.a_b-c14cddc0",
            ),
            (f"suites/yama/test_log.py::test_rate[{FULL}-a:b]", "kconform.yama.test_log.test_rate.a_b-6783a31e"),
        ],
    )
    def test_a_path_of_kcidb_is_the_same_on_each_kernel(self, nodeid: str, path: str) -> None:
        (found,) = read(result("yama/x") | {"nodeid": nodeid}).results
        assert kcidb_path(found) == path
        (other,) = read(result("yama/x", on=NEXT) | {"nodeid": nodeid.replace(FULL, NEXT)}).results
        assert kcidb_path(other) == path

    @pytest.mark.parametrize(
        ("nodeid", "less"),
        [
            (f"f.py::t[{FULL}]", "f.py::t"),
            (f"f.py::t[{FULL}-x[1]]", "f.py::t[x[1]]"),
            ("f.py::t[x]", "f.py::t[x]"),
            (f"f.py::t[{FULL}ish]", f"f.py::t[{FULL}ish]"),
            ("f.py", "f.py"),
        ],
    )
    def test_a_name_less_its_kernel(self, nodeid: str, less: str) -> None:
        assert without_kernel(nodeid, FULL) == less
        assert without_kernel(nodeid, None) == nodeid

    @pytest.mark.parametrize(
        ("parameters", "kernels", "found"),
        [
            ("k-1/full", ["k-1/full"], "k-1/full"),
            ("k-1/no-yama-x", [], "k-1/no-yama"),
            ("k-1/no-yama-x", ["k-1/no"], "k-1/no"),
            ("k-1/other-x", [], None),
            ("many", [], None),
        ],
    )
    def test_a_kernel_that_a_name_begins_with(self, parameters: str, kernels: list[str], found: str | None) -> None:
        assert kernel_in(f"f.py::t[{parameters}]", kernels, ["full", "no", "no-yama"][::-1]) == found

    @pytest.mark.parametrize("nodeid", ["a#b", "100%", "a\nb", "a\x1b", "\udcff", "a%23b"])
    def test_a_name_in_ktap_is_one_plain_word_and_can_be_read_back(self, nodeid: str) -> None:
        written = ktap_name(nodeid)
        assert not set("#\n\x1b") & set(written)
        assert unquote(written, errors="surrogatepass") == nodeid

    def test_a_name_in_junit_is_pytests(self) -> None:
        assert junit_name("suites/yama/test_log.py::TestX::test_rate[a::b/c]") == (
            "suites.yama.test_log.TestX",
            "test_rate[a::b/c]",
        )


class TestKtap:
    def test_kernels_areas_and_tests_are_nested(self) -> None:
        tops = ktap_reader.read(ktap.render(read(*SAMPLE)))
        assert [(top.name, top.ok, [area.name for area in top.tests]) for top in tops] == [
            (FULL, False, ["yama", "loadpin"]),
            (NEXT, True, ["seccomp", "yama"]),
            ("(no kernel)", False, ["harness"]),
        ]
        assert [(area.ok, area.directive) for area in tops[1].tests] == [(True, "SKIP"), (True, "")]

    def test_each_outcome_has_its_words(self) -> None:
        (top, *_) = ktap_reader.read(ktap.render(read(*SAMPLE)))
        words = {
            "pass": (True, ""),
            "fail": (False, ""),
            "error": (False, "ERROR"),
            "skip": (True, "SKIP"),
            "waived": (True, "XFAIL"),
            "unexpected-pass": (True, ""),
        }
        for area in top.tests:
            assert [(test.ok, test.directive) for test in area.tests] == list(words.values())
        skipped = top.tests[0].tests[3]
        assert (skipped.said, skipped.diagnostics) == ("why skip", ["why skip"])

    def test_a_failure_says_why_and_which_promise_it_breaks(self) -> None:
        (top,) = ktap_reader.read(ktap.render(read(result("yama/scope", "fail", "evil -> OK"))))
        assert top.leaves()[0].diagnostics == ["evil -> OK", "breaks yama.scope: The promise yama.scope."]

    def test_what_a_guest_said_begins_no_line_and_no_directive(self) -> None:
        text = ktap.render(read(result("yama/x", "skip", NASTY), result("yama/y", "fail", "ok 7 x\r\x0bnot ok 8 y")))
        (top,) = ktap_reader.read(text)
        assert [leaf.directive for leaf in top.leaves()] == ["SKIP", ""]
        assert all(line.isprintable() for line in text.split("\n"))

    def test_what_pytest_gives_no_name_has_one(self) -> None:
        (top,) = ktap_reader.read(ktap.render(read(result("yama/x", "error", on=None) | {"nodeid": "", "area": ""})))
        assert [(area.name, area.tests[0].name) for area in top.tests] == [("other", "(unnamed)")]

    def test_nothing_is_an_empty_plan(self) -> None:
        assert ktap.render(read()) == "KTAP version 1\n1..0\n"

    def test_the_reader_is_strict(self) -> None:
        """Otherwise the tests above show nothing."""
        good = ktap.render(read(*SAMPLE))
        assert ktap_reader.read(good)
        for wrong in (
            good[:-1],
            good.replace("1..3", "1..2", 1),
            good.replace("1..3", "1..4", 1),
            good.replace("ok 2 ", "ok 3 ", 1),
            good.replace("# SKIP", "# SKIPPED", 1),
            good.replace("not ok 1 debian", "ok 1 debian"),
            good.replace("    ok 1", "   ok 1", 1),
            good.replace("  KTAP version 1\n", "", 1),
            good.replace("  # Subtest: yama\n", "", 1),
            good.replace("# Subtest: yama", "# Subtest: loadpin", 1),
            good + "x\n",
        ):
            with pytest.raises(ktap_reader.NotKtapError):
                ktap_reader.read(wrong)


class TestKcidb:
    def test_it_is_valid_by_kcidbs_own_schema(self) -> None:
        document = read(*SAMPLE, kernels=[kernel(FULL, arch="x86_64", identity="linux 6.12"), kernel(NEXT)])
        converted = json.loads(kcidb.render(document, "my_ci"))
        kcidb_io.schema.V5_3.validate(converted)
        assert len(converted["tests"]) == len([each for each in SAMPLE if each["kernel"]])
        assert (len(converted["checkouts"]), len(converted["builds"])) == (2, 2)
        for objects in ("checkouts", "builds", "tests"):
            identifiers = [each["id"] for each in converted[objects]]
            assert len(set(identifiers)) == len(identifiers)
            assert all(identifier.startswith("my_ci:") for identifier in identifiers)
        builds = {build["id"] for build in converted["builds"]}
        assert {test["build_id"] for test in converted["tests"]} == builds
        assert {build["checkout_id"] for build in converted["builds"]} == {
            each["id"] for each in converted["checkouts"]
        }

    def test_each_outcome_has_its_word(self) -> None:
        tests = kcidb.convert(read(*SAMPLE[:6]))["tests"]
        assert [test["status"] for test in tests] == ["PASS", "FAIL", "ERROR", "SKIP", "FAIL", "PASS"]
        assert [test["misc"]["kconform"]["outcome"] for test in tests] == list(OUTCOMES)
        assert tests[4]["comment"].endswith("why waived")

    def test_flavors_of_one_source_share_its_checkout(self) -> None:
        flavors = [kernel(f"debian-6.12/{flavor}", identity="linux 6.12") for flavor in ("full", "no-yama")]
        converted = kcidb.convert(read(kernels=flavors))
        assert (len(converted["checkouts"]), len(converted["builds"])) == (1, 2)

    def test_ids_are_the_same_when_written_again_and_others_for_another_run(self) -> None:
        def identifiers(*results: dict[str, object]) -> list[str]:
            return [test["id"] for test in kcidb.convert(read(*results, id="x"))["tests"]]

        assert identifiers(*SAMPLE) == identifiers(*SAMPLE)
        later = [each | {"started": TIME.replace("2026", "2027")} for each in SAMPLE]
        assert not set(identifiers(*SAMPLE)) & set(identifiers(*later))

    def test_an_excerpt_is_the_end_of_what_failed_and_bounded(self) -> None:
        (test,) = kcidb.convert(read(result("yama/x", "fail", longrepr="x" * 20_000 + "\0end")))["tests"]
        assert test["log_excerpt"].endswith("\\x00end")
        assert len(test["log_excerpt"]) == kcidb.EXCERPT_LIMIT


class TestSummary:
    def test_it_has_a_row_for_each_kernel_and_what_broke(self) -> None:
        lines = markdown_summary.render(read(*SAMPLE, exit_status=1)).splitlines()
        assert "**exit status 1: a promise was broken** (sample, 16 tests, 2 s)" in lines
        assert "| kernel | pass | fail | error | skip | waived | unexpected-pass |" in lines
        assert "| debian-6.12.117/full | 2 | 2 | 2 | 2 | 2 | 2 |" in lines
        assert f"- `suites/yama/test_it.py::test_fail[{FULL}]`  " in lines
        assert "  why fail" in lines
        assert "  - yama.fail: The promise yama.fail." in lines
        assert "- 1 x why error" in lines or "- 2 x why error" in lines

    def test_it_tells_what_newly_fails(self) -> None:
        old, new = read(result("yama/scope")), read(result("yama/scope", "fail"))
        text = markdown_summary.render(new, compare(old, new))
        assert "1 newly failing, 0 as before" in text
        assert f"- `suites/yama/test_it.py::test_scope[{FULL}]`: pass -\\> fail" in text

    def test_it_is_bounded(self) -> None:
        many = read(*(result(f"yama/t{n}[{'x' * 900}]", "fail", "\u4e2d" * 500) for n in range(900)))
        text = markdown_summary.render(many, compare(read(result("yama/t0[" + "x" * 900 + "]")), many))
        assert len(text.encode()) <= markdown_summary.LIMIT
        assert "... and more: see results.json" in text

    def test_it_goes_to_the_page_of_githubs_step_as_far_as_there_is_room(self, tmp_path: Path) -> None:
        page = tmp_path / "step"
        page.write_text("before\n")
        markdown_summary.append_to_step("ours\n", {markdown_summary.STEP_SUMMARY: str(page)})
        assert page.read_text() == "before\n\nours\n"
        page.write_bytes(b"x" * markdown_summary.STEP_LIMIT)
        markdown_summary.append_to_step("ours\n", {markdown_summary.STEP_SUMMARY: str(page)})
        assert page.stat().st_size == markdown_summary.STEP_LIMIT
        markdown_summary.append_to_step("ours\n", {})
        assert [path.name for path in tmp_path.iterdir()] == ["step"]


class TestCommands:
    @pytest.fixture
    def report(self, tmp_path: Path) -> str:
        return str(write(tmp_path / "report", *SAMPLE, state="running", exit_status=None))

    def test_each_writes_its_format_and_remarks_on_a_run_that_goes_on(
        self, report: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for command, begins in (
            (["ktap", report], "KTAP version 1\n"),
            (["kcidb", report, "--origin=my_ci"], "{\n"),
            (["summary", report], "## kconform\n\n**the run is still going on**"),
            (["summary", report, "--baseline", report], "## kconform\n"),
        ):
            assert main(command) == 0
            said = capsys.readouterr()
            assert said.out.startswith(begins)
            assert "the run is still going on or was killed" in said.err

    def test_a_page_is_made_beside_the_results(self, report: str, capsys: pytest.CaptureFixture[str]) -> None:
        """For example of a run that was killed before it could make it."""
        page = Path(report, "index.html")
        for command, compared in ((["page", report], False), (["page", report, "--baseline", report], True)):
            assert main(command) == 0
            said = capsys.readouterr()
            assert said.out == f"{page}\n"
            assert "the run is still going on or was killed" in said.err
            assert "the run has not ended" in page.read_text()
            assert ('"comparison":null' not in page.read_text()) == compared

    @pytest.mark.parametrize("command", ["ktap", "summary", "diff"])
    def test_a_full_disk_behind_standard_output_is_said(self, report: str, command: str) -> None:
        """Exit status 1 of a diff would say that something newly fails."""
        arguments = [command, report, *([report] if command == "diff" else [])]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "kconform", *arguments],
                cwd=ROOT,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert done.returncode == 4
        assert done.stderr.endswith("kconform: error: standard output cannot be written: No space left on device\n")

    def test_a_page_that_cannot_be_written_is_wrong_use(
        self, report: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path(report, "index.html").mkdir()
        assert main(["page", report]) == 4
        assert capsys.readouterr().err.endswith(f"kconform: error: {report}: cannot be written: Is a directory\n")
        assert sorted(path.name for path in Path(report).iterdir()) == ["index.html", "results.json"]

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["kcidb"], "--origin"),
            (["kcidb", "--origin=My CI"], "lower-case letters, digits and underscores"),
            (["ktap", "--output=/none/x"], "/none/x: cannot be written"),
            (["summary", "--baseline=/none"], "/none: cannot be read"),
        ],
    )
    def test_wrong_use_is_4_and_a_sentence(
        self, report: str, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
    ) -> None:
        try:
            status = main([arguments[0], report, *arguments[1:]])
        except SystemExit as ended:
            status = int(str(ended.code))
        assert status == 4
        assert re.search(re.escape(complaint), capsys.readouterr().err)
