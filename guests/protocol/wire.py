# SPDX-License-Identifier: GPL-2.0-or-later
"""The frames between host and agent, as bytes and as values.  Pure: this module sends nothing.

Frames are little-endian, whatever the guest.  What they carry for a task's memory is in the byte order of its ABI.

Any bytes that a guest sends can either be decoded or raise a ProtocolError.

The agent's side is `agent/wire.h`, which has the same names; a test compares the two.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from guests.errors import ProtocolError
from guests.guest_text import escaped

VERSION = 7
BODY_MAX = 0x40000
"""Maximum size in bytes of a frame's body."""
ARENA_BASE = 0x10000000
SLOT_SIZE = 0x20000
SLOT_COUNT = 512
SPARE_CHILDREN = 4
SLOT_DATA = 0x2000
SLOT_DATA_SIZE = 0x16000
READS_MAX = 16
CAUGHT_MAX = 8
PLAN_STEPS = 16
PLAN_ERRORS = 8
SWEEP_COUNT = 1024
SWEEP_LEFT_OUT = 64
SWEEP_LARGE = 0x7FFF
_MASK = (1 << 64) - 1


class Op(enum.IntEnum):
    HELLO = 1
    SPAWN = 2
    CALL = 3
    PEEK = 4
    POKE = 5
    COPY = 6
    READ_FILE = 7
    WRITE_FILE = 8
    KERNEL_LOG = 9
    QUIET = 10
    CAUGHT = 11
    PLAN = 12
    RUN_PLAN = 13
    COUNTS = 14
    SWEEP = 15
    TAINT = 16


class Event(enum.IntEnum):
    DEATH = 64


class Entry(enum.IntEnum):
    """How a call enters the kernel; an x32 call is a native one with bit 30 set in its number."""

    NATIVE = 0
    INT80 = 1
    VSYSCALL = 2
    RDTSC = 3
    VDSO = 4
    """Of i386 tasks: the vDSO's __kernel_vsyscall, which uses the processor's fastest instruction."""
    SYSENTER = 5
    """Of i386 tasks, like SYSCALL32: the instruction with the sixth argument as stack pointer; does not return."""
    SYSCALL32 = 6


class State(enum.IntEnum):
    RETURNED = 0
    DIED = 1
    GONE = 2
    REFUSED = 3


class Step(enum.IntEnum):
    """The kinds of steps of a plan."""

    CALL = 0
    CHILD = 1
    JOIN = 2
    MEET = 3
    TALLY = 4
    TAKE = 5
    COPY = 6
    GO = 7


class SpawnOption(enum.IntFlag):
    BARE = 1
    CREDENTIALS = 2
    DUMPABLE = 4
    QUIET = 8


HEADER = struct.Struct("<IHHIII")
_CHECKED = struct.Struct("<IHHII")
"""The header without its last field, the checksum of the other fields."""
HELLO = struct.Struct("<IIQQ65s65s6x")
SPAWN = struct.Struct("<QQIIII16s")
SPAWN_REPLY = struct.Struct("<iii")
CALL = struct.Struct("<Q6QHHHxx")
RESULT = struct.Struct("<qI4x")
PIECE = struct.Struct("<II")
COPY = struct.Struct("<QQQ")
HANDLER = struct.Struct("<qII")
WRITE = struct.Struct("<II")
DEATH = struct.Struct("<iI")
CAUGHT = struct.Struct("<128s320s")
PLAN_STEP = struct.Struct("<Q6QHHHxx")
PLAN = struct.Struct("<II")
COUNT = struct.Struct("<II")
SWEEP = struct.Struct("<6QIIHHxxxx")


@dataclass(frozen=True)
class Frame:
    op: int
    slot: int
    sequence: int
    body: bytes = b""

    def encode(self) -> bytes:
        if len(self.body) > BODY_MAX:
            raise ValueError(f"a frame's body has at most {BODY_MAX} bytes, but this one has {len(self.body)}")
        return header(len(self.body), self.op, self.slot, self.sequence, zlib.crc32(self.body)) + self.body


def header(length: int, op: int, slot: int, sequence: int, body_check: int) -> bytes:
    """A frame's header, with its own checksum."""
    checked = _CHECKED.pack(length, op, slot, sequence, body_check)
    return checked + zlib.crc32(checked).to_bytes(4, "little")


def split(buffer: bytearray) -> Frame | None:
    """Remove the first complete frame from the buffer, and return it; None if there is none yet.

    Header and body have separate checksums, so that a wrong length is detected before any wait for the body.
    """
    if len(buffer) < HEADER.size:
        return None
    length, op, slot, sequence, body_check, check = HEADER.unpack_from(buffer)
    if check != zlib.crc32(buffer[: _CHECKED.size]):
        raise ProtocolError("the header of a frame does not match its checksum")
    if length > BODY_MAX:
        raise ProtocolError(f"a frame claims a body of {length} bytes, but the maximum is {BODY_MAX}")
    end = HEADER.size + length
    if len(buffer) < end:
        return None
    body = bytes(buffer[HEADER.size : end])
    if body_check != zlib.crc32(body):
        raise ProtocolError("the body of a frame does not match its checksum")
    del buffer[:end]
    return Frame(op, slot, sequence, body)


@dataclass(frozen=True)
class Hello:
    """The agent's first answer: its version, the addresses of its signal handler, and uname's fields."""

    version: int
    page_size: int
    signal_handler: int
    signal_restorer: int
    release: str
    machine: str

    @classmethod
    def decode(cls, body: bytes) -> Hello:
        version, page, handler, restorer, release, machine = _unpack(HELLO, body, "the agent's first answer")
        return cls(version, page, handler, restorer, _text(release), _text(machine))


def _text(field: bytes) -> str:
    return escaped(field.split(b"\0", 1)[0].decode(errors="backslashreplace"))


def _unpack(form: struct.Struct, body: bytes, what: str) -> tuple[Any, ...]:
    if len(body) != form.size:
        raise ProtocolError(f"{what} has {len(body)} bytes instead of {form.size}")
    return form.unpack(body)


def _state(number: int) -> State:
    try:
        return State(number)
    except ValueError:
        raise ProtocolError(f"there is no state {number} of a task or call") from None


def spawn_body(
    *, child: int, clone_flags: int, name: bytes, uid: int, gid: int, capabilities: int, options: SpawnOption
) -> bytes:
    return SPAWN.pack(clone_flags, capabilities, uid, gid, options, child, name[:15])


def six(arguments: Sequence[int]) -> list[int]:
    """The arguments of a call as frames contain them: six unsigned 64-bit numbers."""
    return [argument & _MASK for argument in arguments] + [0] * (6 - len(arguments))


def call_body(
    number: int,
    arguments: Sequence[int],
    *,
    entry: Entry = Entry.NATIVE,
    writes: Sequence[tuple[int, bytes]] = (),
    reads: Sequence[tuple[int, int]] = (),
) -> bytes:
    """`writes`: (offset, bytes) to write to the task's memory first; `reads`: (offset, length) to read afterwards."""
    parts = [CALL.pack(number & _MASK, *six(arguments), entry, len(writes), len(reads))]
    for offset, piece in writes:
        parts += [PIECE.pack(offset, len(piece)), piece]
    parts += [PIECE.pack(offset, length) for offset, length in reads]
    return b"".join(parts)


def split_spawn_reply(body: bytes) -> tuple[int, int, int]:
    """The error (0 or negative), and the new task's number in the initial pid namespace and in its own namespace."""
    error, tid, own_tid = _unpack(SPAWN_REPLY, body, "the answer to a spawn")
    if not -4095 <= error <= 0 or tid < 0 or own_tid < 0:
        raise ProtocolError(f"the answer to a spawn has error {error}, task {tid}, own number {own_tid}")
    return error, tid, own_tid


def split_death(body: bytes) -> tuple[State, int]:
    """How a task ended, and its wait status."""
    status, state = _unpack(DEATH, body, "the report of a death")
    if state not in (State.DIED, State.GONE):
        raise ProtocolError(f"the report of a death has state {state}")
    return State(state), status


def split_result(body: bytes) -> tuple[State, int, bytes]:
    """State, value, and the bytes that follow."""
    if len(body) < RESULT.size:
        raise ProtocolError(f"a result has {len(body)} bytes instead of at least {RESULT.size}")
    value, state = RESULT.unpack_from(body)
    return _state(state), value, body[RESULT.size :]


def split_content(body: bytes, longest: int) -> tuple[int, bytes]:
    """The value of a call that init made for the host, and that many bytes; after an error, no bytes."""
    state, value, content = split_result(body)
    if state is not State.RETURNED or value > longest or (value >= 0 and value != len(content)):
        raise ProtocolError(f"an answer with {len(content)} bytes says {state.name} {value}")
    return value, content if value >= 0 else b""


def split_reads(tail: bytes, lengths: Sequence[int]) -> tuple[bytes, ...]:
    """The buffers of a call, which follow one another in the answer."""
    if len(tail) != sum(lengths):
        raise ProtocolError(f"the buffers of a call have {len(tail)} bytes instead of {sum(lengths)}")
    pieces = []
    for length in lengths:
        pieces.append(tail[:length])
        tail = tail[length:]
    return tuple(pieces)


def data_address(slot: int, offset: int = 0) -> int:
    """The address of a slot's data, which is the same in every task."""
    return ARENA_BASE + slot * SLOT_SIZE + SLOT_DATA + offset


def split_counts(tail: bytes, steps: int) -> list[dict[int, int]]:
    """For each step of a plan, the number of times that it returned each error number; 0 means success."""
    if len(tail) != PLAN_STEPS * PLAN_ERRORS * COUNT.size:
        raise ProtocolError(f"the counts of a plan have {len(tail)} bytes")
    pairs = list(COUNT.iter_unpack(tail[: steps * PLAN_ERRORS * COUNT.size]))
    rows = [pairs[step * PLAN_ERRORS : (step + 1) * PLAN_ERRORS] for step in range(steps)]
    return [{error: count for error, count in row if count} for row in rows]


def split_caught(tail: bytes, count: int) -> list[tuple[bytes, bytes]]:
    """siginfo and registers of the last CAUGHT_MAX of the `count` signals that a task has caught."""
    kept = min(count, CAUGHT_MAX)
    if count < 0 or len(tail) != kept * CAUGHT.size:
        raise ProtocolError(f"the report of {count} caught signals has {len(tail)} bytes")
    return list(CAUGHT.iter_unpack(tail))


def split_sweep(tail: bytes, count: int) -> tuple[int, ...]:
    """The return values of a sweep's calls."""
    return tuple(_unpack(struct.Struct(f"<{count}h"), tail, f"the answer to a sweep of {count} calls"))
