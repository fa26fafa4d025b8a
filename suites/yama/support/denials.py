# SPDX-License-Identifier: GPL-2.0-or-later
"""What Yama has logged."""

from __future__ import annotations

from guests.guest import Guest


def denials(guest: Guest) -> list[str]:
    """Yama's log lines so far, complete: a denial is logged before the refused task continues."""
    return [line for line in guest.log() if line.startswith("ptrace ")]
