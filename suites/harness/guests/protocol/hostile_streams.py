# SPDX-License-Identifier: GPL-2.0-or-later
"""Streams of guests that send damaged or endless data."""

from __future__ import annotations

import contextlib
import os
import socket

from guests.protocol import wire
from guests.protocol.channel import SocketStream
from guests.protocol.wire import Frame, Op

HELLO = wire.HELLO.pack(wire.VERSION, 4096, 0, 0, b"6.12.7", b"x86_64")


class Replay:
    """The guest's end of a channel: each request releases the next piece of data."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._stream = SocketStream(self._ours)
        self._pieces = iter(pieces)

    def fileno(self) -> int:
        return self._stream.fileno()

    def writing_fileno(self) -> int:
        return self._stream.writing_fileno()

    def send_some(self, data: memoryview) -> int:
        with contextlib.suppress(BlockingIOError):
            self._theirs.send(next(self._pieces, b""))
        return len(data)

    def receive_bytes(self) -> bytes:
        return self._stream.receive_bytes()

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


class Flood:
    """A stream that never ends."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self._descriptor = os.open("/dev/zero", os.O_RDONLY)

    def fileno(self) -> int:
        return self._descriptor

    def writing_fileno(self) -> int:
        return -1

    def send_some(self, data: memoryview) -> int:
        return len(data)

    def receive_bytes(self) -> bytes:
        return self._piece

    def close(self) -> None:
        os.close(self._descriptor)


class Logger(Flood):
    """Answers a request for the log with an endless sequence of records."""

    def __init__(self, record: bytes) -> None:
        super().__init__(b"")
        self._record = record
        self._asked: list[tuple[int, int]] = []

    def send_some(self, data: memoryview) -> int:
        _, op, _, sequence, _, _ = wire.HEADER.unpack_from(data)
        self._asked.append((op, sequence))
        return len(data)

    def receive_bytes(self) -> bytes:
        op, sequence = self._asked.pop(0)
        body = HELLO if op == Op.HELLO else self._record * (wire.BODY_MAX // len(self._record))
        return Frame(op, 0, sequence, body).encode()
