# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments of calls: how they are passed to the task, and how the transcript shows them."""

from __future__ import annotations

import enum

import pytest

from guests import call_arguments
from guests.call_arguments import InOut, Out, marshal
from guests.protocol import wire
from guests.uapi import Cap, Clone, Prctl, Signal


class AnyTask:
    tid = 4711

    def __str__(self) -> str:
        return "somebody[4711]"


class Colour(enum.IntEnum):
    RED = 1


class TestMarshalling:
    SLOT = 3
    BASE = 0x10000000 + 3 * 0x20000 + 0x2000

    def test_numbers_and_tasks_are_passed_as_they_are(self) -> None:
        laid = marshal(self.SLOT, [5, -1, None, True, Cap.KILL, AnyTask()])
        assert laid.numbers == [5, -1, 0, 1, 32, 4711]
        assert (laid.writes, laid.reads) == ([], [])

    def test_strings_and_bytes_become_pointers_to_aligned_copies(self) -> None:
        laid = marshal(self.SLOT, ["0123456789abcdef", b"xyz", "last"])
        assert laid.numbers == [self.BASE, self.BASE + 32, self.BASE + 48]
        assert laid.writes == [(0, b"0123456789abcdef\0"), (32, b"xyz"), (48, b"last\0")]
        assert laid.reads == []

    def test_buffers_are_cleared_before_and_read_after_the_call(self) -> None:
        laid = marshal(self.SLOT, [Out(20), InOut(b"ask"), Out(0)])
        assert laid.numbers == [self.BASE, self.BASE + 32, self.BASE + 48]
        assert laid.writes == [(0, bytes(20)), (32, b"ask"), (48, b"")]
        assert laid.reads == [(0, 20), (32, 3), (48, 0)]

    def test_arguments_that_do_not_fit_into_the_slot_are_rejected(self) -> None:
        whole = wire.SLOT_DATA_SIZE
        assert marshal(self.SLOT, [Out(whole)]).reads == [(0, whole)]
        cases: list[list[call_arguments.Argument]] = [
            [Out(whole + 1)],
            [b"x", Out(whole)],
            [Out(whole - 16), 16 * "x"],
        ]
        for too_much in cases:
            with pytest.raises(ValueError, match=f"more than {whole}"):
                marshal(self.SLOT, too_much)

    @pytest.mark.parametrize(
        ("argument", "shown"),
        [
            (0, "0"),
            (-100, "-100"),
            (65535, "65535"),
            (65536, "0x10000"),
            (-4096, "0xfffffffffffff000"),
            (None, "NULL"),
            (True, "1"),
            ("/tmp", '"/tmp"'),  # noqa: S108 - in the guest
            (b"short", "b'short'"),
            (bytes(33), "33 bytes"),
            (Out(4), "out[4]"),
            (InOut(b"12"), "inout[2]"),
            (Prctl.SET_PTRACER, "PRCTL_SET_PTRACER"),
            (Signal.KILL, "SIGNAL_KILL"),
            (Colour.RED, "COLOUR_RED"),
            (Clone.VM | Clone.FS, "VM|FS"),
            (AnyTask(), "somebody[4711]"),
        ],
    )
    def test_the_transcript_shows_readable_arguments(self, argument: call_arguments.Argument, shown: str) -> None:
        assert call_arguments.show(argument) == shown
