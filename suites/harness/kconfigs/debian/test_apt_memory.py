# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers of apt, kept from run to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kconfigs.debian.apt import Apt, Memory
from suites.harness.kconfigs.debian.fake_apt import FakeApt, debian

pytestmark = pytest.mark.usefixtures("_x86_64")


class TestMemory:
    """Answers of apt, kept from run to run."""

    @pytest.fixture
    def memory(self, tmp_path: Path) -> Callable[[], Memory]:
        (tmp_path / "lists").mkdir()
        return lambda: Memory(tmp_path / "cache" / "apt.json", [tmp_path / "lists"])

    def test_a_question_is_asked_once(self, memory: Callable[[], Memory]) -> None:
        memory().keep(["apt-cache", "show", "a"], "answer")
        assert memory().answer(["apt-cache", "show", "a"]) == "answer"
        assert memory().answer(["apt-cache", "show", "b"]) is None

    def test_new_lists_make_it_forget(self, memory: Callable[[], Memory], tmp_path: Path) -> None:
        memory().keep(["a"], "old")
        (tmp_path / "lists" / "new_Packages").write_text("")
        assert memory().answer(["a"]) is None
        memory().keep(["b"], "new")
        assert (memory().answer(["a"]), memory().answer(["b"])) == (None, "new")

    @pytest.mark.parametrize("damage", ["", "[]", "{", '{"stamp": 1}', "\0"])
    def test_a_damaged_file_is_ignored(self, memory: Callable[[], Memory], tmp_path: Path, damage: str) -> None:
        memory().keep(["a"], "answer")
        (tmp_path / "cache" / "apt.json").write_text(damage)
        assert memory().answer(["a"]) is None

    def test_if_it_cannot_write_it_asks_again(self, memory: Callable[[], Memory], tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file")
        memory().keep(["a"], "answer")
        assert memory().answer(["a"]) is None

    def test_freshly_fetched_lists_make_it_forget_at_once(self, memory: Callable[[], Memory]) -> None:
        """The first question on a fresh machine is whether there are any; after apt-get update it is asked again."""
        kept = memory()
        kept.keep(["indextargets"], "")
        (kept._watched[0] / "new_Packages").write_text("")
        assert kept.answer(["indextargets"]) is None

    def test_apt_asks_it_first(self, memory: Callable[[], Memory]) -> None:
        fake = FakeApt(debian("linux-source-6.12"))
        packages = [Apt(fake, memory=memory()).newest_source() for _ in range(2)]
        assert packages[0] == packages[1]
        assert [call[1] for call in fake.calls] == ["indextargets", "search", "show"]
