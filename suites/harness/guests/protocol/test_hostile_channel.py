# SPDX-License-Identifier: GPL-2.0-or-later
"""Channels to a guest that floods them, does not read them, or answers what was not asked."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from guests.errors import GuestBroke, ProtocolError
from guests.protocol import channel, wire
from guests.protocol.channel import Channel, SocketStream
from guests.protocol.wire import Event, Frame, Op, State
from guests.session import Session
from suites.harness.guests import fakes
from suites.harness.guests.protocol.hostile_streams import Flood

pytestmark = pytest.mark.usefixtures("_impatient")


def fill(other: Channel) -> None:
    """Send until no more data are accepted."""
    with contextlib.suppress(channel.NoAnswer):
        for _ in range(100):
            other.send(Op.POKE, 1, bytes(wire.BODY_MAX))
        pytest.fail("all data were accepted")


class TestTheChannelsLimits:
    def test_endless_events_do_not_extend_the_deadline(self) -> None:
        """All events are valid, but the answer does not arrive."""
        guest = Flood(Frame(Event.DEATH, 4, 0, wire.DEATH.pack(9, State.DIED)).encode() * 1000)
        other = Channel(guest, lambda _: None)
        try:
            with pytest.raises(channel.NoAnswer):
                other.request(Op.HELLO, deadline=0.05)
            assert other.received < 64 << 20
        finally:
            guest.close()

    def test_a_guest_that_does_not_read_is_silent(self) -> None:
        """Neither this request nor a later one waits beyond its deadline."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            other = Channel(SocketStream(ours), lambda _: None)
            fill(other)
            with pytest.raises(channel.NoAnswer):
                other.send(Op.HELLO)

    def test_data_are_received_while_sending(self) -> None:
        """An agent that cannot send its answer reads no further request."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            other = Channel(SocketStream(ours), lambda _: None)
            number = other.send(Op.HELLO)
            theirs.sendall(Frame(Op.HELLO, 0, number, b"answer").encode())
            fill(other)
            assert other._answers[number].body == b"answer"

    @pytest.mark.parametrize(
        ("sent", "said"),
        [
            ([Frame(Op.HELLO, 0, 7)], "request 7, which is not pending"),
            ([Frame(Op.HELLO, 0, 1), Frame(Op.HELLO, 0, 1)], "request 1, which is not pending"),
            ([Frame(Op.POKE, 0, 1)], "request 1 was HELLO, but its answer is to 5"),
            ([Frame(99, 0, 1)], "request 1 was HELLO, but its answer is to 99"),
        ],
        ids=["unasked", "twice", "to-something-else", "to-nothing-there-is"],
    )
    def test_unexpected_answers_are_rejected_and_not_kept(self, sent: list[Frame], said: str) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            other = Channel(SocketStream(ours), lambda _: None)
            other.send(Op.HELLO)
            theirs.sendall(b"".join(frame.encode() for frame in sent))
            for again in range(3):
                with pytest.raises(ProtocolError, match=said):
                    other.collect(2) if again else other.answered(2)
            assert other._answers == {}

    def test_a_closed_channel_raises_closed(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.close()
        other = Channel(SocketStream(ours), lambda _: None)
        ours.close()
        for ask in (lambda: other.send(Op.HELLO), lambda: other.answered(1), lambda: other.collect(1)):
            with pytest.raises(channel.Closed):
                ask()


class TestDeaths:
    """Deaths are reported by events, without a request."""

    @pytest.fixture
    def guest(self) -> Iterator[tuple[Session, socket.socket]]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            session = Session(SocketStream(ours), "x86_64")
            theirs.sendall(fakes.hello_frame())
            session.greet()
            yield session, theirs

    DEATH = Frame(Event.DEATH, 1, 0, wire.DEATH.pack(9, State.DIED)).encode()
    SPAWNED = Frame(Op.SPAWN, 1, 2, wire.SPAWN_REPLY.pack(0, 300, 300)).encode()

    def test_a_death_before_the_answer_to_the_spawn_is_kept(self, guest: tuple[Session, socket.socket]) -> None:
        session, theirs = guest
        theirs.sendall(self.SPAWNED + self.DEATH)
        assert session.init.spawn("brief").wait_death().signal == 9

    def test_a_death_in_an_unused_slot_is_rejected(self, guest: tuple[Session, socket.socket]) -> None:
        session, theirs = guest
        theirs.sendall(self.DEATH)
        with pytest.raises(ProtocolError, match="slot 1, which has no living task"):
            session.answered(1)

    def test_a_second_death_is_rejected(self, guest: tuple[Session, socket.socket]) -> None:
        session, theirs = guest
        theirs.sendall(self.SPAWNED + 2 * self.DEATH)
        with pytest.raises(ProtocolError, match="slot 1, which has no living task"):
            session.init.spawn("brief")


def test_a_hung_kernel_is_distinguished_from_incomplete_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is a fault of the kernel; missing bytes are a fault of the channel."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        session = Session(SocketStream(ours), "x86_64")
        with pytest.raises(GuestBroke, match="the kernel has hung"):
            session.greet()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        session = Session(SocketStream(ours), "x86_64")
        first = fakes.hello_frame()
        theirs.sendall(first[:30])
        taken = Channel.collect

        def answering(self: Channel, sequence: int, deadline: float) -> Frame:
            if sequence == 2:
                theirs.sendall(first[:20])
            return taken(self, sequence, deadline)

        monkeypatch.setattr(Channel, "collect", answering)
        with pytest.raises(ProtocolError, match="its answers are incomplete"):
            session.greet()
