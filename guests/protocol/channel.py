# SPDX-License-Identifier: GPL-2.0-or-later
"""The conversation with an agent: requests and their answers, matched by number, and events in between.

The other end is a kernel under test, which may send anything, or stop reading.  What is kept of what it sends is
bounded by what it was asked; nothing waits longer than its deadline; and the first thing that no agent would send
ends the conversation with a ProtocolError, which everything asked afterwards meets again.
"""

from __future__ import annotations

import math
import select
import socket
from collections.abc import Callable
from typing import Protocol

from guests.errors import ProtocolError
from guests.protocol import wire
from guests.protocol.deadline import Deadline
from guests.protocol.wire import Event, Frame, Op

CALL_DEADLINE = 20.0
"""Seconds that an answer may take.  Long, for a machine that is busy elsewhere; nothing waits for it to pass."""

_AT_ONCE = 1 << 18
"""Bytes that are taken in at a time."""
_OVERTIME = 1 << 23
"""Bytes that are taken in after a deadline has passed: more than was under way then."""


class NoAnswer(Exception):
    """The deadline passed without the answer."""


class Closed(Exception):
    """The other end is gone."""


class Stream(Protocol):
    """What a channel runs over, by its descriptors; those are negative once it is closed."""

    def fileno(self) -> int:
        """The descriptor to read from."""
        ...

    def writing_fileno(self) -> int: ...
    def send_some(self, data: memoryview) -> int:
        """Send what there is room for, without waiting, and return how much that was; BlockingIOError if none."""
        ...

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
        self._unanswered: dict[int, Op] = {}
        self._answers: dict[int, Frame] = {}
        self._sequence = 0
        self._cut_short = False
        """Whether the other end has got only a part of the last request."""
        self.received = 0
        """Bytes, so far."""
        self.broken: ProtocolError | None = None
        """What ended the conversation, if that was no agent's answer."""

    def give_up(self, error: ProtocolError) -> None:
        """End the conversation: from now on everything raises this."""
        self.broken = error
        self._buffer.clear()
        self._answers.clear()

    @property
    def partial(self) -> bool:
        """Whether a frame has begun to arrive, and is not complete."""
        return bool(self._buffer)

    def send(self, op: Op, slot: int = 0, body: bytes = b"") -> int:
        """Send a request; returns the number to collect its answer by.

        NoAnswer means that the other end has not read it: then it will read no later one either.
        """
        self.check()
        if self._cut_short:
            raise NoAnswer
        self._sequence += 1
        frame = Frame(op, slot, self._sequence, body).encode()
        self._unanswered[self._sequence] = op
        try:
            self._cut_short = True
            self._send_all(memoryview(frame))
            self._cut_short = False
        except Closed:
            self._cut_short = False
            raise
        return self._sequence

    def answered(self, sequence: int) -> bool:
        """Whether the answer is here, without waiting for it."""
        self._receive(0)
        return sequence in self._answers

    def collect(self, sequence: int, deadline: float = CALL_DEADLINE) -> Frame:
        """The answer to a request, within so many seconds, or `NoAnswer`.  Events that precede it are passed on."""
        self.check()
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

    def request(self, op: Op, slot: int = 0, body: bytes = b"", deadline: float = CALL_DEADLINE) -> Frame:
        return self.collect(self.send(op, slot, body), deadline)

    def check(self) -> None:
        """ProtocolError, if that has ended the conversation."""
        if self.broken is not None:
            raise self.broken.with_traceback(None)

    def _receive_until(self, until: Callable[[], bool], seconds: float) -> bool:
        deadline = self.deadline(seconds)
        overtime = 0
        while not until():
            left = deadline.left()
            # What came while this process itself did not run is taken in before anybody is called silent.
            came = self._receive(max(0.0, left))
            overtime += came if left <= 0 else 0
            if left <= 0 and (not came or overtime > _OVERTIME):
                return until()
        return True

    def _send_all(self, data: memoryview) -> None:
        """Send, and receive meanwhile: the other end may not read on before what it has to say is read."""
        deadline = self.deadline(CALL_DEADLINE)
        while data:
            try:
                data = data[self._stream.send_some(data) :]
                continue
            except BlockingIOError:
                pass
            except OSError as error:
                raise Closed(str(error)) from error
            left = deadline.left()
            if left <= 0:
                raise NoAnswer
            if self._poll(left, writing=True):
                self._take_in()

    def _receive(self, timeout: float) -> int:
        """Take in what there is, waiting so long for the first of it.  How many bytes came."""
        self.check()
        return self._take_in() if self._poll(timeout) else 0

    def _poll(self, timeout: float, *, writing: bool = False) -> bool:
        """Wait until there is something to read, or room to write; whether there is something to read."""
        reading = self._stream.fileno()
        if reading < 0:
            raise Closed("the channel is closed")
        ready = select.poll()
        ready.register(reading, select.POLLIN)
        if writing and (end := self._stream.writing_fileno()) >= 0:
            ready.register(end, select.POLLOUT | (select.POLLIN if end == reading else 0))
        events = dict(ready.poll(math.ceil(timeout * 1000)))
        return bool(events.get(reading, 0) & ~select.POLLOUT)

    def _take_in(self) -> int:
        try:
            received = self._stream.receive_bytes()
        except OSError as error:
            raise Closed(str(error)) from error
        if not received:
            raise Closed("end of file")
        self.received += len(received)
        self._buffer += received
        try:
            while (frame := wire.split(self._buffer)) is not None:
                self._take(frame)
        except ProtocolError as error:
            self.give_up(error)
            raise
        return len(received)

    def _take(self, frame: Frame) -> None:
        if frame.op in Event.__members__.values():
            self._on_event(frame)
        elif (asked := self._unanswered.pop(frame.sequence, None)) is None:
            raise ProtocolError(f"an answer came to request {frame.sequence}, which is not open")
        elif frame.op != asked:
            raise ProtocolError(f"request {frame.sequence} was {asked.name}, and its answer is to {frame.op}")
        else:
            self._answers[frame.sequence] = frame


class SocketStream:
    """A stream over a connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def fileno(self) -> int:
        return self._socket.fileno()

    def writing_fileno(self) -> int:
        return self._socket.fileno()

    def send_some(self, data: memoryview) -> int:
        return self._socket.send(data, socket.MSG_DONTWAIT)

    def receive_bytes(self) -> bytes:
        return self._socket.recv(_AT_ONCE)
