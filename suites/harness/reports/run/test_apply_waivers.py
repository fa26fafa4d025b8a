# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs with waivers: what they excuse, and which of them are refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from suites.harness.reports.run.inner_runs import HOLDS, document, requirements_toml, run, suite

pytestmark = pytest.mark.usefixtures("_inner_project")

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
    def _suite(self, pytester: pytest.Pytester, _inner_project: None) -> None:
        suite(pytester, self.TESTS, "yama")
        Path("suites/yama/requirements.toml").write_text(requirements_toml("yama.rate", "yama.log"))

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

    def test_those_beside_the_tests_are_read_unless_none_is_wanted(
        self, pytester: pytest.Pytester, workers: tuple[str, ...]
    ) -> None:
        Path("suites/yama/waivers.toml").write_text(WAIVER % (f'test = "{RATE}[many]"', "2999-01-01"))
        assert run(pytester, *workers).ret == 0
        assert run(pytester, "--no-waivers", *workers).ret == 1
        done = run(pytester, "--no-waivers", "--waivers=mine.toml", *workers)
        assert done.ret == 4
        assert "--waivers and --no-waivers exclude one another" in done.stdout.str() + done.stderr.str()


class TestWaivedPromises:
    """One promise of a test's two is waived."""

    TESTS = """
from guests.errors import GuestBroke
from guests.promises import breaks

rate = pytest.mark.requirement("yama.rate")
both = pytest.mark.requirement("yama.rate", "yama.log")

@both
def test_names_it():
    with breaks("yama.rate"):
        assert 1 == 2, "late"

@rate
def test_hangs():
    raise GuestBroke("wait4() did not return within 20 s")

@both
def test_names_none():
    assert 1 == 2, "both"

@rate
def test_complaint():
    raise GuestBroke("the kernel complained: BUG: KASAN")

@both
def test_crash():
    with breaks("yama.rate"):
        raise GuestBroke("the kernel went down during wait4(): Kernel panic")
"""

    @pytest.fixture(autouse=True)
    def _suite(self, pytester: pytest.Pytester, _inner_project: None) -> None:
        suite(pytester, self.TESTS, "yama")
        Path("suites/yama/requirements.toml").write_text(requirements_toml("yama.rate", "yama.log"))

    def outcomes(self, pytester: pytest.Pytester, *waived: str) -> dict[str, str]:
        Path("mine.toml").write_text("".join(WAIVER % (each, "2999-01-01") for each in waived))
        run(pytester, "--waivers", "mine.toml")
        return {each["nodeid"].partition("::test_")[2]: each["outcome"] for each in document()["results"]}

    def test_only_what_breaks_it_alone_is_excused(self, pytester: pytest.Pytester) -> None:
        assert self.outcomes(pytester, 'requirement = "yama.rate"') == {
            "names_it": "waived",
            "hangs": "waived",
            "names_none": "fail",
            "complaint": "fail",
            "crash": "fail",
        }
        waived = [each["reason"] for each in document()["results"] if each["outcome"] == "waived"]
        assert waived == [
            "known, waived until 2999-01-01; the failure: late",
            "known, waived until 2999-01-01; the failure: wait4() did not return within 20 s",
        ]

    def test_a_waiver_of_a_test_excuses_anything_that_it_breaks(self, pytester: pytest.Pytester) -> None:
        named = [f'test = "suites/yama/test_it.py::test_{each}"' for each in ("names_none", "complaint", "crash")]
        assert set(self.outcomes(pytester, 'requirement = "yama.rate"', *named).values()) == {"waived"}
