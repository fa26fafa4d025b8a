# SPDX-License-Identifier: GPL-2.0-or-later
"""How a run ends: its exit status, and the report that it leaves, however it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reports.model.report_directory import DERIVED, locked
from suites.harness.reports.run.inner_runs import FAIL, HOLDS, OURS, SKIP, WRONG, document, run, suite

pytestmark = pytest.mark.usefixtures("_inner_project")

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


def test_a_run_without_a_terminal_may_take_longer_than_a_minute(pytester: pytest.Pytester) -> None:
    """Then there is nobody to be told how far it is."""
    suite(pytester, HOLDS + FAIL + "def test_last(): pass\n")
    pytester.makeconftest("from reports.run import progress\nprogress.EVERY_S = 0\n")
    assert run(pytester, "-p", "no:terminal").ret == 1
    assert len(document()["results"]) == 3


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


@pytest.mark.parametrize(
    ("args", "before"),
    [(("-x",), FAIL), (("-n", "1", "--max-worker-restart=0"), "def test_die(): os._exit(9)\n")],
    ids=["x", "too-many-dead-workers"],
)
def test_tests_that_did_not_run_are_counted(pytester: pytest.Pytester, args: tuple[str, ...], before: str) -> None:
    suite(pytester, before + "@pytest.mark.parametrize('number', range(5))\ndef test_later(number): pass\n")
    done = run(pytester, *args)
    assert done.ret in (1, 3)
    done.stdout.fnmatch_lines(["5 of 6 tests did not run"])
    assert "5 of 6 tests did not run" in Path("reports/out/latest/summary.md").read_text()


def test_a_run_that_a_plugin_stops_is_interrupted(pytester: pytest.Pytester) -> None:
    """As pytest-timeout does after --session-timeout: no test has failed, and some have found nothing out."""
    suite(pytester, "def test_stop(request): request.session.shouldstop = 'out of time'\n" + HOLDS)
    assert run(pytester).ret == 2
    left = document()["run"]
    assert (left["state"], left["exit_status"]) == ("interrupted", 2)


def test_a_worker_that_dies_after_its_test_makes_it_an_error_once(pytester: pytest.Pytester) -> None:
    """The test has passed, and nobody knows what it has done to its worker."""
    suite(pytester, HOLDS)
    pytester.makeconftest(
        # Not by the environment, which the worker that runs this test has too.
        "import os\n"
        "def pytest_configure(config):\n    global is_worker\n    is_worker = hasattr(config, 'workerinput')\n"
        "def pytest_runtest_logfinish():\n    if is_worker: os._exit(1)\n"
    )
    done = run(pytester, "-n", "1", "--max-worker-restart=0")
    assert done.ret == 3
    outcomes = [each["outcome"] for each in document()["results"]]
    assert outcomes == ["pass", "error"]
    cases = Path("reports/out/latest/junit.xml").read_text().count("<testcase ")
    assert cases == 1


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
    with locked(Path("out")):
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
