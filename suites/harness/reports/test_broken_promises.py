# SPDX-License-Identifier: GPL-2.0-or-later
"""A failure that names the promises that it breaks: the others of the test are not accused."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from guests.promises import breaks
from reports.formats import junit_xml, kcidb, ktap, markdown_summary
from reports.judgement.verdict import Judgement, all_broken, check_breaks
from reports.judgement.waivers import Waiver, waiver_for, waiver_for_failure
from reports.model.requirements import Requirement
from reports.model.result import KernelRecord, Verdict
from reports.model.store import Store
from suites.harness.checkout import ROOT
from suites.harness.reports.documents import read, record, result
from suites.harness.reports.run.inner_runs import requirements_toml

TODAY = datetime.date(2026, 7, 1)
PROMISES = ("yama.scope-1", "yama.scope-2", "yama.log")

TESTS = """
import pytest
from guests.promises import breaks

pytestmark = pytest.mark.requirement("yama.scope-1", "yama.scope-2")

def test_one():
    with breaks("yama.scope-2"):
        assert 1 == 2, "one"

def test_subtests(subtests):
    with subtests.test("a"), breaks("yama.scope-1"):
        assert 1 == 2, "a"
    with subtests.test("b"), breaks("yama.scope-1"):
        assert 1 == 2, "b"

def test_unnamed():
    assert 1 == 2, "unnamed"

def test_foreign():
    with breaks("yama.log"):
        assert 1 == 2, "foreign"

def test_not_a_comparison():
    with breaks("yama.scope-1"):
        raise RuntimeError("ours")
"""


class TestBreaks:
    def test_the_innermost_counts(self) -> None:
        with pytest.raises(AssertionError) as caught, breaks("yama.scope-1"), breaks("yama.log"):
            raise AssertionError
        assert caught.value.breaks == ("yama.log",)  # type: ignore[attr-defined]

    def test_none_is_not_all(self) -> None:
        with pytest.raises(ValueError, match="at least one promise"), breaks():
            pass

    @pytest.mark.parametrize(
        ("failures", "together"),
        [
            ([("a",), ("b", "a")], ("a", "b")),
            ([("a",), ()], ()),
            ([()], ()),
        ],
    )
    def test_several_failures_break_what_each_breaks(
        self, failures: list[tuple[str, ...]], together: tuple[str, ...]
    ) -> None:
        assert all_broken(failures) == together

    def test_a_promise_that_the_marker_does_not_name_is_an_error(self) -> None:
        checked = check_breaks(Judgement("fail", "why", breaks=("yama.log",)), ["yama.scope-1"])
        assert (checked.verdict, checked.exit_status, checked.breaks) == ("error", 3, ())
        assert "breaks yama.log, which the test's marker does not name" in checked.reason


@pytest.fixture(scope="module", params=[(), ("-n", "1")], ids=["one-process", "xdist"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a run of TESTS has in its results.json."""
    root = tmp_path_factory.mktemp("project")
    (root / "suites" / "yama").mkdir(parents=True)
    (root / "pytest.ini").write_text("[pytest]\naddopts = -p reports.run.plugin -p no:hypothesispytest\n")
    (root / "suites" / "yama" / "test_it.py").write_text(TESTS)
    (root / "suites" / "yama" / "requirements.toml").write_text(requirements_toml(*PROMISES))
    subprocess.run(
        [sys.executable, "-m", "pytest", "--report-dir=out", *request.param],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
    )
    return json.loads((root / "out" / "results.json").read_text())


@pytest.mark.parametrize(
    ("test", "outcome", "broken"),
    [
        ("one", "fail", ["yama.scope-2"]),
        ("subtests", "fail", ["yama.scope-1"]),
        ("unnamed", "fail", []),
        ("foreign", "error", []),
        ("not_a_comparison", "error", []),
    ],
)
def test_a_run_records_what_each_failure_breaks(
    results: dict[str, Any], test: str, outcome: str, broken: list[str]
) -> None:
    (found,) = [each for each in results["results"] if each["nodeid"].endswith(f"::test_{test}")]
    assert (found["outcome"], found["breaks"]) == (outcome, broken)


@pytest.mark.parametrize(
    ("others", "status"),
    [((), "unknown"), (("pass",), "held"), (("skip",), "unknown"), (("error", "pass"), "unknown")],
)
def test_a_promise_that_a_failure_does_not_break_is_what_other_tests_show(
    tmp_path: Path, others: tuple[Verdict, ...], status: str
) -> None:
    known = {name: Requirement(name, "text", "source", "3.4") for name in PROMISES[:2]}
    store = Store(tmp_path, known, time.monotonic)
    kernel = KernelRecord.of({"id": "k/full"})
    store.add(record("one", "fail", requirements=PROMISES[:2], breaks=PROMISES[1:2]), kernel)
    for number, verdict in enumerate(others):
        store.add(record(f"other-{number}", verdict, requirements=PROMISES[:1]), kernel)
    run = read(result("yama/it")).run
    assert {name: each.status for name, each in store.document(run).promises.items()} == {
        "yama.scope-1": {"k/full": status},
        "yama.scope-2": {"k/full": "broken"},
    }


def test_every_format_names_only_the_broken_promise() -> None:
    failed = result("yama/it", "fail", requirements=list(PROMISES), breaks=["yama.log"])
    document = read(failed, result("yama/other", requirements=list(PROMISES)))
    broken = [line for line in ktap.render(document).splitlines() if "# breaks" in line]
    assert [line.strip() for line in broken] == ["# breaks yama.log: The promise yama.log."]
    summary = markdown_summary.render(document)
    assert "yama.log: " in summary
    assert "yama.scope" not in summary
    assert kcidb.convert(document)["tests"][0]["misc"]["kconform"]["breaks"] == ["yama.log"]
    properties = ElementTree.fromstring(junit_xml.render(document)).iter("property")  # noqa: S314, our own
    assert [each.get("value") for each in properties if each.get("name") == "breaks"] == ["yama.log"]


class TestWaiversOfPromises:
    LOG, SCOPE = (Waiver("file: waiver", "known", TODAY, requirement=each) for each in ("yama.log", "yama.scope-1"))
    BY_NAME = Waiver("file: waiver", "known", TODAY, test="a::b")

    def chosen(
        self, waivers: list[Waiver], *breaks: str, of: tuple[str, ...] = PROMISES, beyond: bool = False
    ) -> Waiver | None:
        failure = Judgement("fail", "why", breaks=breaks, beyond_promises=beyond)
        return waiver_for_failure(waivers, "a::b", of, None, failure)

    def test_one_excuses_no_failure_of_another(self) -> None:
        later = Waiver("file: later", "known", TODAY + datetime.timedelta(days=1), requirement="yama.log")
        assert self.chosen([self.LOG], "yama.log") is self.LOG
        assert self.chosen([self.LOG], "yama.scope-1") is None
        assert self.chosen([self.LOG], "yama.log", "yama.scope-1") is None
        assert self.chosen([later, self.SCOPE], "yama.log", "yama.scope-1") is self.SCOPE

    def test_a_failure_that_names_none_breaks_all(self) -> None:
        both = ("yama.log", "yama.scope-1")
        assert self.chosen([self.LOG], of=both) is None
        assert self.chosen([self.LOG, self.SCOPE], of=both) is self.LOG
        assert self.chosen([self.LOG], of=("yama.log",)) is self.LOG
        assert self.chosen([self.BY_NAME], of=both) is self.BY_NAME
        assert self.chosen([self.BY_NAME], of=()) is self.BY_NAME
        assert self.chosen([self.LOG], of=()) is None

    def test_none_excuses_what_is_beyond_promises(self) -> None:
        assert self.chosen([self.LOG], of=("yama.log",), beyond=True) is None
        assert self.chosen([self.LOG], "yama.log", beyond=True) is None
        assert self.chosen([self.LOG, self.BY_NAME], "yama.log", beyond=True) is self.BY_NAME

    def test_a_pass_needs_only_one(self) -> None:
        assert waiver_for([self.LOG], "a::b", ["yama.log", "yama.scope-1"], None) is self.LOG
