# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests that the agent refuses."""

from __future__ import annotations

import pytest

from guests.outcome import OK, returned
from guests.protocol import wire
from guests.protocol.wire import Op, SpawnOption, State
from guests.uapi import Clone
from suites.harness.guests.fakes import HostSession, answer, raw_call


class TestRefusals:
    @pytest.mark.parametrize(
        ("op", "body"),
        [
            pytest.param(Op.COPY, wire.COPY.pack(0, 0, 0), id="copy"),
            pytest.param(Op.QUIET, b"", id="quiet"),
            pytest.param(Op.RUN_PLAN, b"", id="run-plan"),
            pytest.param(Op.SWEEP, bytes(wire.SWEEP.size), id="sweep"),
        ],
    )
    def test_init_refuses_orders_that_are_for_tasks(self, host: HostSession, op: Op, body: bytes) -> None:
        """It would wait for itself forever."""
        assert answer(host, op, 0, body) == (State.REFUSED, -22, b"")
        assert host.init.call("getpid") == OK

    @pytest.mark.parametrize(
        ("count", "left_out", "sent"),
        [(wire.SWEEP_COUNT + 1, 0, 0), (1, wire.SWEEP_LEFT_OUT + 1, wire.SWEEP_LEFT_OUT + 1), (1, 2, 1)],
        ids=["too-many", "too-many-left-out", "cut-short"],
    )
    def test_a_sweep_that_is_too_long_is_refused(
        self, host: HostSession, count: int, left_out: int, sent: int
    ) -> None:
        task = host.child("task")
        body = wire.SWEEP.pack(*[0] * 6, 5000, count, 0, left_out) + bytes(4 * sent)
        assert answer(host, Op.SWEEP, task.slot, body) == (State.REFUSED, -22, b"")
        assert task.call("getpid") == returned(task.pid)

    def test_more_buffers_than_a_call_can_have_are_refused(self, host: HostSession) -> None:
        task = host.child("task")
        most = [(0, 1)] * wire.READS_MAX
        assert answer(host, Op.CALL, task.slot, raw_call(reads=most))[2] == bytes(wire.READS_MAX)
        assert answer(host, Op.CALL, task.slot, raw_call(reads=[*most, (0, 1)])) == (State.REFUSED, -22, b"")

    def test_more_bytes_than_a_frame_can_carry_are_refused(self, host: HostSession) -> None:
        task = host.child("task")
        whole = wire.BODY_MAX - wire.RESULT.size
        exact = [(0, wire.SLOT_DATA_SIZE)] * (whole // wire.SLOT_DATA_SIZE) + [(0, whole % wire.SLOT_DATA_SIZE)]
        assert len(answer(host, Op.CALL, task.slot, raw_call(reads=exact))[2]) == whole
        assert answer(host, Op.CALL, task.slot, raw_call(reads=[*exact, (0, 1)])) == (State.REFUSED, -22, b"")

    def test_a_piece_to_write_that_does_not_fit_is_refused(self, host: HostSession) -> None:
        task = host.child("task")
        body = raw_call(reads=[], writes=[(wire.SLOT_DATA_SIZE - 1, b"ab")])
        assert answer(host, Op.CALL, task.slot, body) == (State.REFUSED, -22, b"")

    @pytest.mark.parametrize("slot", [wire.SLOT_COUNT, 0xFFFF])
    @pytest.mark.parametrize("op", [Op.CALL, Op.PEEK, Op.POKE, Op.QUIET, Op.CAUGHT])
    def test_an_order_for_a_nonexistent_slot_is_refused(self, host: HostSession, op: Op, slot: int) -> None:
        state, value, _ = answer(host, op, slot, bytes(wire.CALL.size))
        assert (state, value) in {(State.REFUSED, -22), (State.REFUSED, -3)}

    def test_an_unknown_order_is_refused(self, host: HostSession) -> None:
        host._channel.send(60)  # type: ignore[arg-type]
        assert wire.split_result(host._channel.collect(2).body) == (State.REFUSED, -22, b"")

    @pytest.mark.parametrize("child", [0, 1, wire.SLOT_COUNT, 2**32 - 1])
    def test_a_new_task_needs_a_free_slot(self, host: HostSession, child: int) -> None:
        assert host.child("first").slot == 1
        body = wire.spawn_body(
            child=child, clone_flags=0, name=b"x", uid=0, gid=0, capabilities=0, options=SpawnOption(0)
        )
        assert wire.SPAWN_REPLY.unpack(host.request(Op.SPAWN, 0, body))[0] == -22
        assert host.child("second").call("getpid") == OK

    @pytest.mark.parametrize("flags", [Clone.VFORK, Clone.NONE], ids=["child-with-flags", "child-of-a-child"])
    def test_other_children_cannot_use_the_slots_of_spare_children(self, host: HostSession, flags: Clone) -> None:
        parent = host.init if flags else host.child("first")
        body = wire.spawn_body(
            child=wire.SPARE_CHILDREN,
            clone_flags=flags,
            name=b"x",
            uid=0,
            gid=0,
            capabilities=0,
            options=SpawnOption(0),
        )
        assert wire.SPAWN_REPLY.unpack(host.request(Op.SPAWN, parent.slot, body))[0] == -22
