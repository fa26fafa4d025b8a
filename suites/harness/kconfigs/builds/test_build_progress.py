# SPDX-License-Identifier: GPL-2.0-or-later
"""The progress of a build."""

from __future__ import annotations

import pytest

from kconfigs.build.build_progress import BuildState, ProgressLines


class TestProgressLine:
    def test_it_shows_what_is_done_and_what_is_left(self) -> None:
        state = BuildState("compiling", "linux-6.12.7/full", 250, 1000, started=100.0)
        assert state.left_s(now=200.0) == 300.0
        assert str(BuildState("configuring", "k")) == "k: configuring"

    @pytest.mark.parametrize("objects", [0, 5, 1000, 1001])
    def test_it_does_not_guess(self, objects: int) -> None:
        assert BuildState("compiling", "k", objects, 1000, started=0.0).left_s(now=50.0) is None

    def test_a_log_gets_a_line_now_and_then(self, capsys: pytest.CaptureFixture[str]) -> None:
        lines = ProgressLines(interval=3600)
        for objects in range(50):
            lines.update(BuildState("compiling", "k", objects, 50))
        lines.update(BuildState("done", "k"))
        assert len(capsys.readouterr().err.splitlines()) == 2
