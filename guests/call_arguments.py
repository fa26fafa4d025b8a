# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments of a call: numbers are passed directly, everything else in the task's memory."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from common.text import printable
from guests.protocol import wire


class HasPid(Protocol):
    """A task, which as an argument stands for its TID."""

    @property
    def tid(self) -> int: ...


@dataclass(frozen=True)
class Out:
    """A buffer of `length` bytes for the call to fill; the outcome contains its content."""

    length: int


@dataclass(frozen=True)
class InOut:
    """A buffer that the call reads and writes; the outcome contains its content."""

    content: bytes


Argument = int | bytes | str | None | Out | InOut | HasPid
"""What a test may pass: bytes and str become pointers (a NUL is appended to a str), None becomes 0."""


@dataclass
class Marshalled:
    """At most six numbers, the pieces of memory to write before and to read after the call, and a readable form."""

    numbers: list[int] = field(default_factory=list)
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    @property
    def read_lengths(self) -> tuple[int, ...]:
        return tuple(length for _, length in self.reads)


def marshal(slot: int, arguments: Sequence[Argument], *, start: int = 0) -> Marshalled:
    """Place the arguments in a slot's data, from offset `start` on."""
    done = Marshalled()
    offset = start
    for argument in arguments:
        content: bytes | None = None
        length: int | None = None
        if isinstance(argument, str):
            content = argument.encode() + b"\0"
        elif isinstance(argument, bytes):
            content = argument
        elif isinstance(argument, InOut):
            content, length = argument.content, len(argument.content)
        elif isinstance(argument, Out):
            # Clear it, so that the content read back cannot be an earlier call's.
            content, length = bytes(argument.length), argument.length
        if content is None:
            done.numbers.append(_number(argument))
        else:
            if offset + len(content) > wire.SLOT_DATA_SIZE:
                raise ValueError(f"the arguments take more than {wire.SLOT_DATA_SIZE} bytes")
            done.numbers.append(wire.data_address(slot, offset))
            done.writes.append((offset, content))
            if length is not None:
                done.reads.append((offset, length))
            offset += -(-len(content) // 16) * 16
        done.shown.append(show(argument))
    return done


def _number(argument: Argument) -> int:
    if argument is None:
        return 0
    if isinstance(argument, int):
        return int(argument)
    if isinstance(argument, str | bytes | Out | InOut):
        raise TypeError(f"{argument!r} is laid out in memory, and not passed as a number")
    return argument.tid


def show(argument: Argument) -> str:
    """The argument as the transcript shows it."""
    if isinstance(argument, enum.Flag):
        return argument.name or hex(argument.value)
    if isinstance(argument, enum.Enum):
        return f"{type(argument).__name__.upper()}_{argument.name}"
    if isinstance(argument, bool) or argument is None:
        return {None: "NULL", True: "1", False: "0"}[argument]
    if isinstance(argument, int):
        return str(argument) if -4096 < argument < 65536 else hex(argument & ((1 << 64) - 1))
    if isinstance(argument, str):
        return f'"{printable(argument)}"'
    if isinstance(argument, bytes):
        return f"{argument!r}" if len(argument) <= 32 else f"{len(argument)} bytes"
    if isinstance(argument, Out):
        return f"out[{argument.length}]"
    if isinstance(argument, InOut):
        return f"inout[{len(argument.content)}]"
    return str(argument)
