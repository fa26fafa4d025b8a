# SPDX-License-Identifier: GPL-2.0-or-later
"""Annotations for GitHub: one for each broken promise, few enough to be shown, and nothing that a guest could add."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reports.formats import github_annotations
from reports.model.document import parse
from suites.harness.reports.documents import FULL, NEXT, document, result


def render(*results: dict[str, Any]) -> list[str]:
    return github_annotations.render(parse(document(results), Path("results.json"))).splitlines()


def test_a_broken_promise_is_one_error_however_many_tests_saw_it() -> None:
    [line] = render(
        result("yama/scope[1]", "fail", "OK, expected EPERM"), result("yama/scope[2]", "fail"), result("yama/log")
    )
    assert line.startswith(
        f"::error title=yama.scope is broken on {FULL}::The promise yama.scope. OK, expected EPERM ("
    )


def test_each_kernel_has_its_own_and_flaky_is_said() -> None:
    lines = render(result("yama/scope", "fail"), result("yama/scope", "flaky", on=NEXT))
    assert [line.partition("::The")[0] for line in lines] == [
        f"::error title=yama.scope is broken on {FULL}",
        f"::error title=yama.scope is flaky on {NEXT}",
    ]


def test_only_the_promises_that_a_failure_broke_are_named() -> None:
    [line] = render(result("yama/scope", "fail", requirements=["yama.scope", "yama.log"], breaks=["yama.log"]))
    assert "title=yama.log is broken" in line


def test_an_error_is_a_warning() -> None:
    [line] = render(result("yama/scope", "error", "QEMU ended"))
    assert line.startswith("::warning title=could not be determined::QEMU ended (suites/yama/")


def test_what_holds_is_silent() -> None:
    assert render(result("yama/scope"), result("yama/log", "skip"), result("yama/new", "waived")) == []


def test_no_more_than_github_shows() -> None:
    lines = render(*(result(f"yama/promise_{number}", "fail") for number in range(25)))
    assert len(lines) == github_annotations.MOST
    assert lines[-1] == "::error title=and more::16 more promises are not held; the report has all"


def test_a_guest_cannot_add_a_command() -> None:
    hostile = "100%: a,b \x1b[31m ##[error]x %0A::error::y " + "z" * 1000
    [line] = render(result("yama/scope", "fail", hostile))
    assert "100%25: a,b \\x1b[31m" in line
    assert "%250A" in line
    assert "##[" not in line
    assert len(line) < 600
