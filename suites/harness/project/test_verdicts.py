# SPDX-License-Identifier: GPL-2.0-or-later
"""No verdict of `fail` without a promise and a comparison: what helpers may do, and what a run makes of it."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from guests.outcome import EPERM, OK, Expected, Outcome
from guests.protocol.wire import State
from guests.task import Task
from reports.model.requirements import load
from suites.yama import test_scopes
from suites.yama.support.accesses import Access, AccessResult, compare

ROOT = Path(__file__).resolve().parents[3]
AREAS = ("boot", "ptrace", "yama", "loadpin", "seccomp")
WHERE_TESTS_RUN = [*(ROOT / "suites" / area for area in AREAS), ROOT / "guests"]

Function = ast.FunctionDef | ast.AsyncFunctionDef


def may_accuse(name: str) -> bool:
    """Whether a function of this name compares: a test, or a helper that says that it checks."""
    return name.startswith(("test_", "check", "_check"))


def outside_of_comparing_functions(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below this one that is not in a function that compares."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function) and may_accuse(child.name):
            continue
        yield child
        yield from outside_of_comparing_functions(child)


@pytest.mark.parametrize("folder", WHERE_TESTS_RUN, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_tests_and_checks_assert(folder: Path) -> None:
    """An `assert` in a helper would call a step that only prepares a test a broken promise."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(folder.rglob("*.py"))
        for node in outside_of_comparing_functions(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.fail")
    ]
    assert found == []


@pytest.mark.parametrize("area", AREAS)
def test_comparisons_in_helpers_are_explained(area: str) -> None:
    """pytest must import them by its rewriting hook (conftest.py), or a failed `assert` has an empty reason."""
    for path in sorted((ROOT / "suites" / area / "support").glob("*.py")):
        module = importlib.import_module(f"suites.{area}.support.{path.stem}")
        assert type(module.__loader__).__name__ == "AssertionRewritingHook", module


def requirements_named(decorators: list[ast.expr]) -> set[str]:
    """The literal ids of `requirement` markers."""
    calls = [each for each in decorators if isinstance(each, ast.Call)]
    return {
        str(argument.value)
        for call in calls
        if ast.unparse(call.func).endswith("requirement")
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }


def test_what_a_comparison_breaks_is_one_of_the_tests_promises() -> None:
    """Otherwise a failure would be an error of ours, at the worst moment."""
    known = load(ROOT / "suites")
    wrong = []
    for path in sorted(path for area in AREAS for path in (ROOT / "suites" / area).glob("test_*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, Function):
                continue
            named = requirements_named(function.decorator_list)
            for call in ast.walk(function):
                if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "breaks"):
                    continue
                literal = [str(each.value) for each in call.args if isinstance(each, ast.Constant)]
                allowed = named if function.name.startswith("test_") and named else set(known)
                wrong += [f"{path.name}:{call.lineno}: {each}" for each in literal if each not in allowed]
    assert wrong == []


@pytest.mark.parametrize("function", ["relatives", "declared", "capable", "user_namespaces", "same"])
def test_the_cells_of_yamas_table_are_about_promises_of_their_test(function: str) -> None:
    marks = getattr(test_scopes, f"test_{function}").pytestmark
    named = {argument for mark in marks if mark.name == "requirement" for argument in mark.args}
    (rows,) = [mark.args[1] for mark in marks if mark.name == "parametrize"]
    used = {promise for row in rows for promise in row.values[2]} | {test_scopes.ANY_ACCESS}
    assert used == named


PROJECT = """
import pytest
from guests.errors import SetupFailed, require
from guests.outcome import EPERM, OK, Outcome
from guests.promises import breaks
from guests.protocol.wire import State

pytestmark = pytest.mark.requirement("yama.it")
DENIED = Outcome(State.RETURNED, -1, "evil[41].attach(secret[40])")

def helper():
    DENIED.result()

@pytest.fixture
def prepared():
    helper()

@pytest.fixture
def torn_down():
    yield
    helper()

@pytest.fixture
def asserting():
    assert DENIED == OK

def test_in_the_body(): DENIED.result()
def test_in_a_helper(): helper()
def test_in_a_fixture(prepared): pass
def test_in_a_teardown(torn_down): pass
def test_in_an_asserting_fixture(asserting): pass
def test_reading_a_buffer(): DENIED.read()
def test_another_outcome(): DENIED.require(OK)
def test_a_condition(): require(1 == 2, "one is not two")
def test_under_breaks():
    with breaks("yama.it"): helper()
def test_while_comparing(): assert DENIED.result() == 0
def test_in_a_subtest(subtests):
    with subtests.test("one"): helper()
def test_a_comparison(): assert DENIED == OK
def test_a_comparison_that_holds(): assert DENIED == EPERM
"""

VERDICTS = {"a_comparison": "fail", "a_comparison_that_holds": "pass"}
"""Of all others it is `error`."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    root = tmp_path_factory.mktemp("project")
    (root / "suites" / "yama").mkdir(parents=True)
    (root / "pytest.ini").write_text("[pytest]\naddopts = -p reports.run.plugin -p no:hypothesispytest\n")
    (root / "suites" / "yama" / "test_it.py").write_text(PROJECT)
    (root / "suites" / "yama" / "requirements.toml").write_text(
        '[[requirement]]\nid = "yama.it"\ntext = "It holds."\nsource = "s"\nsince = "3.4"\n'
    )
    subprocess.run(
        [sys.executable, "-m", "pytest", "--report-dir=out"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
    )
    return list(json.loads((root / "out" / "results.json").read_text())["results"])


def test_a_step_that_prepares_a_test_can_only_be_an_error(results: list[dict[str, Any]]) -> None:
    found = {each["nodeid"].partition("::test_")[2]: each["outcome"] for each in results}
    assert len(found) == PROJECT.count("\ndef test_")
    assert found == {name: VERDICTS.get(name, "error") for name in found}


def test_the_error_says_who_did_what_and_what_came(results: list[dict[str, Any]]) -> None:
    (reason,) = [each["reason"] for each in results if each["nodeid"].endswith("::test_in_the_body")]
    assert reason.startswith("evil[41].attach(secret[40]) -> EPERM, and the test needs it to succeed (hint: ")


@pytest.mark.parametrize(
    ("results", "whole"),
    [
        pytest.param([EPERM, EPERM], False, id="right"),
        pytest.param([OK, OK], True, id="nothing-is-refused"),
        pytest.param([OK, EPERM], False, id="one-kind-of-access-is-not-refused"),
    ],
)
def test_a_cell_of_yamas_table_is_wrong_as_a_whole_or_for_a_kind_of_access(
    results: list[Expected], whole: bool
) -> None:
    """What the two break differs: the promise of the cell, or that all kinds of access are governed alike."""

    def attempt(result: Expected) -> Callable[[Task, Task], Outcome]:
        return lambda _, __: Outcome(State.RETURNED, result.low, "tracer.attach(target)")

    kinds = [Access(f"kind {n}", attempt(result), EPERM, EPERM) for n, result in enumerate(results)]
    nobody = cast(Task, None)
    found = compare(nobody, nobody, kinds, AccessResult.NO)
    assert len(found.lines) == results.count(OK)
    assert found.whole is whole
