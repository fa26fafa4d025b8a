# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest may send anything: each call of a test ends in time, with an outcome or one of the project's errors.

The guest replays recorded data of a real agent, damaged at random: either the bytes, or the content of the frames,
with correct checksums.
"""

from __future__ import annotations

import os
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from guests import call_plan
from guests.call_arguments import Out
from guests.call_plan import Plan
from guests.errors import AgentError, GuestBroke, KconformError, ProtocolError
from guests.log import kernel_log
from guests.meeting import Meeting
from guests.protocol import wire
from guests.protocol.channel import Channel
from guests.protocol.deadline import Deadline
from guests.protocol.pipe_stream import PipeStream
from guests.protocol.wire import Event, Frame, Op
from guests.session import Session
from guests.syscall_sweep import sweep
from guests.uapi import Signal
from kconfigs.cache import Cache
from suites.harness.guests import fakes
from suites.harness.guests.protocol.hostile_streams import Logger, Replay

pytestmark = pytest.mark.usefixtures("_impatient")

SEEDS = range(int(os.environ.get("KCONFORM_FUZZ_SEEDS", "60")))
LONGEST_S = 20.0
"""Maximum duration of all calls of a test, on a busy host."""
MEMORY = 32 << 20
"""Maximum memory in bytes that a hostile guest may cause to be used."""
EXPECTED = (KconformError, GuestBroke, AssertionError)
"""The exceptions that a test may end with; an AssertionError means that a call with a valid outcome failed."""


def steps(session: Session) -> Iterator[Callable[[], object]]:
    """The steps of a test; none of them depends on time."""
    yield session.greet
    if not hasattr(session, "init"):
        yield lambda: session.request(Op.HELLO)
        yield session.log
        return
    yield lambda: session.init.spawn("task")
    yield lambda: session.init.spawn("other")
    tasks = [task for task in session._tasks.values() if task is not getattr(session, "init", None)]
    if len(tasks) < 2:
        return
    task, other = tasks
    yield lambda: task.call("getpid")
    yield lambda: task.call("getcwd", Out(512), 512).reads
    yield lambda: task.load(task.store(b"content"), 7)
    yield lambda: task.copy(0x10000000, 0x10000000, 8)
    yield lambda: task.thread("thread")
    yield lambda: sweep(task, range(5000, 5010))
    short = Plan(task.slot)
    short.call("getppid")
    yield lambda: call_plan.run(task, short, 3)
    meeting = Meeting(call_plan.spare_slot(0))
    yield lambda: meeting.begin(session, seed=1)
    yield lambda: meeting.results(session)
    yield lambda: task.catch(Signal.USR1)
    yield task.caught_signals
    yield lambda: session.read_file("/proc/self/comm")
    yield lambda: session.write_file("/dev/null", b"bytes")
    yield session.log
    yield lambda: other.exit(3)
    yield other.wait_death
    yield session.process_tree


class RecordedStream(PipeStream):
    """The stream of a real conversation; `pieces` contains the data received after each request."""

    pieces: list[bytes]

    def send_some(self, data: memoryview) -> int:
        self.pieces.append(b"")
        return super().send_some(data)

    def receive_bytes(self) -> bytes:
        received = super().receive_bytes()
        self.pieces[-1] += received
        return received


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The data that an agent on this host sends during the steps."""
    RecordedStream.pieces = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fakes, "PipeStream", RecordedStream)
        with fakes.host_session(Cache(tmp_path_factory.mktemp("cache"))) as session:
            for step in steps(session):
                if step != session.greet:
                    step()
            return list(RecordedStream.pieces)


def damage(data: bytes, chance: random.Random) -> bytes:
    """The data with a bit flipped, truncated, repeated, or with two parts swapped."""
    if not data:
        return chance.randbytes(20)
    at = chance.randrange(len(data))
    match chance.randrange(4):
        case 0:
            return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        case 1:
            return data[:at]
        case 2:
            return data[:at] + data
    return data[at:] + data[:at]


def reframed(data: bytes, chance: random.Random) -> bytes:
    """Damaged bodies, changed headers, and repeated and swapped frames, all with correct checksums."""
    buffer, frames = bytearray(data), []
    while (frame := wire.split(buffer)) is not None:
        frames.append(frame)
    if frames:
        at = chance.randrange(len(frames))
        one = frames[at]
        body = damage(one.body, chance)[: wire.BODY_MAX]
        changed = [
            Frame(one.op, one.slot, one.sequence, body),
            Frame(one.op, one.slot, one.sequence, one.body + chance.randbytes(chance.randrange(40))),
            Frame(one.op, one.slot, one.sequence + 1, one.body),
            Frame(chance.randrange(70), one.slot, one.sequence, one.body),
            Frame(Event.DEATH, chance.randrange(12), 0, wire.DEATH.pack(chance.getrandbits(31), chance.randrange(4))),
            Frame(one.op, one.slot, one.sequence, wire.RESULT.pack(chance.getrandbits(63), chance.randrange(4))),
        ]
        frames[at : at + chance.randrange(2)] = [chance.choice(changed)] * chance.randrange(1, 3)
        if chance.random() < 0.2:
            chance.shuffle(frames)
    return b"".join(frame.encode() for frame in frames)


def end_of(step: Callable[[], object]) -> Exception | None:
    try:
        step()
    except EXPECTED as error:
        return error
    return None


def meet(pieces: list[bytes]) -> ProtocolError | None:
    """Run the steps against a guest that sends these pieces; return the protocol error that ended them, if any."""
    guest = Replay(pieces)
    began = time.monotonic()
    session = Session(guest, "x86_64")
    first: ProtocolError | None = None
    try:
        for step in steps(session):
            ended = end_of(step)
            if first is not None and step != session.process_tree:
                assert ended is first, "every later call raises the same error"
            first = ended if isinstance(ended, ProtocolError) else first
        assert session.protocol_error is first
        assert len(session._channel._answers) <= session._channel._sequence
    finally:
        guest.close()
    assert time.monotonic() - began < LONGEST_S
    return first


def test_the_undamaged_recording_causes_no_protocol_error(recorded: list[bytes]) -> None:
    """This is the control: without damage, the replay of another conversation is valid."""
    assert meet(recorded) is None


def test_random_bytes_cause_a_protocol_error() -> None:
    for seed in SEEDS:
        chance = random.Random(seed)  # noqa: S311 - not a secret
        pieces = [chance.randbytes(chance.choice([1, 20, 300, 100_000])) for _ in range(30)]
        assert isinstance(meet(pieces), ProtocolError), f"seed {seed}"


@pytest.mark.parametrize("how", [damage, reframed], ids=["on-the-wire", "by-one-who-knows-the-checksums"])
def test_a_damaged_conversation_ends_with_outcomes_or_known_errors(
    recorded: list[bytes], how: Callable[[bytes, random.Random], bytes]
) -> None:
    found = 0
    for seed in SEEDS:
        chance = random.Random(seed)  # noqa: S311 - not a secret
        pieces = list(recorded)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(pieces))
            pieces[at] = how(pieces[at], chance)
        found += meet(pieces) is not None
    assert found > len(SEEDS) / 4


def test_neither_descriptors_nor_memory_leak(recorded: list[bytes]) -> None:
    before = fakes.open_descriptors()
    tracemalloc.start()
    try:
        for seed in range(20):
            chance = random.Random(seed)  # noqa: S311 - not a secret
            meet([reframed(piece, chance) if chance.random() < 0.3 else piece for piece in recorded])
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert fakes.open_descriptors() == before


@pytest.mark.parametrize(
    "record", [b"6,1,1,-;a line\n", b"x", b"6,1,1,-;" + b"BUG: " * 50000], ids=["lines", "no", "long"]
)
def test_the_size_of_an_endless_log_is_limited(record: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of one reading is reduced to 2 MiB to shorten the test."""
    monkeypatch.setattr(Channel, "deadline", lambda _, seconds: Deadline(seconds))
    monkeypatch.setattr(kernel_log, "READ_MAX", 1 << 21)
    guest = Logger(record)
    session = Session(guest, "x86_64")
    session.greet()
    tracemalloc.start()
    try:
        for _ in range(3):
            with pytest.raises(AgentError, match="the kernel logs too much to be read to the end"):
                session.log()
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
        guest.close()
    assert session._log.endless
    assert "the kernel logs faster than its log can be read" in session._log.render()
