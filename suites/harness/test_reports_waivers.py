# SPDX-License-Identifier: GPL-2.0-or-later
"""Waivers: what is excused, until when, and what a run says of it."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reports.outcome import Verdict
from reports.record import Result
from reports.waivers import Waiver, load, not_needed

ROOT = Path(__file__).resolve().parents[2]
TODAY = datetime.date(2026, 7, 1)
KERNEL = {"id": "k-6.12/full", "version": "6.12.3", "flavor": "full"}
TEST = "suites/yama/test_it.py::test_rate"


def waiver(**fields: str) -> Waiver:
    named = {} if "requirement" in fields else {"test": TEST}
    return Waiver("file: waiver 1", "known", TODAY, **{**named, **fields})


class TestCovers:
    @pytest.mark.parametrize(
        ("fields", "covers"),
        [
            ({}, True),
            ({"test": f"{TEST}[many]"}, True),
            ({"test": f"{TEST}[few]"}, False),
            ({"test": f"{TEST}s"}, False),
            ({"since": "6.12", "until": "6.12"}, True),
            ({"since": "6.12.4"}, False),
            ({"until": "6.11"}, False),
            ({"flavor": "full"}, True),
            ({"flavor": "hardened"}, False),
            ({"requirement": "yama.rate"}, True),
            ({"requirement": "yama.log"}, False),
        ],
    )
    def test_test_version_and_flavor(self, fields: dict[str, str], covers: bool) -> None:
        assert waiver(**fields).covers(f"{TEST}[k-6.12/full-many]", ["yama.rate"], KERNEL) is covers

    def test_a_test_without_parameters_or_kernel(self) -> None:
        assert waiver().covers(f"{TEST}[k-6.12/full]", [], KERNEL)
        assert waiver().covers(TEST, [], None)
        assert not waiver(flavor="full").covers(TEST, [], None)


class TestExcuse:
    def test_a_failure_until_the_day(self) -> None:
        assert waiver().excuse(Verdict("fail", "broke"), TODAY) == Verdict("waived", "known, waived until 2026-07-01")

    def test_no_failure_after_it(self) -> None:
        excused = waiver().excuse(Verdict("fail", "broke"), TODAY + datetime.timedelta(days=1))
        assert excused == Verdict("fail", "broke (its waiver expired on 2026-07-01: known)")

    @pytest.mark.parametrize("outcome", ["error", "skip"])
    def test_nothing_else(self, outcome: str) -> None:
        assert waiver().excuse(Verdict(outcome, "why"), TODAY) == Verdict(outcome, "why")

    def test_a_pass_is_a_surprise_of_a_test_and_not_of_one_of_a_promise(self) -> None:
        assert waiver().excuse(Verdict("pass"), TODAY).outcome == "unexpected-pass"
        assert waiver(requirement="yama.rate").excuse(Verdict("pass"), TODAY) == Verdict("pass")


def result(outcome: str, kernel: str = "k/full", requirement: str = "yama.rate") -> Result:
    return Result(f"{TEST}[{kernel}]", "yama", (requirement,), kernel, "full", outcome, "", 0.1)


class TestNotNeeded:
    RATE = waiver(requirement="yama.rate")

    @pytest.mark.parametrize(
        ("outcomes", "idle"),
        [
            (["pass", "skip"], True),
            (["pass", "waived"], False),
            (["pass", "error"], False),
            (["skip"], False),
            ([], False),
        ],
    )
    def test_it_is_where_all_tests_of_the_promise_hold(self, outcomes: list[str], idle: bool) -> None:
        others = [result("pass", requirement="yama.log")]
        found = not_needed([self.RATE], [*others, *map(result, outcomes)])
        assert found == ([self.RATE] if idle else [])


GOOD = 'test = "suites/yama/test_it.py::test_a"\nreason = "known"\nexpires = 2026-07-01\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[waiver]", "line 1"),
        ("[[waivers]]\n", "'waivers' is not known here"),
        ("[waiver]\n", "two brackets"),
        ('[[waiver]]\ntest = "a"\nreason = "r"\n', "waiver 1: 'expires' is missing"),
        ('[[waiver]]\ntest = "a"\nexpires = 2026-07-01\n', "waiver 1: 'reason' is missing"),
        ('[[waiver]]\nreason = "r"\nexpires = 2026-07-01\n', "either 'test' or 'requirement'"),
        (f'[[waiver]]\n{GOOD}requirement = "yama.x"\n', "either 'test' or 'requirement'"),
        ('[[waiver]]\ntest = "a"\nreason = "r"\nexpires = "2026-07-01"\n', "without quotes"),
        ('[[waiver]]\ntest = "a"\nreason = "r"\nexpires = 2026-07-01T00:00:00\n', "without quotes"),
        (f'[[waiver]]\n{GOOD}flavour = "full"\n', "unknown key 'flavour'; did you mean 'flavor'"),
        (f'[[waiver]]\n{GOOD}since = "new"\n', "must be a version"),
        (f"[[waiver]]\n{GOOD}\n[[waiver]]\n", "waiver 2"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "w.toml"
    path.write_text(text)
    with pytest.raises(pytest.UsageError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert complaint in str(caught.value)


class TestRuns:
    """Whole runs, in one process and with workers."""

    TESTS = (
        "import pytest\n"
        "@pytest.mark.requirement('yama.rate')\n@pytest.mark.parametrize('n', ['few', 'many'])\n"
        "def test_rate(n): assert n == 'few'\n"
        "@pytest.mark.requirement('yama.log')\ndef test_log(): pass\n"
    )

    @pytest.fixture(autouse=True)
    def _project(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
        pytester.makeini(
            "[pytest]\naddopts = --strict-markers -p reports.plugin -p no:hypothesispytest\nfilterwarnings = error\n"
        )
        folder = pytester.mkdir("suites") / "yama"
        folder.mkdir()
        (folder / "test_it.py").write_text(self.TESTS)
        promise = '[[requirement]]\nid = "yama.%s"\ntext = "It holds."\nsource = "yama_lsm.c"\nsince = "3.4"\n'
        (folder / "requirements.toml").write_text(promise % "rate" + promise % "log")

    @pytest.fixture(params=[(), ("-n", "2")], ids=["one-process", "xdist"])
    def workers(self, request: pytest.FixtureRequest) -> tuple[str, ...]:
        return tuple(request.param)

    def run(
        self, pytester: pytest.Pytester, waived: str, *args: str, expires: str = "2999-01-01"
    ) -> pytest.RunResult:
        Path("mine.toml").write_text(f'[[waiver]]\n{waived}\nreason = "known"\nexpires = {expires}\n')
        return pytester.runpytest_subprocess("--waivers", "mine.toml", *args, timeout=120)

    def document(self) -> dict[str, Any]:
        return dict(json.loads(Path("reports/out/latest/results.json").read_text(encoding="utf-8")))

    def test_a_waived_failure_does_not_fail_the_run(
        self, pytester: pytest.Pytester, workers: tuple[str, ...]
    ) -> None:
        done = self.run(pytester, f'test = "{TEST}[many]"', "-x", *workers)
        assert done.ret == 0
        done.stdout.fnmatch_lines(["waived:", "*1  known, waived until 2999-01-01", "*2 held, 0 broken,*1 waived"])
        found = self.document()
        assert Counter(each["outcome"] for each in found["results"]) == {"pass": 2, "waived": 1}
        assert found["run"]["counts"]["waived"] == 1
        assert [each["status"] for each in found["requirements"]] == [
            {"(no kernel)": "waived"},
            {"(no kernel)": "held"},
        ]

    def test_by_its_promise(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        done = self.run(pytester, 'requirement = "yama.rate"', "--strict-waivers", *workers)
        assert done.ret == 0
        done.stdout.fnmatch_lines(["*2 held, 0 broken,*1 waived"])

    def test_an_expired_waiver_is_named(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        done = self.run(pytester, f'test = "{TEST}"', *workers, expires="2001-01-01")
        assert done.ret == 1
        done.stdout.fnmatch_lines(["*its waiver expired on 2001-01-01: known*"])

    def test_a_pass_is_unexpected(self, pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
        done = self.run(pytester, f'test = "{TEST}[few]"', "-k", "few", *workers)
        assert done.ret == 0
        done.stdout.fnmatch_lines(["waivers that are not needed:", f"*{TEST}?few? passes, though waived: known"])
        assert [each["outcome"] for each in self.document()["results"]] == ["unexpected-pass"]

    @pytest.mark.parametrize("waived", [f'test = "{TEST}"', 'requirement = "yama.rate"'], ids=["test", "promise"])
    def test_and_fails_where_that_is_wanted(
        self, pytester: pytest.Pytester, workers: tuple[str, ...], waived: str
    ) -> None:
        done = self.run(pytester, waived, "--strict-waivers", "-k", "few", *workers)
        assert done.ret == 1
        done.stdout.fnmatch_lines(["exit status 1: a waiver is not needed (--strict-waivers)"])

    @pytest.mark.parametrize(
        ("waived", "complaint"),
        [
            ('test = "suites/yama/test_it.py::test_gone"', "there is no test suites/yama/test_it.py::test_gone"),
            ('test = "suites/yama/test_gone.py::test_a"', "there is no test suites/yama/test_gone.py::test_a"),
            ('requirement = "yama.rat"', "unknown requirement 'yama.rat'; did you mean 'yama.rate'"),
        ],
    )
    def test_one_that_matches_nothing_is_wrong_use(
        self, pytester: pytest.Pytester, workers: tuple[str, ...], waived: str, complaint: str
    ) -> None:
        done = self.run(pytester, waived, *workers)
        assert done.ret == 4
        assert (done.stdout.str() + done.stderr.str()).count(complaint) == 1

    def test_no_such_file_is_wrong_use(self, pytester: pytest.Pytester) -> None:
        done = pytester.runpytest_subprocess("--waivers", "none.toml", timeout=120)
        assert done.ret == 4
        done.stderr.fnmatch_lines(["*none.toml*No such file*"])

    def test_those_beside_the_tests_are_always_read(self, pytester: pytest.Pytester) -> None:
        Path("suites/yama/waivers.toml").write_text(
            f'[[waiver]]\ntest = "{TEST}[many]"\nreason = "known"\nexpires = 2999-01-01\n'
        )
        assert pytester.runpytest_subprocess(timeout=120).ret == 0
