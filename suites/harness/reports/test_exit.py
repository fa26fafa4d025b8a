# SPDX-License-Identifier: GPL-2.0-or-later
"""How a run ends: the exit status, and what is left when it ends badly."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reports.formats.markdown_summary import STEP_SUMMARY
from reports.model.report_directory import DERIVED, holding

ROOT = Path(__file__).resolve().parents[3]

ERRORS = """
class Wrong(Exception):
    verdict = "error"
    exit_status = 4
    hint = "flavors: full"

class Ours(Wrong):
    exit_status = 3

class GuestHung(Exception):
    verdict = "fail"
"""


@pytest.fixture(autouse=True)
def _project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv(STEP_SUMMARY, raising=False)
    # Without hypothesis a run starts in a third of the time.
    pytester.makeini(
        "[pytest]\naddopts = --strict-markers -p reports.run.plugin -p no:hypothesispytest\n"
        "filterwarnings = error\nxfail_strict = true\n"
    )


@pytest.fixture(params=[(), ("-n", "2")], ids=["one-process", "xdist"])
def workers(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


def suite(pytester: pytest.Pytester, text: str, area: str = "harness") -> None:
    folder = pytester.mkdir("suites") / area if not Path("suites").exists() else Path("suites") / area
    folder.mkdir(exist_ok=True)
    (folder / "test_it.py").write_text(f"import os, signal, sys, pytest\n{ERRORS}\n{text}\n")


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(*args, timeout=120)


def document(path: str = "reports/out/latest") -> dict[str, Any]:
    return dict(json.loads((Path(path) / "results.json").read_text(encoding="utf-8")))


HOLDS = "def test_pass(): pass\n"
FAIL = "def test_fail(): assert False\n"
SKIP = "def test_skip(): pytest.skip('not here')\n"
OURS = "def test_ours(): raise Ours('no boot')\n"
WRONG = "def test_wrong(): raise Wrong('no such flavor')\n"
HUNG = "@pytest.fixture\ndef hung(): raise GuestHung('silent')\ndef test_hung(hung): pass\n"
FIXTURE = "@pytest.fixture\ndef bad(): assert 0\ndef test_fixture(bad): pass\n"
INTERRUPT = "def test_interrupt(): raise KeyboardInterrupt\n"


@pytest.mark.parametrize(
    ("text", "args", "status"),
    [
        pytest.param(HOLDS + SKIP, (), 0, id="held"),
        pytest.param(HOLDS + FAIL + OURS + WRONG, (), 1, id="broken-outweighs-errors"),
        pytest.param(HOLDS + HUNG, (), 1, id="guest-hung-in-setup"),
        pytest.param(FAIL + FAIL.replace("fail", "again"), ("-x",), 1, id="stopped-by-x"),
        pytest.param(HOLDS + INTERRUPT, (), 2, id="interrupted"),
        pytest.param(HOLDS + OURS, (), 3, id="error-of-ours"),
        pytest.param(HOLDS + FIXTURE, (), 3, id="assertion-in-a-fixture"),
        pytest.param(OURS + HOLDS, ("--maxfail=1",), 3, id="error-stopped-by-maxfail"),
        pytest.param("import nothing_like_this", (), 3, id="collection-error"),
        pytest.param(HOLDS + WRONG, (), 4, id="wrong-use-in-a-fixture"),
        pytest.param(HOLDS, ("-k", "nothing"), 5, id="all-deselected"),
        pytest.param(SKIP, (), 5, id="all-skipped"),
        pytest.param("", (), 5, id="no-test"),
    ],
)
def test_the_exit_status_says_what_a_run_came_to(
    pytester: pytest.Pytester, workers: tuple[str, ...], text: str, args: tuple[str, ...], status: int
) -> None:
    suite(pytester, text)
    done = run(pytester, *workers, *args)
    assert done.ret == status
    done.stdout.fnmatch_lines([f"exit status {status}: *"])
    described = document()["run"]
    assert described["exit_status"] == status
    assert described["state"] == ("interrupted" if status == 2 else "finished")
    done.stdout.no_fnmatch_line("*INTERNALERROR*")


@pytest.mark.parametrize("args", [("-p", "no:terminal"), ("-p", "no:junitxml"), ("-qq",)])
def test_the_exit_status_needs_no_other_plugin(pytester: pytest.Pytester, args: tuple[str, ...]) -> None:
    suite(pytester, HOLDS + FAIL)
    assert run(pytester, *args).ret == 1
    assert document()["run"]["counts"]["fail"] == 1


def test_a_subtest_that_fails_fails_its_test(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    suite(pytester, "def test_sub(subtests):\n    with subtests.test('one'): assert 1 == 2, 'one broke'\n")
    assert run(pytester, *workers).ret == 1
    (result,) = document()["results"]
    assert (result["outcome"], result["reason"]) == ("fail", "one broke")


def test_a_run_that_is_killed_leaves_what_it_had(pytester: pytest.Pytester) -> None:
    suite(pytester, HOLDS + FAIL + "def test_kill(): os.kill(os.getpid(), signal.SIGKILL)\n")
    assert run(pytester).ret == -9
    left = document()
    assert [result["outcome"] for result in left["results"]] == ["pass", "fail"]
    assert (left["run"]["state"], left["run"]["exit_status"], left["run"]["collected"]) == ("running", None, 3)


def test_a_worker_that_dies_makes_its_test_an_error(pytester: pytest.Pytester) -> None:
    suite(pytester, HOLDS + "def test_die(): os._exit(9)\n")
    done = run(pytester, "-n", "2")
    assert done.ret == 3
    done.stdout.fnmatch_lines(["*worker 'gw*' crashed while running 'suites/harness/test_it.py::test_die'"])
    outcomes = {each["nodeid"].partition("::")[2]: each["outcome"] for each in document()["results"]}
    assert outcomes == {"test_pass": "pass", "test_die": "error"}
    latest = Path("reports/out/latest")
    assert "crashed while running" in (latest / "index.html").read_text()
    assert '<property name="outcome" value="error"' in (latest / "junit.xml").read_text()


def test_an_internal_error_of_pytest_stays_3(pytester: pytest.Pytester) -> None:
    suite(pytester, HOLDS + FAIL)
    pytester.makeconftest("def pytest_runtest_logfinish(nodeid): assert 'fail' not in nodeid")
    assert run(pytester).ret == 3
    left = document()
    assert (left["run"]["state"], left["run"]["exit_status"], len(left["results"])) == ("interrupted", 3, 2)


@pytest.mark.parametrize(
    ("call", "status"), [("pytest.exit('x')", 2), ("pytest.exit('x', 4)", 4), ("pytest.exit('x', 0)", 1)]
)
def test_pytest_exit_cannot_hide_a_broken_promise(pytester: pytest.Pytester, call: str, status: int) -> None:
    suite(pytester, FAIL + f"def test_leave(): {call}\n")
    assert run(pytester).ret == status


def test_an_unwritable_report_directory_is_wrong_use(pytester: pytest.Pytester) -> None:
    suite(pytester, HOLDS)
    Path("file").write_text("")
    done = run(pytester, "--report-dir", "file/below")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["ERROR: */file/below: no report can be written there: *", "*hint: *--report-dir*"])


@pytest.mark.parametrize(("text", "status"), [(FAIL, 1), (HOLDS, 3)], ids=["broken", "held"])
def test_a_report_that_cannot_be_written_hides_no_verdict(
    pytester: pytest.Pytester, workers: tuple[str, ...], text: str, status: int
) -> None:
    """From some moment on no file of the report can be written, as on a full disk."""
    suite(pytester, "def test_lose():\n    os.rename('out', 'gone')\n    open('out', 'w').close()\n" + text)
    done = run(pytester, "--report-dir", "out", *workers)
    assert done.ret == status
    done.stdout.fnmatch_lines(["without a kernel: *", "REPORT NOT COMPLETE: *", f"exit status {status}: *"])
    assert done.stdout.str().count("REPORT NOT COMPLETE") == 1


def test_a_report_directory_is_used_again_without_its_former_run(pytester: pytest.Pytester) -> None:
    evidence = (
        "from reports.run.notes import attach\ndef test_fail(request):\n    attach(request.node, 'console', 'x')\n"
    )
    suite(pytester, evidence)
    assert run(pytester, "--report-dir", "out").ret == 0
    assert len(list(Path("out/evidence").iterdir())) == 1
    suite(pytester, HOLDS)
    assert run(pytester, "--report-dir", "out").ret == 0
    assert not Path("out/evidence").exists()
    assert len(document("out")["results"]) == 1
    assert "test_fail" not in Path("out/index.html").read_text()
    assert not Path("reports").exists()


def test_the_user_may_name_the_junit_file(pytester: pytest.Pytester) -> None:
    suite(pytester, OURS)
    assert run(pytester, "--junitxml", "new/mine.xml", "--report-dir", "out").ret == 3
    assert "<error" in Path("new/mine.xml").read_text()
    files = [name for name in ("results.json", *DERIVED) if name != "junit.xml"]
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(files)
    (linked,) = re.findall(r'"linked":(\[.*?\])', Path("out/index.html").read_text())
    assert set(json.loads(linked)) == set(files) - {"index.html"}, "links lead nowhere"


def test_a_directory_that_another_run_writes_to_is_refused(pytester: pytest.Pytester) -> None:
    """It is free again when that run has ended, however it ended."""
    suite(pytester, HOLDS)
    Path("out").mkdir()
    with holding(Path("out")):
        done = run(pytester, "--report-dir", "out")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["ERROR: *out: another run is writing its report there", "  hint: wait for it, *"])
    assert list(Path("out").iterdir()) == []
    assert run(pytester, "--report-dir", "out").ret == 0


def test_a_page_that_cannot_be_written_is_said_and_hides_no_verdict(pytester: pytest.Pytester) -> None:
    suite(pytester, HOLDS)
    Path("out/index.html").mkdir(parents=True)
    done = run(pytester, "--report-dir", "out")
    assert done.ret == 3
    done.stdout.fnmatch_lines(["without a kernel: 1 held*", "REPORT NOT COMPLETE: index.html: *", "exit status 3: *"])
    assert sorted(path.name for path in Path("out").glob("*index*")) == ["index.html"], "a temporary file was left"


@pytest.mark.parametrize("option", ["--collect-only", "--help", "--markers", "--fixtures"])
def test_what_runs_no_test_leaves_no_report(pytester: pytest.Pytester, option: str) -> None:
    suite(pytester, HOLDS)
    assert run(pytester, option).ret == 0
    assert not Path("reports").exists()


EXIT = "import pytest\ndef pytest_collection_modifyitems(): pytest.exit('no kernel', 4)"
WRONG_USE = "import pytest\ndef pytest_%s(config): raise pytest.UsageError('no such kernel')"


class TestWrongUse:
    """Noticed before any test ran, it leaves no report."""

    @pytest.mark.parametrize(
        ("conftest", "args"),
        [
            pytest.param(WRONG_USE % "configure", (), id="before-the-session"),
            pytest.param(WRONG_USE % "collection_modifyitems", (), id="at-collection"),
            pytest.param(EXIT, (), id="by-an-exit"),
            pytest.param("", ("no/such/file",), id="no-such-file"),
            pytest.param("", ("-k", "and and"), id="bad-expression"),
            pytest.param("", ("--report-dir=results.json/x",), id="bad-directory"),
        ],
    )
    def test_the_former_report_stays_the_latest(
        self, pytester: pytest.Pytester, workers: tuple[str, ...], conftest: str, args: tuple[str, ...]
    ) -> None:
        suite(pytester, HOLDS)
        Path("results.json").touch()
        assert run(pytester).ret == 0
        before = {path.name for path in Path("reports/out").iterdir()}
        pytester.makeconftest(conftest)
        done = run(pytester, *workers, *args)
        assert done.ret == 4
        assert {path.name for path in Path("reports/out").iterdir()} == before
        assert "report: " not in done.stdout.str().partition("= kconform =")[2]
        assert "INTERNALERROR" not in done.stdout.str() + done.stderr.str()

    def test_a_named_directory_stays_as_it_was(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        suite(pytester, HOLDS)
        assert run(pytester, "--report-dir=out").ret == 0
        before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
        for directory in ("out", "new"):
            done = run(pytester, *workers, f"--report-dir={directory}", "no/such/file")
            assert done.ret == 4
        assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before
        assert not Path("new").exists()

    def test_in_a_fixture_it_is_a_result(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        suite(pytester, WRONG)
        assert run(pytester, *workers).ret == 4
        assert document()["run"]["exit_status"] == 4


TOML = '[[requirement]]\nid = "yama.%s"\ntext = "It holds."\nsource = "yama_lsm.c"\nsince = "3.4"\n'


class TestRequirements:
    MARKED = "@pytest.mark.requirement('yama.scope-1')\n" + HOLDS

    def promise(self, *names: str) -> None:
        Path("suites/yama/requirements.toml").write_text("".join(TOML % name for name in names))

    def test_an_unknown_one_is_wrong_use_and_names_the_nearest(
        self, pytester: pytest.Pytester, workers: tuple[str, ...]
    ) -> None:
        suite(pytester, self.MARKED, "yama")
        self.promise("scope-2", "ptracer")
        done = run(pytester, *workers)
        assert done.ret == 4
        output = done.stdout.str() + done.stderr.str()
        assert output.count("unknown requirement 'yama.scope-1'; did you mean 'yama.scope-2'") == 1
        assert "crashed" not in output
        assert not Path("reports/out/latest").exists()

    def test_a_bad_file_is_wrong_use(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        suite(pytester, self.MARKED, "yama")
        Path("suites/yama/requirements.toml").write_text("[[requirement]")
        done = run(pytester, *workers)
        assert done.ret == 4
        done.stderr.fnmatch_lines(["ERROR: */suites/yama/requirements.toml:1: *"])

    def test_the_list_shows_what_is_tested_by_what(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        suite(pytester, self.MARKED, "yama")
        self.promise("scope-1")
        done = run(pytester, "--requirements", *workers)
        assert done.ret == 0
        done.stdout.fnmatch_lines(
            ["yama.scope-1: It holds.", "*suites/yama/test_it.py::test_pass", "requirements: 1, gaps: 0"]
        )

    def test_only_the_areas_that_were_asked_for_have_gaps(self, pytester: pytest.Pytester) -> None:
        suite(pytester, self.MARKED, "yama")
        self.promise("scope-1")
        Path("suites/loadpin").mkdir()
        Path("suites/loadpin/requirements.toml").write_text(TOML.replace("yama", "loadpin") % "pin")
        assert run(pytester, "--requirements").ret == 1
        for argument in ("suites/yama", "suites/yama/test_it.py", "suites/yama/test_it.py::test_pass"):
            done = run(pytester, "--requirements", argument)
            assert done.ret == 0
            done.stdout.fnmatch_lines(["requirements: 1, gaps: 0"])
        assert run(pytester, "--requirements", "suites/loadpin").ret == 1

    @pytest.mark.parametrize(
        ("text", "names", "gap"),
        [
            (MARKED, ("scope-1", "scope-2"), "no test: yama.scope-2"),
            (MARKED + FAIL, ("scope-1",), "no requirement: suites/yama/test_it.py::test_fail"),
        ],
    )
    def test_a_gap_is_named_and_ends_with_1(
        self, pytester: pytest.Pytester, text: str, names: tuple[str, ...], gap: str
    ) -> None:
        suite(pytester, text, "yama")
        self.promise(*names)
        done = run(pytester, "--requirements")
        assert done.ret == 1
        done.stdout.fnmatch_lines(["gaps:", f"*{gap}", "requirements: *, gaps: 1"])


RATE = "suites/yama/test_it.py::test_rate"
WAIVER = '[[waiver]]\n%s\nreason = "known"\nexpires = %s\n'


class TestWaivers:
    """One of three tests fails, and is waived or not."""

    TESTS = (
        "@pytest.mark.requirement('yama.rate')\n@pytest.mark.parametrize('n', ['few', 'many'])\n"
        "def test_rate(n): assert n == 'few'\n"
        "@pytest.mark.requirement('yama.log')\n" + HOLDS
    )

    @pytest.fixture(autouse=True)
    def _suite(self, pytester: pytest.Pytester, _project: None) -> None:
        suite(pytester, self.TESTS, "yama")
        Path("suites/yama/requirements.toml").write_text(TOML % "rate" + TOML % "log")

    def waive(
        self, pytester: pytest.Pytester, waived: str, *args: str, expires: str = "2999-01-01"
    ) -> pytest.RunResult:
        Path("mine.toml").write_text(WAIVER % (waived, expires))
        return run(pytester, "--waivers", "mine.toml", *args)

    def test_a_waived_failure_does_not_fail_the_run(
        self, pytester: pytest.Pytester, workers: tuple[str, ...]
    ) -> None:
        done = self.waive(pytester, f'test = "{RATE}[many]"', "-x", *workers)
        assert done.ret == 0
        done.stdout.fnmatch_lines(["waived:", "*1  known, waived until 2999-01-01", "*2 held, 0 broken,*1 waived"])
        found = document()
        assert Counter(each["outcome"] for each in found["results"]) == {"pass": 2, "waived": 1}
        assert found["run"]["counts"]["waived"] == 1
        assert [each["status"] for each in found["requirements"]] == [
            {"(no kernel)": "waived"},
            {"(no kernel)": "held"},
        ]

    def test_by_its_promise(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        done = self.waive(pytester, 'requirement = "yama.rate"', "--strict-waivers", *workers)
        assert done.ret == 0
        done.stdout.fnmatch_lines(["*2 held, 0 broken,*1 waived"])

    def test_an_expired_waiver_is_named(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        done = self.waive(pytester, f'test = "{RATE}"', *workers, expires="2001-01-01")
        assert done.ret == 1
        done.stdout.fnmatch_lines(["*its waiver expired on 2001-01-01: known*"])

    def test_a_pass_is_unexpected(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        done = self.waive(pytester, f'test = "{RATE}[few]"', "-k", "few", *workers)
        assert done.ret == 0
        done.stdout.fnmatch_lines(["waivers that are not needed:", f"*{RATE}?few? passes, though waived: known"])
        assert [each["outcome"] for each in document()["results"]] == ["unexpected-pass"]

    KNOWN = f'test = "{RATE}[many]"\nreason = "known"\nexpires = 2999-01-01\n[[waiver]]\n'

    @pytest.mark.parametrize(
        ("waived", "chosen"),
        [
            pytest.param(f'test = "{RATE}"', ("-k", "few"), id="test"),
            pytest.param(f'{KNOWN}requirement = "yama.log"', (), id="promise"),
        ],
    )
    def test_and_fails_where_that_is_wanted(
        self, pytester: pytest.Pytester, workers: tuple[str, ...], waived: str, chosen: tuple[str, ...]
    ) -> None:
        done = self.waive(pytester, waived, "--strict-waivers", *chosen, *workers)
        assert done.ret == 1
        done.stdout.fnmatch_lines(["exit status 1: a waiver is not needed (--strict-waivers)"])

    def test_a_part_of_a_promises_tests_does_not_tell_that_its_waiver_is_not_needed(
        self, pytester: pytest.Pytester, workers: tuple[str, ...]
    ) -> None:
        done = self.waive(pytester, 'requirement = "yama.rate"', "--strict-waivers", "-k", "few", *workers)
        assert done.ret == 0
        assert "waivers that are not needed" not in done.outlines

    @pytest.mark.parametrize(
        ("waived", "complaint"),
        [
            ('test = "suites/yama/test_it.py::test_gone"', "there is no test suites/yama/test_it.py::test_gone"),
            ('test = "suites/yama/test_gone.py::test_a"', "there is no test suites/yama/test_gone.py::test_a"),
            (
                'test = "suites/yama/test_it.py::test_rat"',
                "test_rat; did you mean 'suites/yama/test_it.py::test_rate'",
            ),
            (f'test = "{RATE}[none]"', f"there is no test {RATE}[none]"),
            ('test = "/etc/passwd::test_a"', "there is no test /etc/passwd::test_a"),
            ('requirement = "yama.rat"', "unknown requirement 'yama.rat'; did you mean 'yama.rate'"),
        ],
    )
    def test_one_that_matches_nothing_is_wrong_use(
        self, pytester: pytest.Pytester, workers: tuple[str, ...], waived: str, complaint: str
    ) -> None:
        done = self.waive(pytester, waived, *workers)
        assert done.ret == 4
        assert (done.stdout.str() + done.stderr.str()).count(complaint) == 1

    @pytest.mark.parametrize("chosen", ["suites/yama/test_it.py::test_fails", "--lf"], ids=["by-name", "failed-last"])
    def test_one_of_a_test_that_is_not_chosen_is_no_mistake(
        self, pytester: pytest.Pytester, workers: tuple[str, ...], chosen: str
    ) -> None:
        """pytest then collects only a part of the file."""
        suite(pytester, self.TESTS + "def test_fails(): assert False\n", "yama")
        for arguments in ((), (chosen,)):
            assert self.waive(pytester, f'test = "{RATE}[many]"', *arguments, *workers).ret == 1
        assert [each["reason"] for each in document()["results"]] == ["assert False"]

    def test_no_such_file_is_wrong_use(self, pytester: pytest.Pytester) -> None:
        done = run(pytester, "--waivers", "none.toml")
        assert done.ret == 4
        done.stderr.fnmatch_lines(["*none.toml*No such file*"])

    def test_those_beside_the_tests_are_always_read(self, pytester: pytest.Pytester) -> None:
        Path("suites/yama/waivers.toml").write_text(WAIVER % (f'test = "{RATE}[many]"', "2999-01-01"))
        assert run(pytester).ret == 0
