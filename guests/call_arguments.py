# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments of a call: numbers as they are, and everything else through the task's own memory."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from common.text import printable
from guests.protocol import wire


class HasPid(Protocol):
    """A task as an argument stands for its number."""

    @property
    def tid(self) -> int: ...


@dataclass(frozen=True)
class Out:
    """A buffer of so many bytes for the call to fill; the outcome has its content."""

    length: int


@dataclass(frozen=True)
class InOut:
    """A buffer that the call reads and writes; the outcome has its content."""

    content: bytes


Argument = int | bytes | str | None | Out | InOut | HasPid
"""What a test may pass: bytes and str become pointers (a str gets its NUL), None is 0."""


@dataclass
class Marshalled:
    """Six numbers at most, the pieces to write before and to read after, and how a person would write it."""

    numbers: list[int] = field(default_factory=list)
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


def marshal(slot: int, arguments: Sequence[Argument], *, start: int = 0) -> Marshalled:
    """Lay the arguments out in a slot's data from offset `start` on."""
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
            # Cleared, so that what is read back is the call's and not an earlier one's.
            content, length = bytes(argument.length), argument.length
        if content is None:
            done.numbers.append(_number(argument))
        else:
            if offset + len(content) > wire.SLOT_DATA_SIZE:
                raise ValueError(f"arguments of more than {wire.SLOT_DATA_SIZE} bytes")
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
    """The argument as a transcript has it."""
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
