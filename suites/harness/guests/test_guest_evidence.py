# SPDX-License-Identifier: GPL-2.0-or-later
"""All available evidence is gathered, and a failure is reported as such only if its guest can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from guests import guest_evidence
from guests.errors import AgentError, GuestBroke, HostPausedError, ProtocolError, QemuError
from guests.guest_text import KeptText, cut


def fails() -> str:
    raise ValueError("a harness\nerror")


def test_unavailable_evidence_is_reported_and_the_rest_is_gathered() -> None:
    found = guest_evidence.gather({"log": fails, "console": lambda: "a line", "transcript": lambda: " \n"})
    assert found == {"log": r"not available: ValueError: a harness\nerror", "console": "a line"}


def test_each_piece_is_limited_and_printable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_evidence, "LONGEST", 100)
    found = guest_evidence.gather({"console": lambda: "\x1b[2J" + "x" * 1000 + "end"})["console"]
    assert found.startswith("\\x1b[2Jxxx")
    assert "[... 907 characters omitted ...]" in found
    assert found.endswith("xxend")


@dataclass
class FakeGuest:
    protocol_error: ProtocolError | None = None
    pause: str = ""


BROKEN = ProtocolError("nonsense")
ACCUSATIONS = [AssertionError("a -> b"), GuestBroke("down"), pytest.fail.Exception("did not raise")]


def never() -> str:
    raise AssertionError("the kernel's complaint is not read")


class TestReplacement:
    @pytest.mark.parametrize("error", [*ACCUSATIONS, ValueError("x"), AgentError("refused")], ids=repr)
    def test_a_protocol_error_replaces_every_later_error(self, error: BaseException) -> None:
        assert guest_evidence.replacement(error, FakeGuest(BROKEN, "stopped"), never) is BROKEN

    def test_a_protocol_error_is_not_replaced(self) -> None:
        assert guest_evidence.replacement(BROKEN, FakeGuest(BROKEN), never) is None

    @pytest.mark.parametrize("error", ACCUSATIONS, ids=repr)
    def test_a_failure_in_a_paused_guest_is_an_error(self, error: BaseException) -> None:
        assert isinstance(guest_evidence.replacement(error, FakeGuest(pause="stopped"), never), HostPausedError)
        assert guest_evidence.replacement(error, FakeGuest(), never) is None

    def test_a_splat_replaces_a_harness_error(self) -> None:
        other = guest_evidence.replacement(AgentError("refused"), FakeGuest(), lambda: "the kernel complained: BUG")
        assert isinstance(other, GuestBroke)
        assert guest_evidence.replacement(AgentError("refused"), FakeGuest(), str) is None

    def test_a_guest_that_cannot_be_asked_for_splats_changes_nothing(self) -> None:
        """The first error says what happened."""

        def unreadable() -> str:
            raise QemuError("QEMU ended during reading the kernel's log")

        assert guest_evidence.replacement(QemuError("QEMU was killed"), FakeGuest(), unreadable) is None


class TestKeptText:
    def test_a_short_text_is_kept_completely(self) -> None:
        kept = KeptText(10)
        for part in ("one", "", "two", "three four"):
            assert kept.write(part) == len(part)
        assert kept.text() == "onetwothree four"

    @pytest.mark.parametrize("step", [1, 7, 1000])
    def test_the_beginning_and_the_end_of_a_long_text_are_kept(self, step: int) -> None:
        kept, text = KeptText(10), "".join(chr(ord("a") + number % 26) for number in range(1000))
        for start in range(0, 1000, step):
            kept.write(text[start : start + step])
        first, notice, last = kept.text().split("\n")
        assert first == text[:10]
        assert 10 <= len(last) <= 20
        assert text.endswith(last)
        assert notice == f"[... {1000 - 10 - len(last)} characters omitted ...]"

    def test_the_middle_of_a_text_is_cut_out(self) -> None:
        assert cut("0123456789", 10) == "0123456789"
        assert cut("0123456789x", 4) == "01\n[... 7 characters omitted ...]\n9x"
