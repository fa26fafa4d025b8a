# SPDX-License-Identifier: GPL-2.0-or-later
"""Conversations with an agent: how they begin and end, and what a wait for an answer reports."""

from __future__ import annotations

import os
import platform
import signal

import pytest

from guests.bpf import allow_list
from guests.errors import AgentError, GuestBroke
from guests.outcome import GONE, OK
from guests.protocol import conversation, wire
from guests.protocol.wire import Op
from guests.uapi import Signal, number
from suites.harness.guests.fakes import HostSession, await_end, quiet_child


class TestHello:
    def test_the_agent_reports_its_version_and_its_kernel(self, host: HostSession) -> None:
        names = os.uname()
        assert (host.hello.version, host.hello.release, host.hello.machine) == (
            wire.VERSION,
            names.release,
            names.machine,
        )


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
        sequence = host.send(Op.CALL, task.slot, wire.call_body(number("pause", platform.machine()), []), "pause")
        with pytest.raises(GuestBroke, match=r"^pause did not return within 0 s$"):
            host.collect(sequence, "pause", 0.01)
        monkeypatch.setattr(conversation, "SIGN_OF_LIFE_S", 0.01)
        os.kill(host.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(GuestBroke, match=r"^the kernel has hung since pause: the guest no longer answers"):
                host.collect(sequence, "pause", 0.01)
        finally:
            os.kill(host.process.pid, signal.SIGCONT)
