# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel to an agent: requests and their answers, matched by number, and events in between.

The other end is a kernel under test, which may send anything, or stop reading.  It can therefore make the channel
neither store more than was requested nor wait beyond a deadline.  The first invalid data end the conversation with a
ProtocolError, and every later request raises the same error.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
from collections.abc import Callable, Iterator
from typing import Protocol

from guests.errors import ProtocolError
from guests.protocol import wire
from guests.protocol.deadline import Deadline
from guests.protocol.record import Asked, Collected, Happened, Record, Sent
from guests.protocol.wire import Event, Frame, Op

CALL_DEADLINE = 20.0
"""Maximum number of seconds for an answer.  It is long because the host may be busy; only failures take so long."""

_RECEIVE_SIZE = 1 << 18
"""Maximum size in bytes of a single read."""
_LATE_MAX = 1 << 23
"""Maximum number of bytes to receive after a deadline: more than can have been in transit when it passed."""


_LONGEST_POLL_S = 3600.0
"""poll(2) takes no more than 24 days."""


class NoAnswer(Exception):
    """The deadline passed before the answer arrived."""


class Closed(Exception):
    """The other end has closed the channel."""


class Stream(Protocol):
    """The transport of a channel.  Its file descriptors are negative once it is closed."""

    def fileno(self) -> int:
        """The descriptor to read from."""
        ...

    def writing_fileno(self) -> int: ...
    def send_some(self, data: memoryview) -> int:
        """Send as much as possible without waiting, and return the number of bytes; BlockingIOError if it is 0."""
        ...

    def receive_bytes(self) -> bytes:
        """Receive at least one byte, or none at end of file.  Called when there is something to read."""
        ...


class Machine(Protocol):
    """The machine at the other end, if that can end without closing the stream."""

    guest_ended: bool
    """Whether it is known to have ended."""

    def monitor_fileno(self) -> int:
        """A descriptor that can be read when the machine may have ended; negative once it is gone."""
        ...

    def has_guest_ended(self) -> bool:
        """Find out whether it has ended; reads what there is at the descriptor."""
        ...


class Channel:
    """Numbers requests, and keeps each answer until it is collected."""

    machine: Machine | None = None
    """If there is one, its end is the end of the stream, after all data that it has sent."""

    def __init__(
        self, stream: Stream, on_event: Callable[[Frame], None], lost_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        """`lost_s` returns the seconds that the host has taken from the other end so far; deadlines exclude them."""
        self._stream = stream
        self._on_event = on_event
        self._lost_s = lost_s
        self._buffer = bytearray()
        self._unanswered: dict[int, Op] = {}
        self._answers: dict[int, Frame] = {}
        self._sequence = 0
        self._partly_sent = False
        """Whether only a part of the last request could be sent."""
        self.received = 0
        """The number of bytes received so far."""
        self.record = Record()
        self._patient = False
        """Whether to wait without a deadline."""
        self.broken: ProtocolError | None = None
        """The error that ended the conversation, if invalid data did."""

    def give_up(self, error: ProtocolError) -> None:
        """End the conversation: from now on, every request raises this error."""
        self.broken = error
        self._buffer.clear()
        self._answers.clear()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Wait for answers without deadlines, and record nothing, until the end of this block."""
        record, self.record, self._patient = self.record, Record(), True
        try:
            yield
        finally:
            self.record, self._patient = record, False

    @property
    def partial(self) -> bool:
        """Whether an incomplete frame has been received."""
        return bool(self._buffer)

    def send(self, op: Op, slot: int = 0, body: bytes = b"") -> int:
        """Send a request, and return the number with which to collect its answer.

        NoAnswer means that the other end did not read the request; later requests then raise NoAnswer too.
        """
        self.check()
        if self._partly_sent:
            raise NoAnswer
        self._sequence += 1
        frame = Frame(op, slot, self._sequence, body).encode()
        self._unanswered[self._sequence] = op
        self.record.add(Sent(op, slot, self._sequence, body))
        try:
            self._partly_sent = True
            self._send_all(memoryview(frame))
            self._partly_sent = False
        except Closed:
            self._partly_sent = False
            raise
        return self._sequence

    def answered(self, sequence: int) -> bool:
        """Whether the answer has arrived; does not wait."""
        self._receive(0)
        arrived = sequence in self._answers
        self.record.add(Asked(sequence, arrived))
        return arrived

    def collect(self, sequence: int, deadline: float = CALL_DEADLINE) -> Frame:
        """Wait for the answer to a request; NoAnswer after `deadline` seconds.  Events are delivered meanwhile."""
        self.check()
        if not self._receive_until(lambda: sequence in self._answers, self.deadline(deadline)):
            raise NoAnswer
        frame = self._answers.pop(sequence)
        self.record.add(Collected(sequence, frame.body))
        return frame

    def wait(self, until: Callable[[], bool], deadline: float = CALL_DEADLINE) -> bool:
        """Receive events until they make the condition true; False if the deadline passes first.

        This deadline applies in a `held` block, too: those who wait for a condition that requests decide pause by it.
        """
        self._receive(0)
        return self._receive_until(until, Deadline(deadline, self._lost_s))

    def deadline(self, seconds: float) -> Deadline:
        """A deadline in the other end's time."""
        return Deadline(math.inf if self._patient else seconds, self._lost_s)

    def request(self, op: Op, slot: int = 0, body: bytes = b"", deadline: float = CALL_DEADLINE) -> Frame:
        return self.collect(self.send(op, slot, body), deadline)

    def check(self) -> None:
        """Raise the ProtocolError that ended the conversation, if there was one."""
        if self.broken is not None:
            raise self.broken.with_traceback(None)

    def _receive_until(self, until: Callable[[], bool], deadline: Deadline) -> bool:
        late = 0
        while not until():
            left = deadline.left()
            # Even after the deadline, receive what is already here: this process itself may not have run until now.
            received = self._receive(max(0.0, left))
            late += received if left <= 0 else 0
            if left <= 0 and (not received or late > _LATE_MAX):
                return until()
        return True

    def _send_all(self, data: memoryview) -> None:
        """Send, and receive meanwhile: the other end may be unable to read until its own data are received."""
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
                self._receive_some()

    def _receive(self, timeout: float) -> int:
        """Wait up to `timeout` seconds for data, receive what is there, and return the number of bytes."""
        self.check()
        return self._receive_some() if self._poll(timeout) else 0

    def _poll(self, timeout: float, *, writing: bool = False) -> bool:
        """Wait until the stream can be read (or, if `writing`, written), and return whether it can be read."""
        reading = self._stream.fileno()
        if reading < 0:
            raise Closed("the channel is closed")
        ready = select.poll()
        ready.register(reading, select.POLLIN)
        if writing and (end := self._stream.writing_fileno()) >= 0:
            ready.register(end, select.POLLOUT | (select.POLLIN if end == reading else 0))
        machine = self.machine
        ended = machine is not None and machine.guest_ended
        monitor = machine.monitor_fileno() if machine is not None and not ended else -1
        if monitor >= 0:
            ready.register(monitor, select.POLLIN)
        events = dict(ready.poll(0 if ended else math.ceil(min(timeout, _LONGEST_POLL_S) * 1000)))
        if not events.get(reading, 0) & ~select.POLLOUT and machine is not None:
            if not ended and (monitor not in events or not machine.has_guest_ended()):
                return False
            # What it has sent before its end.
            events = dict(ready.poll(0))
            if not events.get(reading, 0) & ~select.POLLOUT:
                raise Closed("the machine has ended")
        return bool(events.get(reading, 0) & ~select.POLLOUT)

    def _receive_some(self) -> int:
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
                self._deliver(frame)
        except ProtocolError as error:
            self.give_up(error)
            raise
        return len(received)

    def _deliver(self, frame: Frame) -> None:
        if frame.op in Event.__members__.values():
            self.record.add(Happened(frame))
            self._on_event(frame)
        elif (asked := self._unanswered.pop(frame.sequence, None)) is None:
            raise ProtocolError(f"there is an answer to request {frame.sequence}, which is not pending")
        elif frame.op != asked:
            raise ProtocolError(f"request {frame.sequence} was {asked.name}, but its answer is to {frame.op}")
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
        return self._socket.recv(_RECEIVE_SIZE)
