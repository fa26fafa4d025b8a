# SPDX-License-Identifier: GPL-2.0-or-later
"""How answers are altered for a replay, and how altered values are recognised in the orders that follow."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from guests.bpf import AUDIT_ARCH
from guests.protocol import wire
from guests.protocol.wire import State
from guests.reproducer.orders import Name

MOVE = 0x60000000
"""How far the tasks' memory is moved to see which numbers are addresses of it."""
_PROGRAM = range(0x40_0000, 0x80_0000)
"""Addresses of a static program."""
_SMALL, _NEGATIVE = 0xFFFF, 0xFFFF0000
"""Between them are 32-bit numbers that are neither small nor small and negative."""
_AUDIT_ARCHS = frozenset(AUDIT_ARCH.values())
_UPPER_HALVES = range(0x5000, 0x8000)
"""Upper 32 bits of the addresses of other programs, libraries and stacks."""


def mask(size: int) -> int:
    return (1 << (8 * (size or 8))) - 1


def shifted(old_value: int, new_value: int, name: str) -> Callable[[int, int, int], Name | None]:
    """Explains numbers that differ as the altered value does from the recorded one."""

    def explain(old: int, new: int, size: int) -> Name | None:
        limit = mask(size)
        if (new - old) & limit != (new_value - old_value) & limit:
            return None
        constant = (old - old_value) & limit
        if constant > limit >> 1:
            constant -= limit + 1
        return Name(name if not constant else f"{name} {'+' if constant > 0 else '-'} {abs(constant)}")

    return explain


def another(number: int, used: set[int] | frozenset[int] = frozenset()) -> int:
    """Another number with as many digits: it takes as much space in a text."""
    digits = len(str(number))
    low = int("1" + "0" * (digits - 1)) if digits > 1 else 0
    high = int("1" + "0" * digits)
    for other in chain(range(number + 1, min(high, number + 5000)), range(max(low, number - 5000), number)):
        if other not in used:
            return other
    return high


def renumbered_result(body: bytes, new: Mapping[int, int]) -> bytes:
    """The answer to a call, with other numbers of tasks as its value and as words of its buffers."""
    state, value, tail = wire.split_result(body)
    if state is State.RETURNED and value > 0:
        value = new.get(value, value)
    words = bytearray(tail)
    for at in range(0, len(words) - 3, 4):
        (word,) = struct.unpack_from("<I", words, at)
        if word in new:
            struct.pack_into("<I", words, at, new[word])
    return wire.RESULT.pack(value, state) + bytes(words)


def renumbered_text(body: bytes, new: Mapping[int, int]) -> bytes:
    """A text with other numbers of tasks."""

    def other(found: re.Match[bytes]) -> bytes:
        number = new.get(int(found[0])) if len(found[0]) < 10 else None
        return found[0] if number is None or found[0].startswith(b"0") else b"%d" % number

    return re.sub(rb"(?<![0-9a-fx])[0-9]+(?![0-9a-f])", other, body)


@contextlib.contextmanager
def moved_arena() -> Iterator[None]:
    """The tasks' memory is elsewhere for what the test sends."""
    before = wire.ARENA_BASE
    wire.ARENA_BASE = before + MOVE
    try:
        yield
    finally:
        wire.ARENA_BASE = before


def moved_addresses(body: bytes) -> bytes:
    """An answer in which addresses of the tasks' memory are moved as well."""
    words = bytearray(body)
    for at in range(wire.RESULT.size, len(words) - 7, 8):
        (word,) = struct.unpack_from("<Q", words, at)
        if in_arena(word):
            struct.pack_into("<Q", words, at, word + MOVE)
    return bytes(words)


def in_arena(number: int) -> bool:
    return 0 <= number - wire.ARENA_BASE < wire.SLOT_COUNT * wire.SLOT_SIZE


def address(old: int, new: int, size: int) -> Name | None:  # noqa: ARG001 (as the others that explain)
    """The name of an address of the tasks' memory."""
    if not in_arena(old) or new - old != MOVE:
        return None
    slot, offset = divmod(old - wire.ARENA_BASE, wire.SLOT_SIZE)
    offset -= wire.SLOT_DATA
    return Name(f"mem(@{slot}, {hex(offset) if offset >= 0 else offset})")


def cookies(body: bytes) -> dict[int, int]:
    """The 64-bit numbers in an answer that look random, such as the ids of notifications, by their offset."""
    found = {}
    for at in range(wire.RESULT.size, len(body) - 7, 8):
        (word,) = struct.unpack_from("<Q", body, at)
        halves = (word & 0xFFFFFFFF, word >> 32)
        if all(_SMALL < half < _NEGATIVE for half in halves) and not _AUDIT_ARCHS & set(halves):
            found[at] = word
    return found


def is_arbitrary(word: int, said_before: bytes) -> bool:
    """Whether a 32-bit number may be another one on another machine: it is large, and the test has not said it."""
    large = _SMALL < word < _NEGATIVE and word not in _AUDIT_ARCHS
    return large and word.to_bytes(4, "little") not in said_before


def addresses_of_code(body: bytes) -> Iterator[int]:
    """The words of an answer that are addresses of a static program."""
    for at in range(wire.RESULT.size, len(body) - 7, 8):
        (word,) = struct.unpack_from("<Q", body, at)
        if word in _PROGRAM:
            yield word


def may_be_pointer(content: bytes, at: int) -> bool:
    """Whether this byte is of a word that may be an address, which differs from one program to another."""
    start = at - at % 8
    (word,) = struct.unpack_from("<Q", content.ljust(start + 8, b"\0"), start)
    return word in _PROGRAM or in_arena(word) or word >> 32 in _UPPER_HALVES
