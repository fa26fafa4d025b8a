# SPDX-License-Identifier: GPL-2.0-or-later
"""`-m quick`: few tests, and each promise among them wherever it can be shown at all."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.document import load
from reports.quick import Conditions, Function, choose
from suites.harness import kconfigs_fakes as fakes

ROOT = Path(__file__).resolve().parents[2]

ANY = Conditions()
YAMA = Conditions(needs=frozenset({"SECURITY_YAMA"}))
YAMA_AND_AUDIT = Conditions(needs=frozenset({"SECURITY_YAMA", "AUDIT"}))
WITHOUT_YAMA = Conditions(lacks=frozenset({"SECURITY_YAMA"}))
SINCE_6_1 = Conditions(since=(6, 1))
SINCE_6_12 = Conditions(since=(6, 12))
UNTIL_6_1 = Conditions(until=(6, 1))
UNTIL_6_12 = Conditions(until=(6, 12))


def function(name: str, *shows: tuple[str, Conditions], cases: int = 1, boots: bool = False) -> Function:
    return Function(name, cases, frozenset(shows), boots)


@pytest.mark.parametrize(
    ("fewer", "more"),
    [
        pytest.param(ANY, YAMA, id="nothing-is-needed"),
        pytest.param(YAMA, YAMA, id="the-same"),
        pytest.param(YAMA, YAMA_AND_AUDIT, id="one-option-of-two"),
        pytest.param(ANY, WITHOUT_YAMA, id="whatever-there-is"),
        pytest.param(SINCE_6_1, SINCE_6_12, id="an-older-version-will-do"),
        pytest.param(UNTIL_6_12, UNTIL_6_1, id="a-newer-version-will-do"),
        pytest.param(ANY, UNTIL_6_1, id="still"),
    ],
)
def test_conditions_that_ask_no_more(fewer: Conditions, more: Conditions) -> None:
    assert fewer.ask_no_more_than(more)
    assert more == fewer or not more.ask_no_more_than(fewer)


@pytest.mark.parametrize(
    ("functions", "chosen"),
    [
        pytest.param(
            [function("all", ("scope", YAMA), cases=40), function("one", ("scope", YAMA))],
            {"one"},
            id="the-fewest-cases",
        ),
        pytest.param(
            [function("booting", ("scope", YAMA), boots=True), function("plain", ("scope", YAMA))],
            {"plain"},
            id="no-boot-of-its-own",
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
                function("a", ("scope", YAMA)),
                function("b", ("ways", YAMA)),
                function("both", ("scope", YAMA), ("ways", YAMA), ("log", YAMA), cases=2),
            ],
            {"both"},
            id="nothing-that-another-shows-besides",
        ),
    ],
)
def test_what_is_chosen(functions: list[Function], chosen: set[str]) -> None:
    assert choose(functions) == chosen


CONDITIONS = st.sampled_from([ANY, YAMA, YAMA_AND_AUDIT, WITHOUT_YAMA, SINCE_6_1, SINCE_6_12, UNTIL_6_1, UNTIL_6_12])
SHOWN = st.frozensets(st.tuples(st.sampled_from(["scope", "ways", "log"]), CONDITIONS), min_size=1)
FUNCTIONS = st.lists(st.builds(Function, st.uuids().map(str), st.integers(1, 9), SHOWN, st.booleans()))


@given(FUNCTIONS)
def test_nothing_is_lost_and_nobody_is_needless(functions: list[Function]) -> None:
    chosen = [each for each in functions if each.name in choose(functions)]

    def shown(by: list[Function]) -> bool:
        return all(any(one.covers(each) for one in by) for other in functions for each in other.shows)

    assert shown(chosen)
    assert not any(shown([one for one in chosen if one is not each]) for each in chosen)


def test_each_promise_of_the_suites_has_a_quick_test(tmp_path: Path) -> None:
    """`--requirements` ends with 1 if one has none.  And most tests are left out."""
    package = fakes.kernel_deb(tmp_path / "kernel.deb")
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-q", "-p", "no:cacheprovider"]
    command += [f"--kernel={package}", "-m", "quick"]
    listing = subprocess.run([*command, "--requirements"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (listing.returncode, "NO TEST" in listing.stdout) == (0, False)
    collection = subprocess.run([*command, "--collect-only"], cwd=ROOT, capture_output=True, text=True, check=True)
    [(quick, all_of_them)] = re.findall(r"^(\d+)/(\d+) tests collected", collection.stdout, re.MULTILINE)
    assert int(quick) < int(all_of_them) / 2


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


@pytest.fixture
def _suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini(
        "[pytest]\naddopts = --strict-markers -p reports.plugin -p no:hypothesispytest\n"
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
        pytest.param(
            ("--deselect", "suites/yama/test_it.py::test_talk"),
            {"test_scopes": 4, "test_log": 2},
            "--deselect suites/yama/test_it.py::test_talk",
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
    assert report.run["selection"] == selection
    said = f"not all tests, but: {selection}"
    assert (said in done.outlines) == (selection is not None)
    assert (said in Path("reports/out/latest/summary.md").read_text().replace("\\", "")) == (selection is not None)
