# SPDX-License-Identifier: GPL-2.0-or-later
"""What all of the project's own tests take for granted."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """A script starts its jobs in the background with SIGINT ignored, and so would be all that tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
