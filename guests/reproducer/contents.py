# SPDX-License-Identifier: GPL-2.0-or-later
"""The content of answers beyond a result: buffers, caught signals, lines of the log."""

from __future__ import annotations

import struct

from guests.outcome import returned
from guests.protocol import wire
from guests.protocol.wire import Op, State
from guests.reproducer import alterations
from guests.reproducer.alterations import is_arbitrary, may_be_pointer, renumbered_text
from guests.reproducer.analysis import Analyst
from guests.reproducer.findings import ByteCheck, Check, LineCheck, Weight
from guests.reproducer.orders import NamedContent, Order, named_text
from guests.reproducer.replay_channel import Changes, Replayed

_INSTRUCTION = 16
"""Maximum length in bytes of an instruction, with which an address may differ from that of the next one."""
LONGEST = 4096
"""Maximum length of a buffer that is looked into."""


class ContentAnalyst:
    """Finds the words that go into later orders, and the bytes and lines that are checked."""

    def __init__(self, analyst: Analyst) -> None:
        self._analyst = analyst
        addresses = {address for body in analyst.answers.values() for address in alterations.addresses_of_code(body)}
        self._parts = {part for address in addresses for part in (address, address & 0xFFFF)}

    def look(self) -> None:
        for order in list(self._analyst.found.orders.values()):
            body = self._analyst.answers.get(order.sequence)
            if body is None:
                continue
            if order.op in (Op.CALL, Op.PEEK) and order.reads:
                self._look_at_buffers(order, body)
            elif order.op is Op.CAUGHT:
                self._look_at_signals(order, body)
            elif order.op is Op.KERNEL_LOG and body:
                self._look_at_lines(order, body)

    def _altered(self, order: Order, body: bytes, at: int, new: bytes) -> Replayed:
        changed = body[:at] + new + body[at + len(new) :]
        return self._analyst.replay(Changes(answers={order.sequence: changed}))

    def _fails_there(self, changed: Replayed) -> bool:
        """Whether the comparison that failed still does: what it compares is no promise that was kept."""
        baseline = self._analyst.found.baseline
        return changed.verdict == baseline.verdict == "failed" and changed.places == baseline.places

    # Buffers

    def _look_at_buffers(self, order: Order, body: bytes) -> None:
        state, value, _ = wire.split_result(body)
        if state is not State.RETURNED or value < 0:
            return
        at = wire.RESULT.size
        for index, (_, length) in enumerate(order.reads):
            if length and self._matters(order, body, at, length):
                self._look_into(order, body, index, at, length)
            at += length

    def _matters(self, order: Order, body: bytes, at: int, length: int) -> bool:
        for bits in (0xFF, 0x01):
            changed = self._altered(order, body, at, bytes(byte ^ bits for byte in body[at : at + length]))
            if not self._analyst.same_end(changed) or self._analyst.flows(changed):
                return True
        return False

    def _look_into(self, order: Order, body: bytes, index: int, at: int, length: int) -> None:
        for offset in range(0, min(length, LONGEST), 4):
            size = min(4, length - offset)
            if (order.sequence, index, offset - offset % 8) in self._analyst.cookies:
                continue
            old = body[at + offset : at + offset + size]
            changed = self._altered(order, body, at + offset, bytes([old[0] ^ 1, *old[1:]]))
            if self._analyst.same_end(changed):
                if size == 4 and self._analyst.flows(changed):
                    value = struct.unpack("<I", old)[0]
                    self._analyst.name_flow(changed, value, value ^ 1, f"word_{order.sequence}_{index}_{offset}")
                continue
            self._check_bytes(order, body, index, at, offset, size)

    def _check_bytes(self, order: Order, body: bytes, index: int, at: int, offset: int, size: int) -> None:
        """Check those bytes of a word that the test compares with exactly this value."""
        checks = self._analyst.found.byte_checks.setdefault(order.sequence, [])
        word = struct.unpack("<I", body[at + offset : at + offset + 4])[0] if size == 4 else 0
        if self._is_of_a_program(word) or is_arbitrary(word, self._said_before(order)):
            return
        task = next((name for (old, _), name in self._analyst.tasks.items() if old == word), None)
        for place in range(offset, offset + size):
            byte = body[at + place]
            others = [self._altered(order, body, at + place, bytes([byte ^ bits])) for bits in (1, 2, 0x80, 0xFF)]
            if any(self._analyst.same_end(other) or self._fails_there(other) for other in others):
                continue
            if may_be_pointer(body[at:], place):
                continue
            weight = Weight.EXPECT if all(other.verdict == "failed" for other in others) else Weight.NEED
            if task is not None and self._analyst.renumbered and word > 1:
                checks.append(ByteCheck(weight, index, offset, b"", name=task))
                return
            checks.append(ByteCheck(weight, index, place, bytes([byte])))

    def _said_before(self, order: Order) -> bytes:
        """All that the test has sent before this answer."""
        return b"".join(one.body for one in self._analyst.found.orders.values() if one.sequence <= order.sequence)

    def _is_of_a_program(self, word: int) -> bool:
        """Whether the number is part of an address of code that another answer contains."""
        return word > 1 and any(abs(word - part) <= _INSTRUCTION for part in self._parts)

    # Caught signals

    def _look_at_signals(self, order: Order, body: bytes) -> None:
        _, count, tail = wire.split_result(body)
        if order.numbers[2] or count > wire.CAUGHT_MAX:
            return
        more = wire.RESULT.pack(count + 1, State.RETURNED) + tail + bytes(wire.CAUGHT.size)
        changed = self._analyst.replay(Changes(answers={order.sequence: more}))
        if not self._analyst.same_end(changed):
            weight = Weight.EXPECT if changed.verdict == "failed" else Weight.NEED
            self._analyst.found.counts[order.sequence] = Check(weight, returned(count))
        for index in range(count):
            at = wire.RESULT.size + index * wire.CAUGHT.size
            if self._matters(order, body, at, wire.CAUGHT.size):
                self._look_into(order, body, index, at, wire.CAUGHT.size)

    # The log

    def _look_at_lines(self, order: Order, body: bytes) -> None:
        """Check the lines that the test misses if they are not there; and the one that is too much, if it failed."""
        lines = body.splitlines(keepends=True)
        found = self._analyst.found.line_checks
        for index, line in enumerate(lines):
            _, separator, text = line.rstrip(b"\n").partition(b";")
            if not separator:
                continue
            changed = self._analyst.replay(
                Changes(answers={order.sequence: b"".join([*lines[:index], *lines[index + 1 :]])})
            )
            if self._analyst.same_end(changed) or self._fails_there(changed):
                continue
            named = with_names(self._analyst, text.decode(errors="replace"))
            if changed.verdict == "passed" and self._analyst.found.baseline.verdict == "failed":
                check = LineCheck(Weight.EXPECT, named, present=False, violated=True)
            else:
                weight = Weight.EXPECT if changed.verdict == "failed" else Weight.NEED
                check = LineCheck(weight, named, present=True)
            found.setdefault(order.sequence, []).append(check)


def with_names(analyst: Analyst, line: str) -> NamedContent:
    """A line with names in place of the numbers of tasks."""
    new = {old: other for old, other in analyst.tasks if old > 1}
    return named_text(line, renumbered_text(line.encode(), new).decode(), analyst.explain_task)
