# SPDX-License-Identifier: GPL-2.0-or-later
"""What the groups of a task's words stand on: the call, and a few properties."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guests.memory import Argument
from guests.outcome import Outcome
from guests.wire import Entry

if TYPE_CHECKING:
    from guests.session import Session
    from guests.task import Pending


class Words:
    """A group of words that a task knows.  Each is one system call, or a short fixed row of them."""

    guest: Session
    slot: int
    name: str
    tid: int

    @property
    def pid(self) -> int:
        raise NotImplementedError

    def call(self, name: str | int, *arguments: Argument, entry: Entry = Entry.NATIVE, shown: str = "") -> Outcome:
        raise NotImplementedError

    def begin(self, name: str | int, *arguments: Argument, entry: Entry = Entry.NATIVE, shown: str = "") -> Pending:
        raise NotImplementedError

    def store(self, content: bytes) -> int:
        raise NotImplementedError

    def load(self, address: int, length: int) -> bytes:
        raise NotImplementedError

    def be_quiet(self) -> None:
        raise NotImplementedError

    def take_lead(self) -> None:
        raise NotImplementedError
