# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest is idle when the threads of its processors sleep, and were not woken in the meantime."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from guests.errors import QemuError
from guests.vm.idle_processors import wait_until_idle
from guests.vm.qemu_process import Qemu
from suites.harness.guests import fakes

ECHO = "import os\nwhile byte := os.read(0, 1): os.write(1, byte)"
"""Sleeps until it is poked, like an idle processor."""
SPIN = "import os\nos.write(1, b'x')\nwhile True: pass"


@dataclass
class OneProcessor:
    """A QEMU with a process of this host as its only processor."""

    pid: int
    poke: Callable[[], None] = lambda: None
    poked: int = 0
    commands: int = 0

    @property
    def qmp(self) -> OneProcessor:
        return self

    def execute(self, command: str, _deadline: float) -> list[dict[str, Any]]:
        assert command == "query-cpus-fast"
        self.commands += 1
        if self.commands <= self.poked:
            self.poke()
        return [{"thread-id": self.pid}]


class Processor:
    """A process with one thread."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    def wake(self) -> None:
        """Have it run once."""
        assert self.process.stdin
        self.process.stdin.write(b"x")
        self.read()

    def read(self) -> None:
        assert self.process.stdout
        assert self.process.stdout.read(1) == b"x"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[[str], Processor]]:
    started: list[Processor] = []

    def start(code: str) -> Processor:
        started.append(Processor(code))
        return started[-1]

    yield start
    for one in started:
        one.end()


def wait(qemu: OneProcessor, seconds: float) -> None:
    wait_until_idle(cast("Qemu", qemu), time.monotonic() + seconds)


def test_one_that_sleeps_is_idle(start: Callable[[str], Processor]) -> None:
    sleeping = start(ECHO)
    sleeping.wake()
    wait(OneProcessor(sleeping.process.pid), fakes.DEADLINE_S)


def test_one_that_runs_is_not(start: Callable[[str], Processor]) -> None:
    running = start(SPIN)
    running.read()
    with pytest.raises(QemuError, match="the guest is never idle"):
        wait(OneProcessor(running.process.pid), fakes.SOON_S)


def test_one_that_ran_between_two_commands_is_not_idle_yet(start: Callable[[str], Processor]) -> None:
    """It sleeps at each look, but has been scheduled since."""
    sleeping = start(ECHO)
    qemu = OneProcessor(sleeping.process.pid, poke=sleeping.wake, poked=20)
    wait(qemu, fakes.DEADLINE_S)
    assert qemu.commands > qemu.poked


def test_one_that_has_ended_is_an_error(start: Callable[[str], Processor]) -> None:
    ended = start(ECHO)
    ended.end()
    with pytest.raises(QemuError, match="the thread of a processor cannot be read"):
        wait(OneProcessor(ended.process.pid), fakes.DEADLINE_S)
