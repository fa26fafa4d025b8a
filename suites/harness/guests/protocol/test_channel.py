# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel matches answers by number, delivers events, and distinguishes silence from end of file."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from guests.protocol import wire
from guests.protocol.channel import Channel, Closed, NoAnswer
from guests.protocol.wire import Event, Frame, Op, State
from suites.harness.guests.fakes import DEADLINE_S


class OtherEnd:
    """The other end of a channel: its frames are queued in advance, and arrive in pieces of seven bytes."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self.heard = b""
        self.events: list[Frame] = []
        self.channel = Channel(self, self.events.append)

    def says(self, *frames: Frame) -> None:
        os.write(self._writing, b"".join(frame.encode() for frame in frames))

    def hangs_up(self) -> None:
        os.close(self._writing)
        self._writing = -1

    def close(self) -> None:
        os.close(self._reading)
        if self._writing >= 0:
            os.close(self._writing)

    # Methods of Stream

    def fileno(self) -> int:
        return self._reading

    def writing_fileno(self) -> int:
        return -1

    def send_some(self, data: memoryview) -> int:
        self.heard += data
        return len(data)

    def receive_bytes(self) -> bytes:
        return os.read(self._reading, 7)


@pytest.fixture
def other() -> Iterator[OtherEnd]:
    other = OtherEnd()
    yield other
    other.close()


class TestChannel:
    def test_requests_are_numbered(self, other: OtherEnd) -> None:
        assert other.channel.send(Op.HELLO) == 1
        assert other.channel.send(Op.POKE, 3, b"body") == 2
        assert other.heard == Frame(Op.HELLO, 0, 1).encode() + Frame(Op.POKE, 3, 2, b"body").encode()

    def test_answers_are_matched_by_number_in_any_order(self, other: OtherEnd) -> None:
        first, second = other.channel.send(Op.CALL, 1), other.channel.send(Op.CALL, 2)
        other.says(Frame(Op.CALL, 2, second, b"b"), Frame(Op.CALL, 1, first, b"a"))
        assert other.channel.collect(first).body == b"a"
        assert other.channel.answered(second)
        assert other.channel.collect(second).body == b"b"
        assert not other.channel.answered(second)

    def test_events_before_an_answer_are_delivered(self, other: OtherEnd) -> None:
        event = Frame(Event.DEATH, 4, 0, wire.DEATH.pack(9, State.DIED))
        number = other.channel.send(Op.CALL, 1)
        other.says(event, Frame(Op.CALL, 1, number))
        assert other.channel.collect(number).slot == 1
        assert other.events == [event]

    def test_an_event_ends_the_wait_for_it(self, other: OtherEnd) -> None:
        other.says(Frame(Event.DEATH, 4, 0, wire.DEATH.pack(9, State.DIED)))
        assert other.channel.wait(lambda: bool(other.events))

    def test_a_wait_for_a_condition_that_stays_false_times_out(self, other: OtherEnd) -> None:
        assert not other.channel.wait(lambda: False, 0)

    def test_silence_has_a_deadline(self, other: OtherEnd) -> None:
        answered, number = other.channel.send(Op.HELLO), other.channel.send(Op.HELLO)
        other.says(Frame(Op.HELLO, 0, answered))
        with pytest.raises(NoAnswer):
            other.channel.collect(number, 0.05)

    def test_an_incomplete_answer_is_no_answer(self, other: OtherEnd) -> None:
        number = other.channel.send(Op.HELLO)
        os.write(other._writing, Frame(Op.HELLO, 0, number, b"body").encode()[:-1])
        other.hangs_up()
        with pytest.raises(Closed):
            other.channel.collect(number)

    def test_an_answer_that_arrived_before_end_of_file_is_kept(self, other: OtherEnd) -> None:
        number = other.channel.send(Op.HELLO)
        other.says(Frame(Op.HELLO, 0, number, b"last words"))
        other.hangs_up()
        assert other.channel.collect(number).body == b"last words"
        with pytest.raises(Closed):
            other.channel.answered(number)

    def test_a_stream_that_can_no_longer_be_written_is_closed(
        self, other: OtherEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: memoryview) -> int:
            raise BrokenPipeError

        monkeypatch.setattr(other, "send_some", broken)
        with pytest.raises(Closed):
            other.channel.send(Op.HELLO)


class OtherMachine:
    """A machine whose monitor is a pipe: each byte is news, and a 0 the news that it has ended."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self.guest_ended = False

    def says(self, news: bytes) -> None:
        os.write(self._writing, news)

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)

    # Methods of Machine

    def monitor_fileno(self) -> int:
        return self._reading

    def has_guest_ended(self) -> bool:
        self.guest_ended = self.guest_ended or os.read(self._reading, 1) == b"\0"
        return self.guest_ended


class TestMachine:
    """The end of a machine is that of the channel, although the stream stays open."""

    @pytest.fixture
    def machine(self, other: OtherEnd) -> Iterator[OtherMachine]:
        machine = OtherMachine()
        other.channel.machine = machine
        yield machine
        machine.close()

    def test_what_it_sent_before_its_end_is_received(self, other: OtherEnd, machine: OtherMachine) -> None:
        first = other.channel.send(Op.HELLO)
        other.says(Frame(Op.HELLO, 0, first, b"the last words"))
        machine.says(b"\0")
        assert other.channel.collect(first).body == b"the last words"
        second = other.channel.send(Op.HELLO)
        for _ in range(2):
            with pytest.raises(Closed, match="the machine has ended"):
                other.channel.collect(second)

    def test_other_news_ends_no_wait(self, other: OtherEnd, machine: OtherMachine) -> None:
        sequence = other.channel.send(Op.HELLO)
        machine.says(b"\1\2\3")
        with pytest.raises(NoAnswer):
            other.channel.collect(sequence, 0.05)
        machine.says(b"\0")
        with pytest.raises(Closed):
            other.channel.collect(sequence, 0.05)


class TestHeld:
    """While a person has a guest, no answer has a deadline, and the record is about the test alone."""

    def test_a_call_waits_beyond_its_deadline(self, other: OtherEnd) -> None:
        sequence = other.channel.send(Op.HELLO)
        with other.channel.held():
            waiting = threading.Thread(target=other.channel.collect, args=(sequence, 0.0))
            waiting.start()
            waiting.join(0.2)
            assert waiting.is_alive()
            other.says(Frame(Op.HELLO, 0, sequence, b""))
            waiting.join(DEADLINE_S)
            assert not waiting.is_alive()
        with pytest.raises(NoAnswer):
            other.channel.collect(other.channel.send(Op.HELLO), 0.0)

    def test_a_pause_ends(self, other: OtherEnd) -> None:
        """Otherwise, a wait for a condition would look at it once, and never again."""
        enough = threading.Event()
        with other.channel.held():
            pausing = threading.Thread(target=other.channel.wait, args=(enough.is_set, 0.001))
            pausing.start()
            pausing.join(DEADLINE_S)
            ended = not pausing.is_alive()
            enough.set()
            other.says(Frame(Event.DEATH, 4, 0, wire.DEATH.pack(9, State.DIED)))
            pausing.join()
        assert ended

    def test_it_is_not_recorded(self, other: OtherEnd) -> None:
        other.channel.send(Op.HELLO)
        before = list(other.channel.record.entries)
        with other.channel.held():
            other.channel.send(Op.HELLO)
        assert other.channel.record.entries == before
