# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals that tasks catch, ignore and block."""

from __future__ import annotations

import struct

from guests.bpf import policy, trap
from guests.outcome import EINTR, EINVAL, OK, returned
from guests.protocol import wire
from guests.uapi import Signal
from suites.harness.guests.fakes import HostSession, quiet_child, status_of


class TestSignals:
    def test_a_caught_signal_is_reported_with_its_siginfo(self, host: HostSession) -> None:
        task, sender = host.child("task"), host.child("sender")
        assert task.catch(Signal.USR1) == OK
        assert task.caught_signals() == []
        assert sender.kill(task, Signal.USR1) == OK
        host.wait_until(lambda: len(task.caught_signals()) == 1, "the signal")
        (caught,) = task.caught_signals()
        assert (caught.signal, caught.code, caught.errno) == (Signal.USR1, 0, 0)
        assert task.call("getpid") == returned(task.pid)

    def test_a_signal_interrupts_a_call_that_blocks(self, host: HostSession) -> None:
        task = host.child("task")
        assert task.catch(Signal.USR1) == OK
        call = task.begin("pause")
        call.wait_until_blocked()
        assert host.child("sender").kill(task, Signal.USR1) == OK
        assert call.outcome() == EINTR
        assert [one.signal for one in task.caught_signals()] == [Signal.USR1]

    def test_the_last_of_many_signals_are_kept_oldest_first(self, host: HostSession) -> None:
        task = host.child("task")
        sent = [34 + number for number in range(wire.CAUGHT_MAX + 3)]
        for number in sent:
            assert task.call("rt_sigaction", number, self.action(host), None, 8) == OK
            assert task.call("kill", task.pid, number) == OK
        assert [one.signal for one in task.caught_signals()] == sent[-wire.CAUGHT_MAX :]

    @staticmethod
    def action(host: HostSession) -> bytes:
        return struct.pack("<QQQQ", host.hello.signal_handler, 0x04000004, host.hello.signal_restorer, 0)

    def test_the_handler_sets_the_result_until_it_is_reconfigured(self, host: HostSession) -> None:
        """Reading the caught signals does not reconfigure the handler."""
        task = quiet_child(host)
        assert task.catch(Signal.SYS, result=42) == OK
        assert task.install(policy(trap("getppid", data=7))) == OK
        for _ in range(2):
            assert task.call("getppid") == returned(42)
            assert task.caught_signals()[-1].errno == 7
        assert task.catch(Signal.SYS, result=-22) == OK
        assert task.call("getppid") == EINVAL
        assert task.call("getpid") == returned(task.pid)

    def test_an_ignored_signal_does_nothing(self, host: HostSession) -> None:
        task = host.child("task")
        assert task.ignore(Signal.TERM) == OK
        assert task.call("kill", task.pid, Signal.TERM) == OK
        assert task.death is None

    def test_a_blocked_signal_waits(self, host: HostSession) -> None:
        task = host.child("task")
        assert task.block(Signal.TERM) == OK
        assert task.call("kill", task.pid, Signal.TERM) == OK
        assert int(status_of(task)["SigPnd"], 16) | int(status_of(task)["ShdPnd"], 16) == 1 << (Signal.TERM - 1)
