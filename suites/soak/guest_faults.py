# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of the host, injected at random into guests: no kernel may be blamed for one, and no result may be lost.

killed   QEMU is killed at a random moment
stopped  QEMU is stopped for a moment, and goes on
flipped  a bit of what the channel receives is flipped
refused  QEMU cannot be started
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable

import guests.guest
from guests.guest import Guest
from guests.protocol.channel import SocketStream
from guests.vm.boot_request import Boot
from guests.vm.clone_pool import Pool
from kconfigs.kernel import Kernel

CHANCE = 0.3
"""How many tests have a fault."""
LATEST_S = 0.5
"""The latest moment of a fault, in seconds after the start of the guest."""
STOPPED_S = 1.0
FLIPPED = 0.02
"""How many of the received pieces have a flipped bit, in a test that has this fault."""
INJECTED = "injected: no more processes"
"""What a test says whose guest was refused: that, or the one before it, which prepares the guest, has this fault."""
KINDS = ("killed", "stopped", "flipped", "refused")


class Faults:
    """The faults of one process.  `begin` and `end` enclose each test."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not a secret
        self._kind = ""
        self._happened = ""
        self._timers: list[threading.Timer] = []
        self._install()

    def begin(self) -> None:
        """Choose the fault of the next test."""
        self._kind = self._random.choice(KINDS) if self._random.random() < CHANCE else ""
        self._happened = ""

    def end(self) -> str:
        """The fault that the test had; empty if it had none, or was over before its moment."""
        for timer in self._timers:
            timer.cancel()
            timer.join()
        self._timers.clear()
        return self._happened

    def damage(self, received: bytes) -> bytes:
        """What the channel receives, perhaps with a flipped bit."""
        data = bytearray(received)
        if data and self._kind == "flipped" and self._random.random() < FLIPPED:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
            self._happened = "flipped"
        return bytes(data)

    def _install(self) -> None:
        resume, clone, faults = Guest.resume, Pool._clone, self

        def resume_then_fail(guest: Guest) -> None:
            if faults._kind in ("killed", "stopped"):
                faults._later(lambda: faults._signal(guest.pid))
            resume(guest)

        def clone_or_fail(pool: Pool, kernel: Kernel, boot: Boot) -> Guest:
            if faults._kind == "refused":
                faults._happened = "refused"
                raise OSError(INJECTED)
            return clone(pool, kernel, boot)

        class Damaged(SocketStream):
            def receive_bytes(self) -> bytes:
                return faults.damage(super().receive_bytes())

        Guest.resume = resume_then_fail  # type: ignore[method-assign,assignment]
        Pool._clone = clone_or_fail  # type: ignore[method-assign,assignment]
        guests.guest.SocketStream = Damaged  # type: ignore[attr-defined]

    def _later(self, action: Callable[[], None]) -> None:
        timer = threading.Timer(self._random.random() * LATEST_S, action)
        self._timers.append(timer)
        timer.start()

    def _signal(self, pid: int) -> None:
        """Kill or stop a QEMU, which this process has not waited for yet: its PID belongs to no other process."""
        self._happened = self._kind
        if self._kind == "killed":
            os.kill(pid, signal.SIGKILL)
            return
        os.kill(pid, signal.SIGSTOP)
        time.sleep(STOPPED_S)
        os.kill(pid, signal.SIGCONT)
