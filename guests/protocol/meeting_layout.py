# SPDX-License-Identifier: GPL-2.0-or-later
"""A meeting of plans, as it lies in the data of a slot: struct wire_meeting in `agent/wire.h`.  Pure, like `wire`."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence

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


WATCH = struct.Struct("<IIIxxxx")
GATE = struct.Struct("<IIII")
OUTCOME = struct.Struct(f"<II{MEETING_WATCHED}q")
MEETING = struct.Struct("<IIIIIIQIxxxx")
"""Without the gates, watches and outcomes, which follow."""


def meeting_body(*, seed: int, longest: int, watches: Sequence[tuple[int, Watched, int]]) -> bytes:
    """A meeting before its first round.  A watch is a slot, what is noted of it, and a step or an offset."""
    packed = b"".join(WATCH.pack(*watch) for watch in watches).ljust(MEETING_WATCHED * WATCH.size, b"\0")
    head = MEETING.pack(0, 0, 0, 0, 0, len(watches), seed & (1 << 64) - 1, longest)
    return head + bytes(MEETING_GATES * GATE.size) + packed + bytes(MEETING_OUTCOMES * OUTCOME.size)


MEETING_SIZE = len(meeting_body(seed=0, longest=0, watches=()))


def split_meeting(body: bytes, watched: int) -> tuple[int, int, int, dict[tuple[int, ...], tuple[int, int]]]:
    """Of a meeting: its rounds, those with an overlap, those whose outcome found no room, and its outcomes.

    Of each outcome, how often it occurred, and in which round first.
    """
    if len(body) != MEETING_SIZE:
        raise ProtocolError(f"a meeting has {len(body)} bytes instead of {MEETING_SIZE}")
    _, _, rounds, overlaps, lost, _, _, _ = MEETING.unpack_from(body)
    rows = [row for row in OUTCOME.iter_unpack(body[-MEETING_OUTCOMES * OUTCOME.size :]) if row[0]]
    found = {tuple(results[:watched]): (count, first) for count, first, *results in rows}
    if len(found) != len(rows) or sum(count for count, _ in found.values()) + lost != rounds:
        raise ProtocolError(f"a meeting of {rounds} rounds has counted other ones, or the same twice")
    return rounds, overlaps, lost, found
