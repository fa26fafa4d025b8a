# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel of a replay: its other end is a record, of which some answers may be altered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from _pytest.outcomes import OutcomeException

from guests.outcome import Expected, Outcome
from guests.protocol.channel import Channel, Closed, NoAnswer
from guests.protocol.deadline import Deadline
from guests.protocol.record import Asked, Collected, Entry, Happened, Record, Sent, WaitBegins, WaitEnds, WaitTries
from guests.protocol.wire import Frame, Op


class Diverged(OutcomeException):
    """The replayed test does something else than what was recorded.

    Not an Exception, so that no test catches it; and of pytest's own kind, because pytest does not tear down a
    fixture that raises any other, and cannot set it up again (_pytest/fixtures.py: pytest_fixture_setup(),
    FixtureDef.finish()).
    """


@dataclass(frozen=True)
class Changes:
    """What is altered in a replay: answers by the number of their request, and the PID of init."""

    answers: Mapping[int, bytes] = field(default_factory=dict)
    asked: Mapping[int, bool] = field(default_factory=dict)
    """By position in the record."""
    events: Mapping[int, bytes] = field(default_factory=dict)
    """Bodies of events, by position in the record."""
    init: int = 0
    """0 leaves the recorded one."""


@dataclass(frozen=True)
class ComparedOutcome:
    """A comparison of an outcome: of the call with this number, or of the end of the task in this slot."""

    sequence: int
    slot: int
    outcome: Outcome
    expected: Expected
    matched: bool


@dataclass
class Replayed:
    """The course of a replay."""

    verdict: str = "passed"
    """passed, failed (as a test does that finds a promise broken), unprepared, or diverged."""
    identity: tuple[str, ...] = ()
    """Where it ended and why, without numbers: the same for two replays that end alike."""
    text: str = ""
    """The message of the error, with numbers."""
    error: BaseException | None = None
    length: int = 0
    """The number of entries of the record that were replayed."""
    sent: dict[int, Sent] = field(default_factory=dict)
    """The requests, by their position in the record."""
    waits: dict[int, WaitBegins] = field(default_factory=dict)
    """The waits, by their position in the record."""
    comparisons: list[ComparedOutcome] = field(default_factory=list)
    unanswered: int = 0
    """The number of a request that the kernel never answered, if the test waited for its answer in vain."""
    compared: list[object] = field(default_factory=list)
    """The right side of the comparison in the assertion that failed."""

    def ends_like(self, other: Replayed) -> bool:
        return (self.verdict, self.identity) == (other.verdict, other.identity)

    def ends_before(self, other: Replayed) -> bool:
        """Whether it did not get as far: fewer entries were replayed, or it ended at an earlier place of the test."""
        if self.verdict == "passed" or self.length > other.length:
            return False
        if self.length < other.length:
            return True
        pairs = zip(self.places, other.places, strict=False)
        (file, line), (others_file, others_line) = next(
            (pair for pair in pairs if pair[0] != pair[1]), (("", 0),) * 2
        )
        return file == others_file and line < others_line

    @property
    def places(self) -> list[tuple[str, int]]:
        """File and line of each frame of the suites in which it ended, the outermost first."""
        return [(file, int(line)) for file, _, line in (place.rpartition(":") for place in self.identity[2:])]


class NoStream:
    """A stream that is never used."""

    def fileno(self) -> int:
        return -1

    def writing_fileno(self) -> int:
        return -1

    def send_some(self, data: memoryview) -> int:  # noqa: ARG002
        raise Diverged("there is no agent")

    def receive_bytes(self) -> bytes:
        raise Diverged("there is no agent")


class _Waits(Record):
    """Takes the waits of the conversation; everything else is known already."""

    def __init__(self, channel: ReplayChannel) -> None:
        super().__init__()
        self._channel = channel

    def add(self, entry: Entry) -> None:
        if isinstance(entry, WaitBegins | WaitEnds):
            self._channel.meet(entry)
        elif isinstance(entry, WaitTries):
            self._channel.meet_try()


class _RecordedTime(Deadline):
    """A deadline that passes when nothing else was recorded before it."""

    def __init__(self, more_happens: Callable[[], bool]) -> None:
        super().__init__(0.0)
        self._more_happens = more_happens

    def left(self) -> float:
        return 1.0 if self._more_happens() else 0.0


class ReplayChannel(Channel):
    """A channel whose other end is a record."""

    def __init__(self, record: Record, on_event: Callable[[Frame], None], changes: Changes, course: Replayed) -> None:
        super().__init__(NoStream(), on_event)
        self._entries = record.entries
        self._changes = changes
        self._course = course
        self._answered = {entry.sequence for entry in record.entries if isinstance(entry, Collected)}
        self._position = 0
        self._wait_begins = False
        self.latest = 0
        """The number of the request whose answer was collected last."""
        self.record = _Waits(self)

    def _next(self) -> Entry:
        """The next entry, after all events before it are delivered."""
        self._deliver_events()
        if self._position >= len(self._entries):
            raise Diverged("the record ends here")
        self._position += 1
        self._course.length = self._position
        return self._entries[self._position - 1]

    def _deliver_events(self) -> None:
        while self._position < len(self._entries):
            entry = self._entries[self._position]
            if not isinstance(entry, Happened):
                return
            frame = entry.frame
            if (body := self._changes.events.get(self._position)) is not None:
                frame = Frame(frame.op, frame.slot, frame.sequence, body)
            self._position += 1
            self._course.length = self._position
            self._on_event(frame)

    def send(self, op: Op, slot: int = 0, body: bytes = b"") -> int:
        entry = self._next()
        if not isinstance(entry, Sent) or (entry.op, entry.slot) != (op, slot):
            raise Diverged(f"{op.name} to slot {slot} instead of {entry}")
        self._course.sent[self._position - 1] = Sent(op, slot, entry.sequence, body)
        return entry.sequence

    def answered(self, sequence: int) -> bool:
        entry = self._next()
        if not isinstance(entry, Asked) or entry.sequence != sequence:
            raise Diverged(f"a question about {sequence} instead of {entry}")
        return self._changes.asked.get(self._position - 1, entry.arrived)

    def collect(self, sequence: int, deadline: float = 0) -> Frame:  # noqa: ARG002
        if sequence not in self._answered:
            self._course.unanswered = sequence
            self._deliver_events()
            raise Closed("the record ends") if self._position >= len(self._entries) else NoAnswer
        entry = self._next()
        if not isinstance(entry, Collected) or entry.sequence != sequence:
            raise Diverged(f"the answer to {sequence} is wanted instead of {entry}")
        self.latest = sequence
        return Frame(0, 0, sequence, self._changes.answers.get(sequence, entry.body))

    def meet(self, entry: WaitBegins | WaitEnds) -> None:
        found = self._next()
        if type(found) is not type(entry):
            raise Diverged(f"{entry} instead of {found}")
        if isinstance(entry, WaitBegins):
            self._course.waits[self._position - 1] = entry
            self._wait_begins = True

    def meet_try(self) -> None:
        """The condition of a wait is evaluated again; evaluations without any request are one entry."""
        self._deliver_events()
        if self._position < len(self._entries) and isinstance(self._entries[self._position], WaitTries):
            self._next()

    def wait(self, until: Callable[[], bool], deadline: float = 0) -> bool:  # noqa: ARG002
        self._deliver_events()
        return until()

    def deadline(self, seconds: float) -> Deadline:  # noqa: ARG002
        # A wait asks for its deadline first; other deadlines are of no interest.
        begins, self._wait_begins = self._wait_begins, False
        return _RecordedTime(self._more_happens if begins else lambda: True)

    def _more_happens(self) -> bool:
        """Whether the condition of a wait was evaluated again, or something has happened meanwhile."""
        following = self._entries[self._position] if self._position < len(self._entries) else None
        return isinstance(following, WaitTries | Happened)

    def check(self) -> None:
        pass
