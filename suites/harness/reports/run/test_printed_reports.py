# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever a guest says is spelled out for a terminal and a CI, however pytest prints it."""

from __future__ import annotations

import re

import pytest

from suites.harness.reports.run.inner_runs import suite

TESTS = r"""
import pytest
from reports.run.notes import attach

NASTY = "BUG: \x1b[2J\x1b]0;x\x07\u202e\n::error file=a.c,line=1::forged\n  ::add-mask::kernel"
NASTY += "\n##[error]forged\r##vso[a]"

class GuestBroke(Exception):
    verdict = "fail"
    evidence = {"console \x1b[1m": NASTY}

def test_assert():
    assert 1 == 2, NASTY

def test_compared():
    assert NASTY == "", "compared"

def test_fail():
    pytest.fail(NASTY, pytrace=False)

def test_first_line():
    pytest.fail(NASTY.partition("\n")[2], pytrace=False)

def test_broke(request):
    attach(request.node, "kernel log", NASTY)
    raise GuestBroke("the kernel complained: " + NASTY)

def test_chained():
    try:
        raise ValueError(NASTY)
    except ValueError as error:
        raise GuestBroke(NASTY) from error

def test_skip():
    pytest.skip(NASTY)

@pytest.mark.xfail(reason=NASTY)
def test_xfail():
    assert False

def test_prints():
    print(NASTY)
    assert False

@pytest.fixture
def broken():
    yield
    raise GuestBroke(NASTY)

def test_teardown(broken):
    pass
"""
OBEYED = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)


@pytest.fixture(autouse=True)
def _project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, _inner_project: None) -> None:
    for name in ("GITHUB_ACTIONS", "CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    suite(pytester, TESTS)


@pytest.mark.parametrize("ci", [False, True], ids=["terminal", "ci"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="plain"),
        pytest.param(("-n", "2", "-q"), id="workers"),
        pytest.param(("-vv", "-rA", "--tb=native"), id="native"),
        pytest.param(("-rA", "--tb=short", "--showlocals"), id="short"),
        pytest.param(("-v", "--tb=line", "-rs"), id="line"),
    ],
)
def test_nothing_of_a_guests_is_obeyed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], ci: bool
) -> None:
    if ci:  # pytest then prints whole messages in its short summary
        monkeypatch.setenv("CI", "true")
        monkeypatch.setenv("BUILD_NUMBER", "1")
    done = pytester.runpytest_subprocess(*options, timeout=120)
    assert done.ret == 1
    text = "\n".join(done.outlines + done.errlines)
    assert r"BUG: \x1b[2J\x1b]0;x\x07\u202e" in text
    assert {char for char in text if not char.isprintable()} == {"\n"}
    assert OBEYED.findall(text) == []


def test_on_github_nothing_between_two_lines_is_a_command(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    lines = pytester.runpytest_subprocess(timeout=120).outlines
    first, last = [line for line in lines if line.startswith("::")]
    token = first.removeprefix("::stop-commands::")
    assert re.fullmatch("[0-9a-f]{32}", token)
    assert last == f"::{token}::"
    assert not [line for line in lines[: lines.index(first)] if line]
    assert not [line for line in lines[lines.index(last) + 1 :] if line]
