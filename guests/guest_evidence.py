# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's evidence for the report, which is gathered in any state of the guest, and limited in size.

This module also decides whether a test's failure can be trusted, in view of the state of its guest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from common.text import printable
from guests.errors import GuestBroke, HostPausedError, KconformError, ProtocolError
from guests.guest_text import cut, escaped

LONGEST = 1 << 20
"""Maximum number of characters of one piece of evidence."""


class GuestState(Protocol):
    """The state of a guest that decides whether a failure is its kernel's fault."""

    @property
    def protocol_error(self) -> ProtocolError | None: ...
    @property
    def pause(self) -> str: ...


def replacement(error: BaseException, guest: GuestState, complaint: Callable[[], str]) -> Exception | None:
    """The exception to report instead of `error`, with which a test ended; None to report `error` itself.

    After a protocol error, no result proves anything.  If the guest was paused, a failure is not the kernel's fault.
    A harness error may be due to a splat, which `complaint` finds: a task that an oops killed takes no orders.
    """
    if guest.protocol_error is not None:
        return None if error is guest.protocol_error else guest.protocol_error
    # The only exceptions here that are not derived from Exception are pytest's own failures.
    if isinstance(error, (AssertionError, GuestBroke)) or not isinstance(error, Exception):
        paused = guest.pause
        return (
            HostPausedError(f"the test failed, but its guest was paused while it ran: {paused}") if paused else None
        )
    try:
        found = complaint()
    except KconformError:
        # The first error says what happened; this one, that the guest could not be asked.
        return None
    return GuestBroke(found) if found else None


def gather(pieces: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """Each piece by its title, or why it is not available; empty pieces are omitted.  Raises nothing."""
    found = {}
    for title, read in pieces.items():
        try:
            text = escaped(cut(read(), LONGEST))
        except Exception as error:
            text = f"not available: {type(error).__name__}: {printable(str(error))}"
        if text.strip():
            found[title] = text
    return found
