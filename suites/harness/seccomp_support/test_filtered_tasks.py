# SPDX-License-Identifier: GPL-2.0-or-later
"""What the helpers of seccomp's tests accuse: the promise of a row that differs, and nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from suites.seccomp.support import filtered_tasks
from suites.seccomp.support.audit_records import fields
from suites.seccomp.support.filtered_tasks import caller_cases, check_promises

RECORD = 'audit: type=1326 audit(1.2:3): auid=4000 uid=1000 pid=9 comm="a" sig=31 syscall=110 code=0x80000000'


def test_rows_that_agree_break_nothing() -> None:
    check_promises({"seccomp.one": {"a": (1, 1)}, "seccomp.other": {"b": ("x", "x")}})


@pytest.mark.parametrize(
    ("one", "other", "broken"),
    [
        pytest.param(2, 1, ("seccomp.one",), id="the-first"),
        pytest.param(1, 2, ("seccomp.other",), id="the-second"),
        pytest.param(2, 2, ("seccomp.one", "seccomp.other"), id="both"),
    ],
)
def test_a_row_that_differs_breaks_its_own_promise(one: int, other: int, broken: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError, match="expected 1") as raised:
        check_promises({"seccomp.one": {"a": (one, 1), "same": (0, 0)}, "seccomp.other": {"b": (other, 1)}})
    assert raised.value.breaks == broken  # type: ignore[attr-defined]


def test_a_field_that_a_record_lacks_is_empty() -> None:
    found = fields(RECORD)
    assert (found["pid"], found["code"], found["ip"]) == ("9", "0x80000000", "")


def test_only_rows_about_namespaces_need_them() -> None:
    cases = caller_cases(("root", "cap-sys-admin-in-its-user-namespace", "init-of-a-pid-ns"))
    assert [[mark.args for mark in case.marks] for case in cases] == [[], [("USER_NS",)], [("PID_NS",)]]


def test_each_assert_of_a_helper_has_a_message() -> None:
    """It says what was looked for; the values alone, which pytest shows, do not."""
    support = Path(filtered_tasks.__file__).parent
    silent = [
        f"{path.name}:{node.lineno}"
        for path in sorted(support.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert) and node.msg is None
    ]
    assert silent == []
