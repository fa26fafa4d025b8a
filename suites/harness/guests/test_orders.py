# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders at the agent's limits, the memory of tasks, and the end of a conversation."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Iterator

import psutil
import pytest

from guests.bpf import allow_list
from guests.call_arguments import Out
from guests.errors import AgentError, GuestBroke
from guests.outcome import (
    GONE,
    OK,
    killed,
    returned,
)
from guests.protocol import conversation, wire
from guests.protocol.wire import Op, SpawnOption, State
from guests.uapi import (
    Clone,
    Signal,
    number,
)
from kconfigs.cache import Cache
from suites.harness.guests.fakes import HostSession, await_end, host_session, quiet_child, root_only, x86_only

NR_GETPID, NR_PAUSE = number("getpid", platform.machine()), number("pause", platform.machine())
NR_CLONE = number("clone", platform.machine())


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def host(store: Cache) -> Iterator[HostSession]:
    with host_session(store) as session:
        yield session


def raw_call(*, reads: list[tuple[int, int]], writes: list[tuple[int, bytes]] | None = None) -> bytes:
    return wire.call_body(NR_GETPID, [], reads=reads, writes=writes or [])


def answer(host: HostSession, op: int, slot: int, body: bytes) -> tuple[State, int, bytes]:
    return wire.split_result(host.request(Op(op), slot, body))


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


class TestRefusals:
    @pytest.mark.parametrize(
        ("op", "body"),
        [
            pytest.param(Op.COPY, wire.COPY.pack(0, 0, 0), id="copy"),
            pytest.param(Op.QUIET, b"", id="quiet"),
            pytest.param(Op.LOOP, b"", id="loop"),
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


class TestBeginnings:
    """The agent sleeps until a notification: that of a new task must not be lost."""

    @root_only
    def test_a_quiet_child_whose_parent_waits_for_it(self, host: HostSession) -> None:
        """Neither can notify the agent, which has a higher priority than both, as in a guest, and has to poll."""
        parent = host.child("parent")
        for pid in (host.process.pid, parent.pid):
            os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})
        os.sched_setscheduler(host.process.pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        child = parent.spawn("child", flags=Clone.VFORK | Clone.VM, quiet=True)
        assert child.call("getppid") == returned(parent.pid)
        os.sched_setscheduler(host.process.pid, os.SCHED_OTHER, os.sched_param(0))

    @x86_only
    def test_a_child_that_was_ready_before_its_parent_died_in_clone(self, host: HostSession) -> None:
        tracer = host.child("tracer")
        parent = tracer.spawn("parent")
        tracer.seize_and_stop(parent)
        body = wire.spawn_body(
            child=20, clone_flags=0, name=b"x", uid=0, gid=0, capabilities=0, options=SpawnOption(0)
        )
        sequence = host.send(Op.SPAWN, parent.slot, body, "spawn")
        child = 0
        while not child:
            assert tracer.resume_to_syscall(parent) == OK
            tracer.wait(parent)
            at = tracer.registers(parent)
            child = at["rax"] if at["orig_rax"] == NR_CLONE and at["rax"] < 1 << 31 else 0
        host.wait_until(lambda: psutil.Process(child).status() == psutil.STATUS_SLEEPING, "the child to wait")
        os.kill(parent.pid, signal.SIGKILL)
        assert wire.SPAWN_REPLY.unpack(host.collect(sequence, "spawn"))[0] == 0


class TestTheEnd:
    def test_an_agent_without_a_host_exits_and_leaves_no_task(self, host: HostSession) -> None:
        """Not even threads, grandchildren, orphans, filtered tasks, tasks that ignore signals, or spare children."""
        parent = host.child("parent")
        parent.thread("thread")
        quiet = quiet_child(host)
        assert quiet.install(allow_list(["getpid"])) == OK
        stubborn = parent.spawn("stubborn")
        for caught in (Signal.TERM, Signal.HUP, Signal.INT):
            assert stubborn.ignore(caught) == OK
        headless = parent.spawn("headless")
        headless.thread("lives-on")
        assert headless.exit_thread() == GONE
        tasks = [parent, parent.spawn("child"), parent.orphan("orphan"), quiet, stubborn, headless]
        pids = {*host.children(), *(task.pid for task in tasks)}
        assert len(pids) == len(tasks) + wire.SPARE_CHILDREN - 2
        ends = [os.pidfd_open(pid) for pid in pids]
        try:
            assert host.hang_up() == "kconform: agent: the host is gone: errno 0\n"
            assert {await_end(end) for end in ends} == {True}
        finally:
            for end in ends:
                os.close(end)

    def test_a_frame_that_is_too_long_ends_the_agent(self, host: HostSession) -> None:
        assert host.process.stdin
        spare = os.pidfd_open(host.children()[0])
        os.write(host.process.stdin.fileno(), wire.header(wire.BODY_MAX + 1, Op.POKE, 1, 1, 0))
        assert host.process.wait() == 1
        assert await_end(spare)
        os.close(spare)
        assert host.hang_up() == "kconform: agent: a frame is too long: errno 90\n"

    def test_the_death_of_the_agent_is_a_harness_error(self, host: HostSession) -> None:
        task, children = host.child("task"), host.children()
        os.kill(host.process.pid, signal.SIGKILL)
        host.process.wait()
        with pytest.raises(AgentError, match=r"the agent ended during task\[\d+\]\.getpid\(\)"):
            task.call("getpid")
        for pid in children:
            os.kill(pid, signal.SIGKILL)


class TestWaiting:
    def test_a_wait_ends_at_its_deadline(self, host: HostSession) -> None:
        with pytest.raises(GuestBroke, match="waited 0 s for a miracle, which did not happen"):
            host.wait_until(lambda: False, "a miracle", 0)

    def test_a_hung_call_is_distinguished_from_a_hung_kernel(
        self, host: HostSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = host.child("task")
        sequence = host.send(Op.CALL, task.slot, wire.call_body(NR_PAUSE, []), "pause")
        with pytest.raises(GuestBroke, match=r"^pause did not return within 0 s$"):
            host.collect(sequence, "pause", 0.01)
        monkeypatch.setattr(conversation, "SIGN_OF_LIFE_S", 0.01)
        os.kill(host.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(GuestBroke, match=r"^the kernel has hung since pause: the guest no longer answers"):
                host.collect(sequence, "pause", 0.01)
        finally:
            os.kill(host.process.pid, signal.SIGCONT)
