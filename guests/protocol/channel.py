# SPDX-License-Identifier: GPL-2.0-or-later
"""The conversation with an agent: requests and their answers, matched by number, and events in between."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Protocol

from guests.protocol import wire
from guests.protocol.deadline import Deadline
from guests.protocol.wire import Event, Frame, Op

CALL_DEADLINE = 20.0
"""Seconds that an answer may take.  Long, for a machine that is busy elsewhere; nothing waits for it to pass."""


class NoAnswer(Exception):
    """The deadline passed without the answer."""


class Closed(Exception):
    """The other end is gone."""


class Stream(Protocol):
    """What a channel runs over: a socket's receiving and sending half, by descriptor."""

    def fileno(self) -> int: ...
    def send_bytes(self, data: bytes) -> None: ...
    def receive_bytes(self) -> bytes:
        """At least one byte, or none at the end.  Called when there is something to read."""
        ...


class Channel:
    """Numbers requests, and keeps each answer until it is asked for."""

    def __init__(
        self, stream: Stream, on_event: Callable[[Frame], None], lost_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        """`lost_s`: the seconds that the other end has had to do without so far, which no deadline counts."""
        self._stream = stream
        self._on_event = on_event
        self._lost_s = lost_s
        self._buffer = bytearray()
        self._answers: dict[int, Frame] = {}
        self._sequence = 0

    def send(self, op: Op, slot: int = 0, body: bytes = b"") -> int:
        """Send a request; returns the number to collect its answer by."""
        self._sequence += 1
        try:
            self._stream.send_bytes(Frame(op, slot, self._sequence, body).encode())
        except OSError as error:
            raise Closed(str(error)) from error
        return self._sequence

    def answered(self, sequence: int) -> bool:
        """Whether the answer is here, without waiting for it."""
        self._receive(0)
        return sequence in self._answers

    def collect(self, sequence: int, deadline: float = CALL_DEADLINE) -> Frame:
        """The answer to a request, within so many seconds, or `NoAnswer`.  Events that precede it are passed on."""
        if not self._receive_until(lambda: sequence in self._answers, deadline):
            raise NoAnswer
        return self._answers.pop(sequence)

    def wait(self, until: Callable[[], bool], deadline: float = CALL_DEADLINE) -> bool:
        """Receive until a condition that events bring about is true; False if the deadline passes first."""
        self._receive(0)
        return self._receive_until(until, deadline)

    def deadline(self, seconds: float) -> Deadline:
        """A span of the other end's time."""
        return Deadline(seconds, self._lost_s)

    def _receive_until(self, until: Callable[[], bool], seconds: float) -> bool:
        deadline = self.deadline(seconds)
        while not until():
            left = deadline.left()
            # What came while this process itself did not run is taken in before anybody is called silent.
            if not self._receive(max(0.0, left)) and left <= 0:
                return until()
        return True

    def request(self, op: Op, slot: int = 0, body: bytes = b"", deadline: float = CALL_DEADLINE) -> Frame:
        return self.collect(self.send(op, slot, body), deadline)

    def _receive(self, timeout: float) -> bool:
        """Take in what there is, waiting so long for the first of it.  False if nothing came."""
        ready, _, _ = select.select([self._stream], [], [], timeout)
        if not ready:
            return False
        try:
            received = self._stream.receive_bytes()
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not received:
            raise Closed("end of file")
        self._buffer += received
        while (frame := wire.split(self._buffer)) is not None:
            if frame.op in Event.__members__.values():
                self._on_event(frame)
            else:
                self._answers[frame.sequence] = frame
        return True


class SocketStream:
    """A stream over a connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def fileno(self) -> int:
        return self._socket.fileno()

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive_bytes(self) -> bytes:
        return self._socket.recv(1 << 18)
