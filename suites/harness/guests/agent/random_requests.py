# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests for an agent: well-formed frames with random and damaged bodies."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from guests.protocol import wire
from guests.protocol.wire import Frame, Op

_EDGES = (0, 1, 2, 15, 16, 17, 63, 64, 255, 256, 4095, 4096, 0x15FFF, 0x16000, 0x16001, 0x1FFFF, 0x20000, 0xFFFF)
_LARGE = (1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 32, 1 << 63, (1 << 64) - 1)


class RandomRequests:
    """A reproducible sequence of requests: a seed always gives the same one."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not a secret
        self._sequence = 0

    def stream(self, count: int) -> tuple[bytes, dict[int, int]]:
        """`count` frames as bytes, and the operation of each sequence number."""
        frames = [self._frame() for _ in range(count)]
        return b"".join(frame.encode() for frame in frames), {frame.sequence: frame.op for frame in frames}

    def _frame(self) -> Frame:
        self._sequence += 1
        chance = self._random
        op = chance.choice([*Op, *Op, Op.CALL, Op.CALL, Op.SPAWN, Op.SPAWN, chance.choice([0, 17, 64, 65, 0xFFFF])])
        body = _BODIES.get(op, RandomRequests._bytes)(self)
        if chance.random() < 0.2:
            body = self.damaged(body)
        slot = chance.choice([0, 0, 0, *range(1, 24), chance.choice([511, 512, 513, 0xFFFF, chance.randrange(512)])])
        return Frame(op, slot, self._sequence, body[: wire.BODY_MAX])

    def damaged(self, data: bytes) -> bytes:
        """The data truncated, extended, repeated, or with some bits flipped."""
        chance = self._random
        match chance.randrange(4):
            case 0:
                return data[: chance.randrange(len(data) + 1)]
            case 1:
                return data + chance.randbytes(chance.choice([1, 7, 8, 300]))
            case 2:
                return data * chance.randrange(4)
        flipped = bytearray(data)
        for _ in range(chance.randrange(1, 4) if data else 0):
            flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(flipped)

    def _number(self, bits: int) -> int:
        chance = self._random
        return int(chance.choice([chance.choice(_EDGES), chance.choice(_LARGE), chance.getrandbits(bits)])) % (
            1 << bits
        )

    def _small(self, below: int) -> int:
        """A number that is usually valid."""
        return self._random.randrange(below) if self._random.random() < 0.9 else self._number(16)

    def _place(self, length: int) -> int:
        """Mostly one that leaves room for so much."""
        room = wire.SLOT_DATA_SIZE - length
        return self._random.randrange(room + 1) if room >= 0 and self._random.random() < 0.95 else self._number(17)

    def _bytes(self) -> bytes:
        return self._random.randbytes(self._random.choice([0, 1, 16, 100, 4096, wire.BODY_MAX]))

    def _spawn(self) -> bytes:
        chance = self._random
        flags = chance.choice([0, 0, 0, 0x10F00, 0x10F00, 0x4000, 0x20000000, 0x8000, self._number(64)])
        fields = (flags, self._number(64), *(self._number(32) for _ in range(2)), chance.choice([0, 1, 2, 8, 15]))
        child = chance.choice([*range(1, 24), *range(1, 5), chance.randrange(513), self._number(32)])
        return wire.SPAWN.pack(*fields, child, chance.randbytes(16))

    def _call(self) -> bytes:
        chance = self._random
        number = chance.choice([59, 322, 39, self._number(64)])
        writes, reads = self._small(4), chance.choice([0, 0, 1, 2, 16, self._small(17)])
        body = wire.CALL.pack(number, *(self._number(64) for _ in range(6)), self._small(4), writes, reads)
        for _ in range(min(writes, 20)):
            length = self._small(200)
            body += wire.PIECE.pack(self._place(length), length) + chance.randbytes(length)
        lengths = [chance.choice([0, 8, 100, self._small(0x16001)]) for _ in range(min(reads, 20))]
        return body + b"".join(wire.PIECE.pack(self._place(length), length) for length in lengths)

    def _piece(self) -> bytes:
        length = self._small(500)
        return wire.PIECE.pack(self._place(length), length) + self._random.randbytes(self._random.choice([0, length]))

    def _path(self) -> bytes:
        return self._random.choice([b"", b"/proc/1/stat\0", b"/sys/x", bytes(10), b"/" * 300 + b"\0"])

    def _write(self) -> bytes:
        return wire.WRITE.pack(self._number(32), self._number(32)) + self._path() + self._random.randbytes(20)

    def _plan(self) -> bytes:
        steps = self._small(17)
        return wire.PLAN.pack(self._small(3), steps) + b"".join(self._step() for _ in range(min(steps, 20)))

    def _step(self) -> bytes:
        number = self._random.choice([self._random.randrange(40), self._number(64)])
        arguments = [self._number(64) for _ in range(6)]
        return wire.PLAN_STEP.pack(number, *arguments, self._small(8), self._small(17), self._small(6))

    def _sweep(self) -> bytes:
        left_out = self._small(65)
        arguments = [self._number(64) for _ in range(6)]
        body = wire.SWEEP.pack(*arguments, self._number(32), self._small(1025), self._small(4), left_out)
        return body + struct.pack(f"<{left_out}I", *range(left_out))

    def _copy(self) -> bytes:
        return wire.COPY.pack(self._number(64), self._number(64), self._number(64))

    def _handler(self) -> bytes:
        return wire.HANDLER.pack(self._number(31), self._small(2), self._small(2))

    def _nothing(self) -> bytes:
        return b""


_BODIES: dict[int, Callable[[RandomRequests], bytes]] = {
    Op.HELLO: RandomRequests._nothing,
    Op.SPAWN: RandomRequests._spawn,
    Op.CALL: RandomRequests._call,
    Op.PEEK: RandomRequests._piece,
    Op.POKE: RandomRequests._piece,
    Op.COPY: RandomRequests._copy,
    Op.READ_FILE: RandomRequests._path,
    Op.WRITE_FILE: RandomRequests._write,
    Op.KERNEL_LOG: RandomRequests._nothing,
    Op.QUIET: RandomRequests._nothing,
    Op.CAUGHT: RandomRequests._handler,
    Op.PLAN: RandomRequests._plan,
    Op.RUN_PLAN: RandomRequests._nothing,
    Op.COUNTS: RandomRequests._nothing,
    Op.SWEEP: RandomRequests._sweep,
    Op.TAINT: RandomRequests._nothing,
}
