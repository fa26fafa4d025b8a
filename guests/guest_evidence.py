# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest leaves behind for the report: gathered whatever state it is in, bounded, and believed or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from common.text import printable
from guests.errors import GuestBroke, HostPausedError, ProtocolError
from guests.printable import cut, escaped

LONGEST = 1 << 20
"""Characters of one piece of evidence."""


class Witness(Protocol):
    """What has to be known of a guest before it may accuse its kernel."""

    @property
    def protocol_error(self) -> ProtocolError | None: ...
    @property
    def pause(self) -> str: ...


def instead(error: BaseException, guest: Witness, complaint: Callable[[], str]) -> Exception | None:
    """What to report of a test that ended in `error`, in view of its guest; None if that is to stand.

    After a protocol error nothing that was seen proves anything.  A guest that was paused accuses nobody.  And what a
    test stumbles over may be due to a splat, which `complaint` finds: a task that an oops has killed takes no orders.
    """
    if guest.protocol_error is not None:
        return None if error is guest.protocol_error else guest.protocol_error
    # Of what is no Exception, only pytest's own failures arrive here.
    if isinstance(error, (AssertionError, GuestBroke)) or not isinstance(error, Exception):
        paused = guest.pause
        return (
            HostPausedError(f"the test failed, but its guest was paused while it ran: {paused}") if paused else None
        )
    said = complaint()
    return GuestBroke(said) if said else None


def gather(pieces: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """Each piece under its title, or why it cannot be had; those that are empty are left out.  Raises nothing."""
    found = {}
    for title, tell in pieces.items():
        try:
            text = escaped(cut(tell(), LONGEST))
        except Exception as error:
            text = f"this could not be had: {type(error).__name__}: {printable(str(error))}"
        if text.strip():
            found[title] = text
    return found
