# SPDX-License-Identifier: GPL-2.0-or-later
"""`-m quick`: few tests, which show each promise wherever any test can."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.versions import VersionRange
from reports.judgement.quick_choice import Conditions, Function, choose
from reports.model.document import load
from suites.harness.kconfigs import fake_kernels as fakes

ROOT = Path(__file__).resolve().parents[3]

ANY = Conditions()
YAMA = Conditions(needs=frozenset({"SECURITY_YAMA"}))
YAMA_AND_AUDIT = Conditions(needs=frozenset({"SECURITY_YAMA", "AUDIT"}))
WITHOUT_YAMA = Conditions(lacks=frozenset({"SECURITY_YAMA"}))
SINCE_6_1 = Conditions(since=(6, 1))
SINCE_6_12 = Conditions(since=(6, 12))
UNTIL_6_1 = Conditions(until=(6, 1, math.inf))
UNTIL_6_12 = Conditions(until=(6, 12, math.inf))
UNTIL_6_12_7 = Conditions(until=(6, 12, 7, math.inf))
ENFORCING = Conditions(boot="loadpin.enforce=1")


def function(name: str, *shows: tuple[str, Conditions], cases: int = 1) -> Function:
    return Function(name, cases, frozenset(shows))


@pytest.mark.parametrize(
    ("fewer", "more"),
    [
        pytest.param(ANY, YAMA, id="nothing-is-needed"),
        pytest.param(YAMA, YAMA, id="the-same"),
        pytest.param(YAMA, YAMA_AND_AUDIT, id="one-option-of-two"),
        pytest.param(ANY, WITHOUT_YAMA, id="whatever-there-is"),
        pytest.param(SINCE_6_1, SINCE_6_12, id="an-older-version-will-do"),
        pytest.param(UNTIL_6_12, UNTIL_6_1, id="a-newer-version-will-do"),
        pytest.param(UNTIL_6_12, UNTIL_6_12_7, id="all-of-a-version-will-do"),
        pytest.param(ANY, UNTIL_6_1, id="still"),
    ],
)
def test_conditions_that_ask_no_more(fewer: Conditions, more: Conditions) -> None:
    assert fewer.ask_no_more_than(more)
    assert more == fewer or not more.ask_no_more_than(fewer)


def test_another_boot_shows_something_else() -> None:
    assert not ANY.ask_no_more_than(ENFORCING)
    assert not ENFORCING.ask_no_more_than(ANY)


LOG = function("log", ("log", YAMA))


@pytest.mark.parametrize(
    ("functions", "chosen"),
    [
        pytest.param(
            [function("all", ("scope", YAMA), cases=40), function("one", ("scope", YAMA))],
            {"one"},
            id="the-fewest-cases",
        ),
        pytest.param(
            [function("talk", ("scope", YAMA), ("log", YAMA)), function("table", ("scope", YAMA), cases=9), LOG],
            {"table", "log"},
            id="those-that-are-about-nothing-else",
        ),
        pytest.param(
            [function("enforcing", ("order", ENFORCING)), function("not-enforcing", ("order", ANY))],
            {"enforcing", "not-enforcing"},
            id="both-boots",
        ),
        pytest.param(
            [function("first", ("scope", YAMA)), function("second", ("scope", YAMA))],
            {"first"},
            id="the-first-of-equals",
        ),
        pytest.param(
            [function("logged", ("scope", YAMA_AND_AUDIT)), function("any", ("scope", YAMA), cases=9)],
            {"any"},
            id="the-one-that-applies-wherever-the-other-does",
        ),
        pytest.param(
            [function("with", ("active", YAMA)), function("without", ("active", WITHOUT_YAMA))],
            {"with", "without"},
            id="both-where-neither-does",
        ),
        pytest.param(
            [function("new", ("sysctl", SINCE_6_12)), function("old", ("sysctl", UNTIL_6_1))],
            {"new", "old"},
            id="both-by-version",
        ),
        pytest.param(
            [
                function("scope", ("scope", YAMA), ("ways", YAMA)),
                function("both", ("ways", YAMA), ("log", YAMA), cases=2),
                function("scope-too", ("scope", YAMA_AND_AUDIT), ("log", YAMA_AND_AUDIT), cases=3),
            ],
            {"scope", "both"},
            id="nothing-that-others-are-about-already",
        ),
    ],
)
def test_what_is_chosen(functions: list[Function], chosen: set[str]) -> None:
    assert choose(functions) == chosen


CONDITIONS = st.builds(
    Conditions,
    needs=st.frozensets(st.sampled_from(["SECURITY_YAMA", "AUDIT"])),
    lacks=st.frozensets(st.sampled_from(["SECURITY_LOADPIN"])),
    since=st.sampled_from([(), (5,), (6, 1), (6, 1, 3)]),
    until=st.sampled_from([(math.inf,), (6, 1, math.inf), (6, 1, 3, math.inf), (6, 12, math.inf)]),
    boot=st.sampled_from(["", "loadpin.enforce=1"]),
)
KERNELS = [
    (version, frozenset(options))
    for version in ((5, 10, 262), (6, 1), (6, 1, 3), (6, 1, 192), (6, 12, 117), (7, 3, 4))
    for options in ((), ("SECURITY_YAMA",), ("SECURITY_YAMA", "AUDIT"), ("SECURITY_LOADPIN", "AUDIT"))
]


def applies(conditions: Conditions, version: tuple[int, ...], options: frozenset[str]) -> bool:
    """As in a run: by `Requirement.excludes`, and the skips of conftest.py."""
    until = tuple(map(int, conditions.until[:-1]))
    return (
        version in VersionRange(conditions.since, until)
        and conditions.needs <= options
        and not conditions.lacks & options
    )


SHOWN = st.frozensets(st.tuples(st.sampled_from(["scope", "ways", "log"]), CONDITIONS), min_size=1, max_size=4)
FUNCTIONS = st.lists(st.builds(Function, st.uuids().map(str), st.integers(1, 9), SHOWN), max_size=8)


def shown(functions: Sequence[Function], version: tuple[int, ...], options: frozenset[str]) -> set[object]:
    """The promises, each with a boot, that tests which apply to this kernel are about."""
    return {
        (promise, conditions.boot)
        for each in functions
        for promise, conditions in each.shows
        if applies(conditions, version, options)
    }


@settings(deadline=None)
@given(FUNCTIONS)
def test_no_kernel_loses_a_promise_and_nobody_is_needless(functions: list[Function]) -> None:
    names = choose(functions)
    chosen = [each for each in functions if each.name in names]
    for version, options in KERNELS:
        assert shown(chosen, version, options) == shown(functions, version, options)
    assert choose(chosen) == names


def test_each_promise_of_the_suites_has_a_quick_test(tmp_path: Path) -> None:
    """`--requirements` ends with 1 if one has none; and many tests are left out."""
    package = fakes.kernel_deb(tmp_path / "kernel.deb")
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-q", "-p", "no:cacheprovider"]
    command += [f"--kernel={package}", "-m", "quick"]
    listing = subprocess.run([*command, "--requirements"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (listing.returncode, "NO TEST" in listing.stdout) == (0, False)
    collection = subprocess.run([*command, "--collect-only"], cwd=ROOT, capture_output=True, text=True, check=True)
    [(quick, all_of_them)] = re.findall(r"^(\d+)/(\d+) tests collected", collection.stdout, re.MULTILINE)
    assert int(quick) < int(all_of_them) * 2 / 3


REQUIREMENT = '[[requirement]]\nid = "yama.%s"\ntext = "It holds."\nsource = "yama_lsm.c"\nsince = "3.4"\n'
TESTS = """
import pytest

@pytest.mark.requirement("yama.scope")
@pytest.mark.parametrize("scope", range(4))
def test_scopes(scope): pass

@pytest.mark.requirement("yama.scope")
def test_talk(): pass

@pytest.mark.requirement("yama.log")
@pytest.mark.parametrize("way", ["attach", "traceme"])
def test_log(way): pass
"""


TALK = "suites/yama/test_it.py::test_talk"


@pytest.fixture
def _suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini(
        "[pytest]\naddopts = --strict-markers -p reports.run.plugin -p no:hypothesispytest\n"
        "testpaths = suites\nfilterwarnings = error\n"
    )
    suite = pytester.mkdir("suites") / "yama"
    suite.mkdir()
    (suite / "requirements.toml").write_text(REQUIREMENT % "scope" + REQUIREMENT % "log")
    (suite / "test_it.py").write_text(TESTS)


@pytest.mark.usefixtures("_suite")
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one-process", "xdist"])
@pytest.mark.parametrize(
    ("arguments", "tests", "selection"),
    [
        pytest.param((), {"test_scopes": 4, "test_talk": 1, "test_log": 2}, None, id="all"),
        pytest.param(("-m", "quick"), {"test_talk": 1, "test_log": 2}, "-m quick", id="quick"),
        pytest.param(("-m", "not quick"), {"test_scopes": 4}, "-m 'not quick'", id="all-others"),
        pytest.param(
            ("-m", "quick", "-k", "log", "suites/yama"), {"test_log": 2}, "suites/yama -m quick -k log", id="of-a-few"
        ),
        pytest.param(("suites",), {"test_scopes": 4, "test_talk": 1, "test_log": 2}, None, id="all-by-name"),
        pytest.param((TALK,), {"test_talk": 1}, TALK, id="one"),
        pytest.param(
            ("--deselect", TALK),
            {"test_scopes": 4, "test_log": 2},
            f"--deselect {TALK}",
            id="all-but-one",
        ),
    ],
)
def test_a_run_tells_what_it_left_out(
    pytester: pytest.Pytester,
    workers: tuple[str, ...],
    arguments: tuple[str, ...],
    tests: Mapping[str, int],
    selection: str | None,
) -> None:
    done = pytester.runpytest_subprocess(*arguments, *workers, timeout=120)
    assert done.ret == 0
    report = load(Path("reports/out/latest"))
    names = Counter(result.nodeid.partition("::")[2].partition("[")[0] for result in report.results)
    assert names == tests
    assert report.run.selection == selection
    said = f"not all tests were chosen, only: {selection}"
    assert (said in done.outlines) == (selection is not None)
    assert (said in Path("reports/out/latest/summary.md").read_text().replace("\\", "")) == (selection is not None)
