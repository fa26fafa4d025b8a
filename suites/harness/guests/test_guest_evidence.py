# SPDX-License-Identifier: GPL-2.0-or-later
"""Evidence is had as far as it can be, and a failure is believed only where its guest can be."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from guests import guest_evidence
from guests.errors import AgentError, GuestBroke, HostPausedError, ProtocolError
from guests.printable import KeptText, cut


def fails() -> str:
    raise ValueError("a fault\nof ours")


def test_what_cannot_be_had_is_told_and_the_rest_is_there() -> None:
    found = guest_evidence.gather({"log": fails, "console": lambda: "a line", "transcript": lambda: " \n"})
    assert found == {"log": r"this could not be had: ValueError: a fault\nof ours", "console": "a line"}


def test_each_piece_is_bounded_and_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_evidence, "LONGEST", 100)
    found = guest_evidence.gather({"console": lambda: "\x1b[2J" + "x" * 1000 + "end"})["console"]
    assert found.startswith("\\x1b[2Jxxx")
    assert "[... 907 characters are left out here ...]" in found
    assert found.endswith("xxend")


@dataclass
class Witness:
    protocol_error: ProtocolError | None = None
    pause: str = ""


BROKEN = ProtocolError("nonsense")
ACCUSATIONS = [AssertionError("a -> b"), GuestBroke("down"), pytest.fail.Exception("did not raise")]


def never() -> str:
    raise AssertionError("it is not asked")


class TestInstead:
    @pytest.mark.parametrize("error", [*ACCUSATIONS, ValueError("x"), AgentError("refused")], ids=repr)
    def test_after_a_protocol_error_everything_is_that(self, error: BaseException) -> None:
        assert guest_evidence.instead(error, Witness(BROKEN, "stopped"), never) is BROKEN

    def test_that_itself_stands(self) -> None:
        assert guest_evidence.instead(BROKEN, Witness(BROKEN), never) is None

    @pytest.mark.parametrize("error", ACCUSATIONS, ids=repr)
    def test_a_guest_that_was_paused_accuses_nobody(self, error: BaseException) -> None:
        assert isinstance(guest_evidence.instead(error, Witness(pause="stopped"), never), HostPausedError)
        assert guest_evidence.instead(error, Witness(), never) is None

    def test_what_a_test_stumbles_over_may_be_a_splat(self) -> None:
        other = guest_evidence.instead(AgentError("refused"), Witness(), lambda: "the kernel complained: BUG")
        assert isinstance(other, GuestBroke)
        assert guest_evidence.instead(AgentError("refused"), Witness(), str) is None


class TestKeptText:
    def test_little_is_kept_as_it_is(self) -> None:
        kept = KeptText(10)
        for part in ("one", "", "two", "three four"):
            assert kept.write(part) == len(part)
        assert kept.text() == "onetwothree four"

    @pytest.mark.parametrize("step", [1, 7, 1000])
    def test_of_much_the_beginning_and_the_end(self, step: int) -> None:
        kept, text = KeptText(10), "".join(chr(ord("a") + number % 26) for number in range(1000))
        for start in range(0, 1000, step):
            kept.write(text[start : start + step])
        first, notice, last = kept.text().split("\n")
        assert first == text[:10]
        assert 10 <= len(last) <= 20
        assert text.endswith(last)
        assert notice == f"[... {1000 - 10 - len(last)} characters are left out here ...]"

    def test_a_text_is_cut_in_the_middle(self) -> None:
        assert cut("0123456789", 10) == "0123456789"
        assert cut("0123456789x", 4) == "01\n[... 7 characters are left out here ...]\n9x"
