# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of the protocol."""

from __future__ import annotations

import pytest

from guests.protocol import conversation
from guests.protocol.channel import Channel
from guests.protocol.deadline import Deadline

PATIENCE_S = 0.02
"""Deadline for an answer: a replay answers immediately or never."""


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request waits longer than that."""
    monkeypatch.setattr(Channel, "deadline", lambda _, seconds: Deadline(min(seconds, PATIENCE_S)))
    monkeypatch.setattr(conversation, "SIGN_OF_LIFE_S", PATIENCE_S)
