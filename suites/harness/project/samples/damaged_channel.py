# SPDX-License-Identifier: GPL-2.0-or-later
"""A pytest plugin that damages the channels of guests (for test_damaged_guests.py).

KCONFORM_DAMAGE selects the kind:

    flip        from every second guest, one bit is flipped in about one of ten received pieces
    mute        the second guest sends nothing
    unprepared  the first spare clone cannot be started
    greedy      every guest's log is endless, and contains no records
"""

from __future__ import annotations

import os
import random
import socket

import guests.guest
from guests.guest import Guest
from guests.log import kernel_log
from guests.protocol import conversation
from guests.protocol.channel import Channel, SocketStream
from guests.vm.boot_request import Boot
from guests.vm.clone_pool import Pool
from kconfigs.kernel import Kernel

CHANCE = random.Random(1)  # noqa: S311 - not a secret
PATIENCE_S = 2.0


class Flipping(SocketStream):
    made = 0

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        Flipping.made += 1
        self._flips = Flipping.made % 2 == 0

    def receive_bytes(self) -> bytes:
        data = bytearray(super().receive_bytes())
        if self._flips and data and not CHANCE.randrange(10):
            data[CHANCE.randrange(len(data))] ^= 1 << CHANCE.randrange(8)
        return bytes(data)


class Mute(SocketStream):
    made = 0
    silence, _ = os.pipe()

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        Mute.made += 1
        self._is_mute = Mute.made == 2

    def fileno(self) -> int:
        return self.silence if self._is_mute else super().fileno()


def flip() -> None:
    guests.guest.SocketStream = Flipping  # type: ignore[attr-defined]


def mute() -> None:
    guests.guest.SocketStream = Mute  # type: ignore[attr-defined]
    conversation.SIGN_OF_LIFE_S = PATIENCE_S
    conversation.Conversation.collect.__defaults__ = (PATIENCE_S,)


def unprepared() -> None:
    prepare, clone = Pool.prepare, Pool._clone
    failing = [OSError("planted: no spare clone")]

    def fail(_pool: Pool, _kernel: Kernel, _boot: Boot) -> Guest:
        raise failing.pop()

    def failing_prepare(pool: Pool, kernel: Kernel, boot: Boot) -> None:
        Pool._clone = fail if failing else clone  # type: ignore[method-assign,assignment]
        prepare(pool, kernel, boot)
        Pool._clone = clone  # type: ignore[method-assign]

    Pool.prepare = failing_prepare  # type: ignore[method-assign,assignment]


def greedy() -> None:
    def read(channel: Channel) -> tuple[str, bool]:
        channel.check()
        return "\x1b[2J no record\n" * 1000, False

    kernel_log.read_raw = read


def pytest_configure() -> None:
    {"flip": flip, "mute": mute, "unprepared": unprepared, "greedy": greedy}[os.environ["KCONFORM_DAMAGE"]]()
