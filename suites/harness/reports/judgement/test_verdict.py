# SPDX-License-Identifier: GPL-2.0-or-later
"""The reason that a verdict has, and which failures are beyond promises."""

from __future__ import annotations

import pytest

from guests.errors import BootCrashed, GuestBroke
from reports.judgement.verdict import BEYOND_PROMISES, REASON_LIMIT, judge, reason_of
from suites.harness.checkout import ROOT


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


def report() -> pytest.TestReport:
    return pytest.TestReport("a::b", ("a", 1, "b"), {}, "failed", None, "call")


class TestBeyondPromises:
    """What GuestBroke stands for: the answer to a call, or the end of the whole kernel."""

    @pytest.mark.parametrize("words", BEYOND_PROMISES)
    def test_a_kernel_that_crashes_hangs_or_complains(self, words: str) -> None:
        found = judge(report(), GuestBroke(f"{words}wait4()"), xfail_raises=False)
        assert (found.verdict, found.beyond_promises) == ("fail", True)

    @pytest.mark.parametrize("words", BEYOND_PROMISES)
    def test_guests_say_so_in_these_words(self, words: str) -> None:
        assert any(f'f"{words}' in path.read_text(encoding="utf-8") for path in (ROOT / "guests").rglob("*.py"))

    def test_among_several_failures(self) -> None:
        several = BaseExceptionGroup("both", [AssertionError("late"), GuestBroke(f"{BEYOND_PROMISES[0]}BUG")])
        assert judge(report(), several, xfail_raises=False).beyond_promises

    @pytest.mark.parametrize(
        "raised",
        [
            GuestBroke("wait4() did not return within 20 s"),
            BootCrashed("the kernel does not boot: panic", evidence={}),
            AssertionError(f"{BEYOND_PROMISES[0]}BUG"),
        ],
        ids=["a-call-that-hangs", "a-boot", "a-comparison"],
    )
    def test_nothing_else(self, raised: Exception) -> None:
        found = judge(report(), raised, xfail_raises=False)
        assert (found.verdict, found.beyond_promises) == ("fail", False)
