# SPDX-License-Identifier: GPL-2.0-or-later
"""Replays of a test, which run its fixtures again and again."""

from __future__ import annotations

import pytest


def test_a_fixture_that_diverges_can_be_set_up_again(pytester: pytest.Pytester) -> None:
    """A replay that ends in a fixture leaves the fixture as it was for the next replay, and for the next test."""
    pytester.makepyfile(
        """
        import pytest
        from guests.reproducer.replay_channel import Diverged

        replays = []

        @pytest.fixture
        def prepared():
            replays.append("begun")
            if len(replays) == 1:
                raise Diverged("the record ends here")

        @pytest.mark.parametrize("replay", [1, 2])
        def test_replayed(replay, prepared):
            pass
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1, errors=1)
