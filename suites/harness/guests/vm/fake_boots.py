# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots without QEMU, for tests of boots and templates."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guests.protocol import wire
from guests.protocol.deadline import Deadline
from guests.protocol.wire import Frame, Op, State
from guests.vm.qemu_command import VirtualMachine

SIZE = 4 << 20
KERNEL = {"kernel": "abc"}

Playing = Callable[[str], Path]
"""Have a boot start a script with this body instead of QEMU."""


@dataclass
class FakeQemu:
    """A booted QEMU that saves its state."""

    paused: str = ""
    status: dict[str, str] = field(default_factory=lambda: {"status": "completed"})
    commands: list[str] = field(default_factory=list)

    @property
    def qmp(self) -> FakeQemu:
        return self

    def execute(self, command: str, _deadline: float, **_arguments: Any) -> dict[str, str]:
        self.commands.append(command)
        return self.status if command == "query-migrate" else {}

    def event(self, names: set[str], _deadline: float) -> dict[str, Any]:
        assert names == {"MIGRATION"}
        return {"event": "MIGRATION", "data": {"status": self.status["status"]}}

    def give_descriptor(self, descriptor: int, _name: str, _deadline: float) -> None:
        os.write(descriptor, b"state of devices")

    def why_ended(self) -> str:
        return "QEMU exited with 0"

    def ended(self) -> bool:
        return False

    def pause(self) -> str:
        return self.paused


@dataclass
class FakeBoots:
    """Replaces `booted`: counts the boots, and writes to the RAM that it receives."""

    qemu: FakeQemu = field(default_factory=FakeQemu)
    times: int = 0
    error: Exception | None = None
    taint: bytes | None = b"512\n"
    log: bytes = b"6,1,0,-;Linux\n"
    starved_s: float = 0.0

    @contextlib.contextmanager
    def __call__(
        self, _machine: VirtualMachine, *, extra: Sequence[str], pass_fds: Sequence[int]
    ) -> Iterator[FakeBoots]:
        self.times += 1
        assert any("share=on" in word for word in extra)
        ram, _state = pass_fds
        assert os.fstat(ram).st_size == SIZE
        os.pwrite(ram, b"kernel", 1 << 20)
        os.pwrite(ram, b"stack", SIZE - 5)
        if self.error:
            raise self.error
        self.lines = [self.log, b""]
        yield self

    @property
    def channel(self) -> FakeBoots:
        return self

    @property
    def console(self) -> FakeBoots:
        return self

    @property
    def host_time(self) -> FakeBoots:
        return self

    def excuse(self, limit_s: float) -> str:
        return "QEMU waited for a processor" if self.starved_s > limit_s / 2 else ""

    def request(self, op: Op) -> Frame:
        if op is Op.TAINT:
            value = -9 if self.taint is None else len(self.taint)
            return Frame(op, 0, 0, wire.RESULT.pack(value, State.RETURNED) + (self.taint or b""))
        return Frame(op, 0, 0, self.lines.pop(0))

    def deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds)

    def text(self) -> str:
        return "Linux\n"
