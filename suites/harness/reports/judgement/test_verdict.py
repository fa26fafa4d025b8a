# SPDX-License-Identifier: GPL-2.0-or-later
"""The reason that a verdict has."""

from __future__ import annotations

import pytest

from reports.judgement.verdict import REASON_LIMIT, reason_of


class GuestError(Exception):
    verdict = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class TestReasons:
    @pytest.mark.parametrize(
        ("raised", "reason"),
        [
            (AssertionError("evil -> OK, expected EPERM\nassert 0 == 1"), "evil -> OK, expected EPERM"),
            (AssertionError("assert evil.attach() -> OK, expected EPERM"), "evil.attach() -> OK, expected EPERM"),
            (AssertionError("assert 1 == 2"), "assert 1 == 2"),
            (AssertionError(), "an assertion failed"),
            (TypeError("unsupported\nmore"), "TypeError: unsupported"),
            (KeyError(), "KeyError"),
            (GuestError("no answer", hint="look at the console"), "no answer (hint: look at the console)"),
            (GuestError(""), "GuestError"),
        ],
    )
    def test_a_reason_is_one_line(self, raised: BaseException, reason: str) -> None:
        assert reason_of(raised) == reason

    def test_a_reason_is_bounded(self) -> None:
        assert len(reason_of(ValueError("x" * 9999))) == REASON_LIMIT
