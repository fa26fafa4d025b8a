# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory that a task shares with the agent."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.outcome import OK, killed, returned
from guests.protocol import wire
from guests.protocol.wire import Op, State
from guests.uapi import Signal
from suites.harness.guests.fakes import HostSession, answer, raw_call


class TestMemory:
    def test_stored_data_survive_calls_and_can_be_loaded(self, host: HostSession) -> None:
        task = host.child("task")
        one, two = task.store(b"one"), task.store(b"second")
        assert task.call("getcwd", Out(512), 512) == OK
        assert (task.load(one, 3), task.load(two, 6)) == (b"one", b"second")

    def test_each_task_has_its_own_memory(self, host: HostSession) -> None:
        first, second = host.child("first"), host.child("second")
        mine, yours = first.store(b"mine"), second.store(b"yours")
        assert mine != yours
        assert (first.load(mine, 4), second.load(yours, 5)) == (b"mine", b"yours")

    def test_memory_is_limited(self, host: HostSession) -> None:
        task = host.child("task")
        task.store(bytes(wire.SLOT_DATA_SIZE - 0x8000))
        with pytest.raises(ValueError, match="memory is full"):
            task.store(b"x")

    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (wire.SLOT_DATA_SIZE, 1),
            (wire.SLOT_DATA_SIZE - 15, 16),
            (0, wire.SLOT_DATA_SIZE + 1),
            (2**32 - 1, 2),
            (2**32 - 8, 16),
        ],
    )
    def test_memory_outside_of_a_tasks_own_is_not_accessible(
        self, host: HostSession, offset: int, length: int
    ) -> None:
        task = host.child("task")
        piece = wire.PIECE.pack(offset, length)
        refused = (State.REFUSED, -22, b"")
        assert answer(host, Op.PEEK, task.slot, piece) == refused
        assert answer(host, Op.POKE, task.slot, piece + bytes(min(length, 64))) == refused
        assert answer(host, Op.CALL, task.slot, raw_call(reads=[(offset, length)])) == refused
        assert task.call("getpid") == returned(task.pid)

    def test_the_last_byte_of_a_slot_is_accessible(self, host: HostSession) -> None:
        task = host.child("task")
        end = wire.SLOT_DATA_SIZE
        assert answer(host, Op.POKE, task.slot, wire.PIECE.pack(end - 1, 1) + b"!") == (State.RETURNED, 0, b"")
        assert answer(host, Op.PEEK, task.slot, wire.PIECE.pack(end - 1, 1)) == (State.RETURNED, 1, b"!")
        assert answer(host, Op.PEEK, task.slot, wire.PIECE.pack(end, 0)) == (State.RETURNED, 0, b"")

    def test_a_task_copies_as_a_program_would(self, host: HostSession) -> None:
        task = host.child("task")
        source, target = task.store(b"content"), task.store(bytes(7))
        assert task.copy(target, source, 7) == returned(0)
        assert task.load(target, 7) == b"content"

    @pytest.mark.parametrize(("to", "copied"), [(2, b"ababcdef"), (0, b"cdefghgh")], ids=["upwards", "downwards"])
    def test_a_copy_may_overlap_its_source(self, host: HostSession, to: int, copied: bytes) -> None:
        task = host.child("task")
        where = task.store(b"abcdefgh")
        assert task.copy(where + to, where + 2 - to, 6) == returned(0)
        assert task.load(where, 8) == copied

    def test_a_copy_from_unmapped_memory_kills_the_task(self, host: HostSession) -> None:
        task = host.child("task")
        target = task.store(bytes(8))
        assert task.copy(target, 0, 8) == killed(Signal.SEGV)
        assert task.death == killed(Signal.SEGV)
