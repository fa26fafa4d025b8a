# SPDX-License-Identifier: GPL-2.0-or-later
"""A meeting of plans, as it lies in the data of a slot: struct wire_meeting in `agent/wire.h`.  Pure, like `wire`.

It has the byte order of the tasks, unlike the frames.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from guests.abi import Abi, size_of
from guests.errors import ProtocolError

MEETING_GATES = 16
MEETING_WATCHED = 12
MEETING_OUTCOMES = 64
NOT_COMPLETED = -(1 << 63)
"""The value of a step that its plan has not completed."""


class Watched(enum.IntEnum):
    """What a meeting notes of a step's value, or of memory."""

    ERROR = 0
    """0 if the step succeeded, or the negative error."""
    SIGN = 1
    """The same; 1 if the value is above 0."""
    VALUE = 2
    WORD = 3
    """Not a step's value, but 32 bits of memory."""


# Formats, without a byte order.
WATCH = "IIIxxxx"
GATE = "IIII"
OUTCOME = f"II{MEETING_WATCHED}q"
MEETING = "IIIIIIQIxxxx"
"""Without the gates, watches and outcomes, which follow."""


_WATCHES_SIZE = MEETING_WATCHED * size_of(WATCH)
_OUTCOMES_SIZE = MEETING_OUTCOMES * size_of(OUTCOME)
MEETING_SIZE = size_of(MEETING) + MEETING_GATES * size_of(GATE) + _WATCHES_SIZE + _OUTCOMES_SIZE


def meeting_body(abi: Abi, *, seed: int, longest: int, watches: Sequence[tuple[int, Watched, int]]) -> bytes:
    """A meeting before its first round.  A watch is a slot, what is noted of it, and a step or an offset."""
    packed = b"".join(abi.pack(WATCH, *watch) for watch in watches).ljust(_WATCHES_SIZE, b"\0")
    head = abi.pack(MEETING, 0, 0, 0, 0, 0, len(watches), seed & (1 << 64) - 1, longest)
    return head + bytes(MEETING_GATES * size_of(GATE)) + packed + bytes(_OUTCOMES_SIZE)


def split_meeting(
    abi: Abi, body: bytes, watched: int
) -> tuple[int, int, int, dict[tuple[int, ...], tuple[int, int]]]:
    """Of a meeting: its rounds, those with an overlap, those whose outcome found no room, and its outcomes.

    Of each outcome, how often it occurred, and in which round first.
    """
    if len(body) != MEETING_SIZE:
        raise ProtocolError(f"a meeting has {len(body)} bytes instead of {MEETING_SIZE}")
    _, _, rounds, overlaps, lost, _, _, _ = abi.unpack_from(MEETING, body)
    rows = [row for row in abi.layout(OUTCOME).iter_unpack(body[-_OUTCOMES_SIZE:]) if row[0]]
    found = {tuple(results[:watched]): (count, first) for count, first, *results in rows}
    if len(found) != len(rows) or sum(count for count, _ in found.values()) + lost != rounds:
        raise ProtocolError(f"a meeting of {rounds} rounds has counted other ones, or the same twice")
    return rounds, overlaps, lost, found
