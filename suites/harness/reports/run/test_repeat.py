# SPDX-License-Identifier: GPL-2.0-or-later
"""--repeat, --confirm and --flaky: tests with planted flukes, and what each file of the report says of them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import kcidb_io
import pytest

from suites.harness.checkout import ROOT
from suites.harness.reports import ktap_reader
from suites.harness.reports.run.inner_runs import document, requirements_toml, run, suite

pytestmark = pytest.mark.usefixtures("_inner_project")

CONFTEST = """
import pytest
from pathlib import Path
from reports.run.notes import add_remark, attach, set_kernel


class GuestBroke(Exception):
    verdict = "fail"


@pytest.fixture(scope="session")
def kernel():
    return "tiny-6.1/full"


@pytest.fixture
def attempt(request, kernel):
    '''The number of the attempt, which no process of the run forgets.'''
    file = Path(request.config.rootpath, f"attempts of {request.node.name}")
    number = len(file.read_text()) + 1 if file.exists() else 1
    file.write_text("x" * number)
    info = {"id": kernel, "release": "6.1.1", "accel": "tcg", "version": "6.1", "digest": "d", "spec": "tiny"}
    set_kernel(request.node, info)
    attach(request.node, "transcript", f"call {number}")
    print(f"printed {number}")
    yield number
    attach(request.node, "process tree", f"tree {number}")
    if request.node.name == "test_second_splat" and number == 2:
        raise GuestBroke("a splat")
"""

FLUKES = """
from reports.run.notes import add_remark
pytestmark = pytest.mark.requirement("yama.a")

def test_holds(attempt): assert attempt > 0
def test_broken(attempt): assert attempt < 0, f"got {attempt}"
def test_first_fails(attempt): assert attempt != 1, f"got {attempt}"
def test_second_fails(attempt): assert attempt != 2, f"got {attempt}"
def test_then_undetermined(attempt):
    assert attempt > 1, f"got {attempt}"
    raise Ours("no clone")
def test_first_undetermined(attempt):
    if attempt == 1: raise Ours("no clone")
def test_does_not_apply(attempt): pytest.skip("needs CONFIG_X")
def test_second_splat(attempt): pass
def test_remark(request, attempt): add_remark(request.node, f"remark {attempt}")
"""


@pytest.fixture
def flukes(pytester: pytest.Pytester) -> pytest.Pytester:
    suite(pytester, FLUKES, area="yama")
    (pytester.path / "suites" / "yama" / "requirements.toml").write_text(requirements_toml("yama.a"))
    (pytester.path / "suites" / "conftest.py").write_text(CONFTEST)
    return pytester


def results(found: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    every = (found or document())["results"]
    return {each["nodeid"].partition("::test_")[2]: each for each in every}


def outcomes() -> dict[str, tuple[str, str]]:
    return {name: (each["outcome"], each["reason"]) for name, each in results().items()}


def test_a_failure_is_confirmed_before_it_is_reported(flukes: pytest.Pytester, workers: Sequence[str]) -> None:
    done = run(flukes, *workers, "--confirm=3")
    assert outcomes() == {
        "holds": ("pass", ""),
        "broken": ("fail", "broken again in 3 of 3 attempts: got 1"),
        "first_fails": ("flaky", "broken again in 0 of 3 attempts: got 1"),
        "second_fails": ("pass", ""),
        "then_undetermined": ("fail", "broken again in 0 of 0 attempts, 3 undetermined: got 1"),
        "first_undetermined": ("error", "no clone (hint: flavors: full)"),
        "does_not_apply": ("skip", "needs CONFIG_X"),
        "second_splat": ("pass", ""),
        "remark": ("pass", "remark 1"),
    }
    assert done.ret == document()["run"]["exit_status"] == 1
    assert document()["run"]["certainty"] == {"repeat": 1, "confirm": 3, "flaky": "broken"}
    repeated = {name for name, each in results().items() if "repetition" in each}
    assert repeated == {"broken", "first_fails", "then_undetermined"}
    done.stdout.fnmatch_lines(["*2 failed, 4 passed, 1 skipped, * 1 flaky*"])
    jsonschema.validate(document(), json.loads((ROOT / "reports" / "results.schema.json").read_text()))


def test_every_test_is_repeated(flukes: pytest.Pytester, workers: Sequence[str]) -> None:
    run(flukes, *workers, "--repeat=3")
    assert outcomes() == {
        "holds": ("pass", ""),
        "broken": ("fail", "broken in 3 of 3 attempts: got 1"),
        "first_fails": ("flaky", "broken in 1 of 3 attempts: got 1"),
        "second_fails": ("flaky", "broken in 1 of 3 attempts: got 2"),
        "then_undetermined": ("fail", "broken in 1 of 1 attempts, 2 undetermined: got 1"),
        "first_undetermined": ("error", "undetermined in 1 of 3 attempts: no clone (hint: flavors: full)"),
        "does_not_apply": ("skip", "needs CONFIG_X"),
        "second_splat": ("flaky", "broken in 1 of 3 attempts: a splat"),
        # What an attempt has remarked is not that of the next.
        "remark": ("pass", "remark 1"),
    }
    made = {name: len(each.get("repetition", {"attempts": [0]})["attempts"]) for name, each in results().items()}
    assert made == dict.fromkeys(made, 3) | {"does_not_apply": 1}


def test_a_result_keeps_its_attempts(flukes: pytest.Pytester) -> None:
    """And the evidence of the first that failed, and of the first that held."""
    run(flukes, "--repeat=3", "-k", "second_fails")
    (result,) = document()["results"]
    repetition = result["repetition"]
    assert (repetition["option"], repetition["broken"], repetition["of"]) == ("repeat", 1, 3)
    tried = repetition["attempts"]
    assert [(each["outcome"], each["reason"]) for each in tried] == [("pass", ""), ("fail", "got 2"), ("pass", "")]
    assert result["duration_s"] == pytest.approx(sum(each["duration_s"] for each in tried))
    assert result["started"] == tried[0]["started"] <= tried[1]["started"] <= tried[2]["started"]
    folder = Path("reports/out/latest")
    evidence = {title: (folder / path).read_text().strip() for title, path in result["evidence"].items()}
    assert evidence == {
        "transcript": "call 2",
        "process tree": "tree 2",
        "Captured stdout setup": "printed 2",
        "attempt 1, which held: transcript": "call 1",
        "attempt 1, which held: process tree": "tree 1",
    }


def test_every_format_has_the_verdict_and_none_is_green(flukes: pytest.Pytester) -> None:
    done = run(flukes, "--confirm=3", "-k", "first_fails")
    folder, reason = Path("reports/out/latest"), "broken again in 0 of 3 attempts: got 1"
    (requirement,) = document()["requirements"]
    assert requirement["status"] == {"tiny-6.1/full": "flaky"}

    (case,) = ElementTree.parse(folder / "junit.xml").iter("testcase")  # noqa: S314
    (failure,) = case.iter("failure")
    assert (failure.get("type"), failure.get("message")) == ("flaky", reason)
    properties = {each.get("name"): each.get("value") for each in case.iter("property")}
    assert (properties["outcome"], properties["broken-in"], properties["breaks"]) == ("flaky", "0 of 3", "yama.a")

    (top,) = ktap_reader.read((folder / "results.ktap").read_text())
    (leaf,) = top.leaves()
    assert (top.ok, leaf.ok, leaf.directive) == (False, False, "")
    assert leaf.diagnostics == [f"flaky: {reason}", "breaks yama.a: It holds."]

    submitted = json.loads((folder / "kcidb.json").read_text())
    kcidb_io.schema.V5_3.validate(submitted)
    (test,) = submitted["tests"]
    assert (test["status"], test["misc"]["kconform"]["outcome"]) == ("FAIL", "flaky")
    assert test["misc"]["kconform"]["repetition"]["broken"] == 0

    summary = (folder / "summary.md").read_text()
    assert "a promise was broken in some attempts, and not in others" in summary
    assert "| kernel | pass | fail | error | skip | flaky |" in summary
    assert "### Flaky promises" in summary

    page = (folder / "index.html").read_text()
    assert '"flaky"' in page
    assert "2: pass after" in page

    done.stdout.fnmatch_lines(
        [
            "first flaky promise: *first_fails",
            f"  {reason}",
            "=* FLAKY *=",
            "_* test_first_fails *_",
            "*assert attempt != 1*",
            "*- transcript -*",
            "call 1",
            "=* kconform *=",
            "flaky promises, broken in some attempts and not in others:",
            "  yama.a: It holds.",
            f"      {reason}",
            "tiny-6.1/full (*): 0 held, 0 broken, 0 not applicable, 0 errors, 1 flaky",
            "exit status 1: a promise was broken in some attempts, and not in others",
            "=* 1 flaky*",
        ]
    )


@pytest.mark.parametrize(
    ("names", "policy", "status"),
    [
        ("first_fails or holds", "broken", 1),
        ("first_fails or holds", "undetermined", 3),
        ("first_fails or broken", "undetermined", 1),
    ],
)
def test_the_gate_chooses_what_a_fluke_is_but_it_is_never_green(
    flukes: pytest.Pytester, names: str, policy: str, status: int
) -> None:
    done = run(flukes, "--confirm=1", f"--flaky={policy}", "-k", names)
    assert done.ret == document()["run"]["exit_status"] == status
    done.stdout.fnmatch_lines([f"exit status {status}: a promise was broken*"])


def test_x_stops_at_what_is_confirmed_and_at_a_fluke(flukes: pytest.Pytester) -> None:
    run(flukes, "--confirm=2", "-x", "-k", "first_fails or holds or remark")
    assert outcomes() == {
        "holds": ("pass", ""),
        "first_fails": ("flaky", "broken again in 0 of 2 attempts: got 1"),
    }
    assert document()["run"]["state"] == "finished"


def test_a_waived_failure_is_not_confirmed_and_excuses_a_fluke(flukes: pytest.Pytester) -> None:
    (flukes.path / "known.toml").write_text(
        '[[waiver]]\ntest = "suites/yama/test_it.py::test_second_fails"\nreason = "known"\nexpires = 2999-01-01\n'
        '[[waiver]]\ntest = "suites/yama/test_it.py::test_broken"\nreason = "known"\nexpires = 2999-01-01\n'
    )
    names = ("--waivers=known.toml", "-k", "second_fails or broken")
    assert run(flukes, "--confirm=3", *names).ret == 0
    assert outcomes()["broken"] == ("waived", "known, waived until 2999-01-01; the failure: got 1")
    for file in flukes.path.glob("attempts of *"):
        assert file.read_text() == "x"
        file.unlink()
    assert run(flukes, "--repeat=3", *names).ret == 0
    assert {name: outcome for name, (outcome, _) in outcomes().items()} == {
        "second_fails": "waived",
        "broken": "waived",
    }


def test_resuming_asks_for_the_same_attempts(flukes: pytest.Pytester) -> None:
    run(flukes, "--confirm=1", "--report-dir=report", "-k", "first_fails")
    assert run(flukes, "--confirm=1", "--report-dir=report", "--resume", "-k", "first_fails").ret == 1
    (result,) = document("report")["results"]
    assert (result["outcome"], len(result["repetition"]["attempts"])) == ("flaky", 2)
    done = run(flukes, "--report-dir=report", "--resume", "-k", "first_fails")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["*run to be continued had --repeat=1 and --confirm=1, and this one has * --confirm=0"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--repeat=2", "--confirm=2"], "*--repeat and --confirm cannot be combined"),
        (["--repeat=0"], "*'0' is not a number of attempts from 1 to 100"),
        (["--confirm=101"], "*'101' is not a number of attempts from 0 to 100"),
    ],
)
def test_wrong_use_is_rejected(flukes: pytest.Pytester, options: list[str], message: str) -> None:
    done = run(flukes, *options)
    assert done.ret == 4
    done.stderr.fnmatch_lines([message])
    assert not Path("reports").exists()
