# SPDX-License-Identifier: GPL-2.0-or-later
"""The codec, on any value and any bytes: each side reads what the other writes; other bytes are a ProtocolError."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.text import printable
from guests.abi import Abi
from guests.abis import X86_64
from guests.errors import ProtocolError
from guests.guest_text import escaped
from guests.log import kernel_log, taint
from guests.protocol import meeting_layout, wire
from guests.protocol.channel import Channel
from guests.protocol.wire import Frame, Hello, Op, State
from guests.vm.console import clean

U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
S16, S32, S64 = (st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (16, 32, 64))
FRAMES = st.builds(Frame, op=U16, slot=U16, sequence=U32, body=st.binary(max_size=200))

DECODERS: dict[str, Callable[[bytes], object]] = {
    "frame": lambda body: wire.split(bytearray(body)),
    "hello": Hello.decode,
    "spawn": wire.split_spawn_reply,
    "death": wire.split_death,
    "result": wire.split_result,
    "content": lambda body: wire.split_content(body, 64),
    "reads": lambda body: wire.split_reads(body, [1, 2]),
    "counts": lambda body: wire.split_counts(body, 3),
    "caught": lambda body: wire.split_caught(body[1:], body[0] if body else 0),
    "sweep": lambda body: wire.split_sweep(body, 5),
    "log": lambda body: kernel_log.Log().add(body.decode(errors="replace"), complete=True),
    "taint": lambda body: taint.read(Answering(body)),
}


class Answering(Channel):
    """A channel whose answers all have this body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def request(self, op: Op, slot: int = 0, body: bytes = b"", deadline: float = 0) -> Frame:  # noqa: ARG002
        return Frame(op, slot, 1, self._body)


@given(st.lists(FRAMES, max_size=5), st.integers(1, 50))
def test_frames_are_read_back_in_any_pieces(frames: list[Frame], step: int) -> None:
    stream, buffer, got = b"".join(frame.encode() for frame in frames), bytearray(), []
    for start in range(0, len(stream), step):
        buffer += stream[start : start + step]
        while (frame := wire.split(buffer)) is not None:
            got.append(frame)
    assert (got, bytes(buffer)) == (frames, b"")


@given(FRAMES, st.data())
def test_a_flipped_bit_is_detected(frame: Frame, data: st.DataObject) -> None:
    """It is detected anywhere in a frame, as soon as that frame has arrived."""
    damaged = bytearray(frame.encode())
    bit = data.draw(st.integers(0, 8 * len(damaged) - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProtocolError, match="does not match its checksum"):
        wire.split(damaged)


@given(U32.filter(lambda length: length > wire.BODY_MAX), U16, U16, U32)
def test_a_frame_that_is_too_long_is_rejected_despite_a_correct_checksum(
    length: int, op: int, slot: int, sequence: int
) -> None:
    with pytest.raises(ProtocolError, match="claims a body"):
        wire.split(bytearray(wire.header(length, op, slot, sequence, 0)))


@given(st.sampled_from(State), S64, st.lists(st.binary(max_size=30), max_size=4))
def test_results_are_read_back(state: State, value: int, reads: list[bytes]) -> None:
    body = wire.RESULT.pack(value, state) + b"".join(reads)
    assert wire.split_result(body) == (state, value, b"".join(reads))
    assert wire.split_reads(b"".join(reads), [len(read) for read in reads]) == tuple(reads)


@given(st.integers(-4095, 0), st.integers(0, 1 << 22), st.integers(0, 1 << 22))
def test_answers_to_spawns_are_read_back(error: int, tid: int, own: int) -> None:
    assert wire.split_spawn_reply(wire.SPAWN_REPLY.pack(error, tid, own)) == (error, tid, own)


@given(S32, st.sampled_from([State.DIED, State.GONE]))
def test_deaths_are_read_back(status: int, state: State) -> None:
    assert wire.split_death(wire.DEATH.pack(status, state)) == (state, status)


@given(st.lists(S16, max_size=wire.SWEEP_COUNT))
def test_sweeps_are_read_back(values: list[int]) -> None:
    assert wire.split_sweep(struct.pack(f"<{len(values)}h", *values), len(values)) == tuple(values)


@given(U64, st.lists(U64, max_size=6), st.lists(st.tuples(U32, st.binary(max_size=20)), max_size=3))
def test_calls_have_the_layout_that_the_agent_reads(
    number: int, arguments: list[int], writes: list[tuple[int, bytes]]
) -> None:
    body = wire.call_body(number, arguments, writes=writes, reads=[(7, 8)])
    head = wire.CALL.unpack_from(body)
    assert head == (number, *arguments, *[0] * (6 - len(arguments)), 0, len(writes), 1)
    at = wire.CALL.size
    for offset, content in writes:
        assert wire.PIECE.unpack_from(body, at) == (offset, len(content))
        at += wire.PIECE.size + len(content)
        assert body[at - len(content) : at] == content
    assert body[at:] == wire.PIECE.pack(7, 8)


OUTCOMES = st.dictionaries(st.tuples(S64, S64), st.tuples(st.integers(1, 99), U32), max_size=5)


@pytest.mark.parametrize("abi", [X86_64, replace(X86_64, byte_order="big")], ids=lambda abi: abi.byte_order)
@given(outcomes=OUTCOMES, overlaps=U32, lost=st.integers(0, 9), wrong=st.integers(0, 2))
def test_meetings_are_read_back(
    abi: Abi, outcomes: dict[tuple[int, int], tuple[int, int]], overlaps: int, lost: int, wrong: int
) -> None:
    """Its counts must add up to its rounds, and each outcome is counted in one place."""
    rows = [
        (*counted, *results, *[0] * (meeting_layout.MEETING_WATCHED - 2)) for results, counted in outcomes.items()
    ]
    rounds = sum(count for count, _ in outcomes.values()) + lost
    head = (0, 0, rounds + (wrong == 1), overlaps, lost, 2, 0, 0)
    if wrong == 2 and rows:
        rows.append(rows[0])
    whole = bytearray(meeting_layout.meeting_body(abi, seed=0, longest=0, watches=()))
    abi.layout(meeting_layout.MEETING).pack_into(whole, 0, *head)
    outcome = abi.layout(meeting_layout.OUTCOME)
    start = len(whole) - meeting_layout.MEETING_OUTCOMES * outcome.size
    for number, row in enumerate(rows):
        outcome.pack_into(whole, start + number * outcome.size, *row)
    if wrong == 1 or (wrong == 2 and rows):
        with pytest.raises(ProtocolError, match="has counted other ones, or the same twice"):
            meeting_layout.split_meeting(abi, bytes(whole), 2)
    else:
        assert meeting_layout.split_meeting(abi, bytes(whole), 2) == (rounds, overlaps, lost, outcomes)
    with pytest.raises(ProtocolError, match="instead of"):
        meeting_layout.split_meeting(abi, bytes(whole[:-1]), 2)


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=300)
@given(body=st.binary(max_size=400))
def test_any_bytes_give_a_value_or_a_protocol_error(name: str, body: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        DECODERS[name](body)


@pytest.mark.parametrize("name", [name for name in DECODERS if name not in ("frame", "log")])
@settings(max_examples=200)
@given(data=st.data())
def test_so_do_bodies_of_approximately_the_right_length(name: str, data: st.DataObject) -> None:
    """Most random bodies have a wrong length, and are rejected before their content is examined."""
    sizes = {
        "hello": wire.HELLO.size,
        "spawn": wire.SPAWN_REPLY.size,
        "death": wire.DEATH.size,
        "counts": wire.PLAN_STEPS * wire.PLAN_ERRORS * wire.COUNT.size,
        "reads": 3,
        "sweep": 10,
        "caught": 1 + wire.CAUGHT.size,
        "taint": wire.RESULT.size + 5,
    }
    size = sizes.get(name, wire.RESULT.size)
    body = data.draw(st.binary(min_size=size, max_size=size))
    if name in ("taint", "content", "result"):
        value = data.draw(st.one_of(st.just(len(body) - wire.RESULT.size), S64))
        body = wire.RESULT.pack(value, data.draw(st.integers(0, 5))) + body[wire.RESULT.size :]
    with contextlib.suppress(ProtocolError):
        DECODERS[name](body)


class TestText:
    """Text from a guest that is printed on a terminal."""

    NASTY = "\x1b[2J\x1b]0;title\x07 \x00 \x9b31m \u202e \u2066 \u2028 \x85 \x7f"

    @given(st.text())
    def test_the_only_unprintable_characters_left_are_newlines_and_tabs(self, text: str) -> None:
        for shown in (escaped(text), clean(text), kernel_log.unescape(text)):
            assert all(char.isprintable() or char in "\n\t" for char in shown)
            assert escaped(shown) == shown
        assert printable(text).isprintable()

    def test_printable_text_is_unchanged(self) -> None:
        assert escaped("a line\n\tcafé \\ 日本") == "a line\n\tcafé \\ 日本"

    @pytest.mark.parametrize("char", sorted(set(NASTY) - set("[2J]0;title 31m")), ids=lambda char: f"{ord(char):04x}")
    def test_control_characters_are_escaped(self, char: str) -> None:
        code = ord(char)
        assert escaped(f"a{char}b") == (f"a\\x{code:02x}b" if code < 256 else f"a\\u{code:04x}b")

    def test_records_of_the_log_are_escaped(self) -> None:
        raw = r"2,1,5,-;BUG: \x1b[2J \x1b]0;x\x07\x00\xe2\x80\xae" + "\n"
        (record,) = kernel_log.parse(raw)
        assert record.text == r"BUG: \x1b[2J \x1b]0;x\x07\x00\u202e"

    def test_lines_after_the_first_of_a_record_are_indented(self) -> None:
        """They look neither like a command for a CI system, nor like another record."""
        raw = r"2,1,5,-;harmless\x0a::error file=a.c,line=1::forged\x0a[    9.000000] BUG: forged"
        (record,) = kernel_log.parse(raw)
        assert kernel_log.render([record]).splitlines() == [
            "[    0.000005] harmless",
            "               ::error file=a.c,line=1::forged",
            "               [    9.000000] BUG: forged",
        ]
