# SPDX-License-Identifier: GPL-2.0-or-later
"""`-m quick`: which tests it selects, and how a run reports what it left out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from reports.model.document import load
from suites.harness.checkout import ROOT
from suites.harness.kconfigs import fake_kernels as fakes
from suites.harness.reports.run.inner_runs import prepare, requirements_toml, suite


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
    prepare(pytester, monkeypatch, "testpaths = suites\n")
    suite(pytester, TESTS, "yama")
    Path("suites/yama/requirements.toml").write_text(requirements_toml("yama.scope", "yama.log"))


@pytest.mark.usefixtures("_suite")
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
        pytest.param(("--cases=1",), {"test_scopes": 1, "test_talk": 1, "test_log": 1}, "--cases 1", id="one-case"),
        pytest.param(
            ("--cases=3",), {"test_scopes": 3, "test_talk": 1, "test_log": 2}, "--cases 3", id="three-cases-of-each"
        ),
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
