# SPDX-License-Identifier: GPL-2.0-or-later
"""A record of a conversation with an agent: orders, answers, events and waits, in the order in which they came.

A reproducer is made from it (guests/reproducer/).  Nothing is copied or decoded while a test runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from guests.protocol.wire import Frame, Op

MOST = 20_000
"""Maximum number of entries.  A test that needs more makes load, and its record would be of no use to a reader."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request to the agent."""

    op: Op
    slot: int
    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Collected:
    """The answer to a request, when the test took it."""

    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """Whether the answer to a request had arrived when the test asked."""

    sequence: int
    arrived: bool


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, when it was delivered."""

    frame: Frame


# What a test waits for.


@dataclass(frozen=True, slots=True)
class TaskEnds:
    slot: int


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task is in one of these states, which are letters of proc(5)."""

    slot: int
    letters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallBlocks:
    """A task sleeps in this call, or the call has finished."""

    sequence: int


@dataclass(frozen=True, slots=True)
class LogContains:
    words: str


@dataclass(frozen=True, slots=True)
class AnyCondition:
    """A condition that only the test knows; `what` is its description."""

    what: str


Awaited = TaskEnds | TaskState | CallBlocks | LogContains | AnyCondition


@dataclass(frozen=True, slots=True)
class WaitBegins:
    awaited: Awaited


@dataclass(frozen=True, slots=True)
class WaitTries:
    """The condition is evaluated.  Evaluations without any request are recorded as one."""


@dataclass(frozen=True, slots=True)
class WaitEnds:
    """The condition has become true."""


Entry = Sent | Collected | Asked | Happened | WaitBegins | WaitTries | WaitEnds


@dataclass
class Record:
    """The entries since the agent's first answer."""

    entries: list[Entry] = field(default_factory=list)
    complete: bool = True

    def add(self, entry: Entry) -> None:
        if isinstance(entry, WaitTries) and self.entries and isinstance(self.entries[-1], WaitTries):
            return
        if len(self.entries) < MOST:
            self.entries.append(entry)
        else:
            self.complete = False
