# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders as a script contains them: decoded, and with names for values that came from earlier answers."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from guests.protocol import wire
from guests.protocol.record import Sent
from guests.protocol.wire import Op

_DIGITS = re.compile(rb"[0-9]+")


class CannotReproduce(Exception):
    """No reproducer can be made of this test; the message says why."""


@dataclass(frozen=True)
class Name:
    """A value that is only known when the reproducer runs, as an expression in C."""

    expression: str


@dataclass(frozen=True)
class Patch:
    """A place in a piece of memory or text that contains a named value.

    form: `u32` or `u64`, or `text` for decimal digits, of which there were `length`.
    """

    offset: int
    length: int
    form: str
    name: Name


@dataclass(frozen=True)
class NamedContent:
    """Bytes, in which some places have names instead of their values."""

    content: bytes
    patches: tuple[Patch, ...] = ()

    def with_patches(self, more: list[Patch]) -> NamedContent:
        return replace(self, patches=tuple(sorted({*self.patches, *more}, key=lambda patch: patch.offset)))


@dataclass(frozen=True)
class Order:
    """A request of the host, with its numbers and its pieces of memory or text apart.

    CALL: the six arguments, and pieces at offsets of the task's memory.  POKE: one piece.  WRITE_FILE and READ_FILE:
    path and data.  COPY: to, from, length.
    """

    op: Op
    slot: int
    sequence: int
    numbers: tuple[int | Name, ...] = ()
    offsets: tuple[int, ...] = ()
    contents: tuple[NamedContent, ...] = ()
    number: int = 0
    """Of the system call."""
    entry: int = 0
    reads: tuple[tuple[int, int], ...] = ()
    flags: int = 0
    mode: int = 0
    body: bytes = field(default=b"", repr=False)

    def place_of(self, offset: int) -> tuple[int, int] | None:
        """The buffer, and the offset in it, of a 64-bit number in the answer's tail; None if it is in no buffer."""
        for index, (_, length) in enumerate(self.reads):
            if offset < length:
                return (index, offset) if offset + 8 <= length else None
            offset -= length
        return None


def decode(sent: Sent) -> Order:
    order = Order(sent.op, sent.slot, sent.sequence, body=sent.body)
    match sent.op:
        case Op.CALL:
            return _decode_call(order, sent.body)
        case Op.POKE:
            offset, length = wire.PIECE.unpack_from(sent.body)
            content = sent.body[wire.PIECE.size :][:length]
            return replace(order, offsets=(offset,), contents=(NamedContent(content),))
        case Op.COPY:
            return replace(order, numbers=wire.COPY.unpack(sent.body))
        case Op.PEEK:
            return replace(order, reads=(wire.PIECE.unpack(sent.body),))
        case Op.READ_FILE:
            return replace(order, contents=(NamedContent(sent.body[:-1]),))
        case Op.WRITE_FILE:
            flags, mode = wire.WRITE.unpack_from(sent.body)
            path, _, data = sent.body[wire.WRITE.size :].partition(b"\0")
            return replace(order, flags=flags, mode=mode, contents=(NamedContent(path), NamedContent(data)))
        case Op.SPAWN:
            return replace(order, numbers=wire.SPAWN.unpack(sent.body)[:-1])
        case Op.CAUGHT:
            return replace(order, numbers=wire.HANDLER.unpack(sent.body))
    return order


def _decode_call(order: Order, body: bytes) -> Order:
    number, *arguments, entry, writes, reads = wire.CALL.unpack_from(body)
    at = wire.CALL.size
    offsets, contents = [], []
    for _ in range(writes):
        offset, length = wire.PIECE.unpack_from(body, at)
        at += wire.PIECE.size
        offsets.append(offset)
        contents.append(NamedContent(body[at : at + length]))
        at += length
    wanted = tuple(wire.PIECE.unpack_from(body, at + wire.PIECE.size * i) for i in range(reads))
    return replace(
        order,
        numbers=tuple(arguments),
        offsets=tuple(offsets),
        contents=tuple(contents),
        number=number,
        entry=entry,
        reads=wanted,
    )


Explain = Callable[[int, int, int], Name | None]
"""Takes a number of the record, the same in the altered replay, and its size in bytes; returns its name."""


def named(order: Order, old: Sent, new: Sent, explain: Explain) -> Order:
    """The order with names where the altered replay has other values.  CannotReproduce if a place has no name."""
    if old.body == new.body:
        return order
    before, after = decode(old), decode(new)
    shape = (len(before.numbers), before.offsets, [len(one.content) for one in before.contents])
    if shape != (len(after.numbers), after.offsets, [len(one.content) for one in after.contents]):
        raise CannotReproduce("the layout of a call's arguments depends on the result of an earlier call")
    numbers = list(order.numbers)
    for place, (one, other) in enumerate(zip(before.numbers, after.numbers, strict=True)):
        if one != other and isinstance(one, int) and isinstance(other, int):
            numbers[place] = _explained(explain, one, other, 8)
    contents = [
        content.with_patches(_patches(one.content, other.content, explain))
        for content, one, other in zip(order.contents, before.contents, after.contents, strict=True)
    ]
    return replace(order, numbers=tuple(numbers), contents=tuple(contents))


def named_text(old: str, new: str, explain: Explain) -> NamedContent:
    """A text with names where the altered replay has other numbers."""
    one, other = old.encode(), new.encode()
    if len(one) != len(other):
        raise CannotReproduce("the length of a text depends on the result of an earlier call")
    return NamedContent(one).with_patches(_patches(one, other, explain))


def _explained(explain: Explain, old: int, new: int, size: int) -> Name:
    if (name := explain(old, new, size)) is None:
        raise CannotReproduce("an argument is computed from the result of an earlier call")
    return name


def _patches(old: bytes, new: bytes, explain: Explain) -> list[Patch]:
    found: list[Patch] = []
    at = 0
    while at < len(old):
        if old[at] == new[at]:
            at += 1
            continue
        patch = _text_patch(old, new, at, explain) or _binary_patch(old, new, at, explain)
        if patch is None:
            raise CannotReproduce("the content of a buffer is computed from the result of an earlier call")
        found.append(patch)
        at = patch.offset + patch.length
    return found


def _text_patch(old: bytes, new: bytes, at: int, explain: Explain) -> Patch | None:
    for one in _DIGITS.finditer(old):
        if one.start() <= at < one.end():
            other = _DIGITS.match(new, one.start())
            if other is None or other.end() != one.end():
                return None
            name = explain(int(one[0]), int(other[0]), 0)
            return Patch(one.start(), len(one[0]), "text", name) if name else None
    return None


def _binary_patch(old: bytes, new: bytes, at: int, explain: Explain) -> Patch | None:
    for size, form, code in ((8, "u64", "<Q"), (4, "u32", "<I")):
        start = at - at % size
        if start + size <= len(old):
            one, other = struct.unpack_from(code, old, start)[0], struct.unpack_from(code, new, start)[0]
            if name := explain(one, other, size):
                return Patch(start, size, form, name)
    return None
