# SPDX-License-Identifier: GPL-2.0-or-later
"""What a failed test expected instead of what the kernel gave, where it compares more than an outcome.

Each part of each answer is altered, the latest first, until the test no longer fails as it did.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from guests.outcome import OK, Expected, error, returned
from guests.protocol import wire
from guests.protocol.wire import Op, State
from guests.reproducer.analysis import Analyst
from guests.reproducer.contents import LONGEST, with_names
from guests.reproducer.findings import ByteCheck, Check, LineCheck, Weight
from guests.reproducer.orders import Order
from guests.reproducer.replay_channel import Changes

_ERRORS = (1, 2, 3, 4, 9, 11, 12, 13, 14, 16, 17, 22, 38)
"""Errors that tests expect, from EPERM to ENOSYS."""


def find(analyst: Analyst) -> None:
    """Add the check that the kernel violated, if it can be found."""
    wanted = list(_flattened(analyst.found.baseline.compared))
    for order in reversed(analyst.found.orders.values()):
        body = analyst.answers.get(order.sequence)
        if body is None or order.op is Op.SPAWN or order.op is Op.HELLO:
            continue
        if order.op in (Op.CALL, Op.WRITE_FILE, Op.COPY) and _find_result(analyst, order, body, wanted):
            return
        if order.op in (Op.CALL, Op.PEEK) and _find_bytes(analyst, order, body, order.reads, wanted):
            return
        if order.op is Op.CAUGHT and not order.numbers[2] and _find_signal(analyst, order, body, wanted):
            return
        if order.op is Op.KERNEL_LOG and _find_line(analyst, order, body, wanted):
            return


def _flattened(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, (list, tuple, set, frozenset)):
            yield from _flattened(value)
        elif isinstance(value, dict):
            yield from _flattened([*value.keys(), *value.values()])
        else:
            yield value


def _changes_the_end(analyst: Analyst, order: Order, body: bytes) -> bool:
    """Whether the test gets further with this answer."""
    other, baseline = analyst.replay(Changes(answers={order.sequence: body})), analyst.found.baseline
    if other.ends_before(baseline):
        return False  # a comparison that was met has failed
    # Another text at the same place is the same comparison.
    elsewhere = other.places != baseline.places
    return other.verdict in ("passed", "diverged") or (other.verdict == "failed" and elsewhere)


def _find_result(analyst: Analyst, order: Order, body: bytes, wanted: list[object]) -> bool:
    state, value, tail = wire.split_result(body)
    numbers = [number for number in wanted if isinstance(number, int) and not isinstance(number, bool)]
    candidates = [0, *numbers, *(-number for number in numbers if 0 < number < 4096), *(-one for one in _ERRORS)]
    for candidate in dict.fromkeys(candidates):
        if (state is State.RETURNED and candidate == value) or not -(1 << 63) <= candidate < 1 << 63:
            continue
        if _changes_the_end(analyst, order, wire.RESULT.pack(candidate, State.RETURNED) + tail):
            expected: Expected = error(-candidate) if -4096 < candidate < 0 else returned(candidate)
            if candidate == 0 and value < 0:
                expected = OK
            analyst.found.checks[order.sequence] = Check(Weight.EXPECT, expected, violated=True)
            return True
    return False


def _find_bytes(
    analyst: Analyst, order: Order, body: bytes, pieces: Iterable[tuple[int, int]], wanted: list[object]
) -> bool:
    at = wire.RESULT.size
    for index, (_, length) in enumerate(pieces):
        if length and at + length <= len(body) and _find_in(analyst, order, body, index, at, length, wanted):
            return True
        at += length
    return False


def _find_in(
    analyst: Analyst, order: Order, body: bytes, index: int, at: int, length: int, wanted: list[object]
) -> bool:
    """Whether another content of this buffer changes the end; the check is added then."""
    if length > LONGEST or not _depends(analyst, order, body, at, length):
        return False
    checks = analyst.found.byte_checks.setdefault(order.sequence, [])
    for value in wanted:
        for offset, content in _contents(value, length):
            old = body[at + offset : at + offset + len(content)]
            new = body[: at + offset] + content + body[at + offset + len(content) :]
            if old != content and _changes_the_end(analyst, order, new):
                checks.append(ByteCheck(Weight.EXPECT, index, offset, content, violated=True))
                return True
    for offset in range(length):
        byte = body[at + offset]
        if _depends(analyst, order, body, at + offset, 1):
            checks.append(ByteCheck(Weight.EXPECT, index, offset, bytes([byte]), violated=True, wrong=True))
            return True
    return False


def _contents(value: object, length: int) -> Iterator[tuple[int, bytes]]:
    """Where this value could be in a buffer, and how it looks there."""
    if isinstance(value, bytes) and len(value) <= length:
        yield 0, value
    elif isinstance(value, str) and len(value) <= length:
        yield 0, value.encode()
    elif isinstance(value, int):
        for code in ("<I", "<i", "<Q", "<q", "<H", "B"):
            size = struct.calcsize(code)
            try:
                content = struct.pack(code, value)
            except struct.error:
                continue
            yield from ((offset, content) for offset in range(0, length - size + 1, size))


def _depends(analyst: Analyst, order: Order, body: bytes, at: int, length: int) -> bool:
    """Whether the failure is another one, not before it, or none, if these bytes are others."""
    for bits in (0xFF, 0x01):
        new = body[:at] + bytes(byte ^ bits for byte in body[at : at + length]) + body[at + length :]
        other, baseline = analyst.replay(Changes(answers={order.sequence: new})), analyst.found.baseline
        if not other.ends_before(baseline) and (not other.ends_like(baseline) or other.text != baseline.text):
            return True
    return False


def _find_signal(analyst: Analyst, order: Order, body: bytes, wanted: list[object]) -> bool:
    _, count, tail = wire.split_result(body)
    for other in (count + 1, count - 1, 1, 0):
        if 0 <= other <= wire.CAUGHT_MAX and other != count:
            new = tail.ljust(other * wire.CAUGHT.size, b"\0")[: other * wire.CAUGHT.size]
            if _changes_the_end(analyst, order, wire.RESULT.pack(other, State.RETURNED) + new):
                analyst.found.counts[order.sequence] = Check(Weight.EXPECT, returned(other), violated=True)
                return True
    pieces = [(0, wire.CAUGHT.size)] * min(count, wire.CAUGHT_MAX)
    return _find_bytes(analyst, order, body, pieces, wanted)


def _find_line(analyst: Analyst, order: Order, body: bytes, wanted: list[object]) -> bool:
    """A line that the test misses: one of those that it compares with."""
    for line in wanted:
        if not isinstance(line, str) or not line:
            continue
        record = b"5,999999,999999999,-;" + line.encode() + b"\n"
        for new in (body + record, record):
            if _changes_the_end(analyst, order, new):
                check = LineCheck(Weight.EXPECT, with_names(analyst, line), present=True, violated=True)
                analyst.found.line_checks.setdefault(order.sequence, []).append(check)
                return True
    return False
