# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames, which can be received in any pieces, and the bodies of calls and results."""

from __future__ import annotations

import struct

import pytest

from guests.errors import ProtocolError
from guests.protocol import wire
from guests.protocol.wire import Entry, Frame, Hello, Op, SpawnOption, State
from guests.uapi import Cap, Clone


class TestFrames:
    FRAMES = (Frame(Op.HELLO, 0, 1), Frame(Op.CALL, 511, 2**32 - 1, b"body"), Frame(Op.POKE, 3, 3, bytes(300)))

    @pytest.mark.parametrize("step", [1, 2, 19, 20, 21, 1000])
    def test_frames_are_assembled_from_any_pieces(self, step: int) -> None:
        stream = b"".join(frame.encode() for frame in self.FRAMES)
        buffer, got = bytearray(), []
        for start in range(0, len(stream), step):
            buffer += stream[start : start + step]
            while (frame := wire.split(buffer)) is not None:
                got.append(frame)
        assert tuple(got) == self.FRAMES
        assert not buffer

    def test_data_after_a_frame_stay_in_the_buffer(self) -> None:
        buffer = bytearray(self.FRAMES[0].encode() + b"rest")
        assert wire.split(buffer) == self.FRAMES[0]
        assert buffer == b"rest"
        assert wire.split(buffer) is None

    def test_a_frame_of_the_maximum_size_can_be_sent_but_no_longer_one(self) -> None:
        frame = Frame(Op.POKE, 1, 1, bytes(wire.BODY_MAX))
        assert wire.split(bytearray(frame.encode())) == frame
        with pytest.raises(ValueError, match=f"at most {wire.BODY_MAX}"):
            Frame(Op.POKE, 1, 1, bytes(wire.BODY_MAX + 1)).encode()

    def test_a_frame_that_claims_a_longer_body_is_rejected_immediately(self) -> None:
        with pytest.raises(ProtocolError, match="claims a body"):
            wire.split(bytearray(wire.header(wire.BODY_MAX + 1, Op.HELLO, 0, 1, 0)))

    def test_hello_is_read_back(self) -> None:
        body = wire.HELLO.pack(2, 4096, 0x401000, 0x402000, b"6.12.7", b"x86_64")
        assert Hello.decode(body) == Hello(2, 4096, 0x401000, 0x402000, "6.12.7", "x86_64")

    def test_spawn_truncates_a_name_as_the_kernel_does(self) -> None:
        body = wire.spawn_body(
            child=7,
            clone_flags=Clone.NEWPID,
            name=b"seventeen letters",
            uid=1,
            gid=2,
            capabilities=Cap.ALL,
            options=SpawnOption.BARE | SpawnOption.QUIET,
        )
        assert wire.SPAWN.unpack(body) == (0x20000000, (1 << 41) - 1, 1, 2, 9, 7, b"seventeen lette\0")


class TestCallBodies:
    def test_negative_and_huge_numbers_are_64_bits_wide(self) -> None:
        body = wire.call_body(-1, [-1, -100, 1 << 63, 2**64 - 1, 0, 5])
        number, *arguments, entry, writes, reads = wire.CALL.unpack(body)
        assert number == 2**64 - 1
        assert arguments == [2**64 - 1, 2**64 - 100, 1 << 63, 2**64 - 1, 0, 5]
        assert (entry, writes, reads) == (Entry.NATIVE, 0, 0)

    def test_missing_arguments_are_zero(self) -> None:
        assert wire.CALL.unpack(wire.call_body(39, []))[1:7] == (0,) * 6

    def test_a_seventh_argument_is_rejected(self) -> None:
        with pytest.raises(struct.error):
            wire.call_body(39, [0] * 7)

    def test_pieces_follow_in_their_order(self) -> None:
        body = wire.call_body(0, [], entry=Entry.INT80, writes=[(0, b"ab"), (16, b"c")], reads=[(32, 4)])
        assert wire.CALL.unpack_from(body)[7:] == (Entry.INT80, 2, 1)
        assert body[wire.CALL.size :] == (
            wire.PIECE.pack(0, 2) + b"ab" + wire.PIECE.pack(16, 1) + b"c" + wire.PIECE.pack(32, 4)
        )

    def test_results_are_read_back(self) -> None:
        body = wire.RESULT.pack(-13, State.RETURNED) + b"abcde"
        assert wire.split_result(body) == (State.RETURNED, -13, b"abcde")
        assert wire.split_reads(b"abcde", (2, 0, 3)) == (b"ab", b"", b"cde")

    def test_an_unknown_state_is_an_error(self) -> None:
        with pytest.raises(ProtocolError, match="no state 9"):
            wire.split_result(wire.RESULT.pack(0, 9))
