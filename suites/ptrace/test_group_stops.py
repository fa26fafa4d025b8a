# SPDX-License-Identifier: GPL-2.0-or-later
"""Stops by signals and by job control: what a tracer may do in each, and what its tracee gets afterwards."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.call_plan import give_realtime_priority, share_a_processor
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINVAL, EIO, ESRCH, OK, Outcome, returned
from guests.syscalls.ptrace import WaitStatus
from guests.task import Task
from guests.uapi import PTRACE_EVENT_STOP, SIGINFO_SIZE, Ptrace, PtraceOption, Signal

SI_USER, SI_QUEUE = 0, -1
NUMBER = 7
"""An errno that siginfo has for no signal of kill()."""


def siginfo(tracer: Task, tracee: Task) -> Outcome:
    return tracer.ptrace(Ptrace.GETSIGINFO, tracee, 0, Out(SIGINFO_SIZE))


def stop_of_a_group(guest: Guest) -> tuple[Task, Task]:
    """A tracer, and its tracee, which it has seized, and SIGSTOP has stopped."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    tracer.seize(tracee).result()
    tracer.kill(tracee, Signal.STOP).result()
    require(tracer.wait(tracee).event == 0, "SIGSTOP led to another stop than its own")
    tracer.resume(tracee, Signal.STOP).result()
    require(tracer.wait(tracee).event == PTRACE_EVENT_STOP, "SIGSTOP did not stop the process")
    return tracer, tracee


@pytest.mark.requirement("ptrace.listen")
def test_listening_in_another_stop(guest: Guest) -> None:
    """A tracer does not listen for the end of a stop that has no such end: one by a signal, or none at all."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    tracer.seize(tracee).result()
    assert tracer.ptrace(Ptrace.LISTEN, tracee) == ESRCH
    tracer.kill(tracee, Signal.USR1).result()
    assert tracer.wait(tracee).stopped_by == Signal.USR1
    assert tracer.ptrace(Ptrace.LISTEN, tracee) == EIO
    # The tracee has remained stopped.
    assert tracer.set_options(tracee, PtraceOption.NONE) == OK
    assert tracer.resume(tracee) == OK
    assert tracee.call("getppid") == OK


@pytest.mark.requirement("ptrace.listen")
def test_listening(guest: Guest) -> None:
    """While a tracer listens, its tracee remains stopped, and takes no other requests, until it is to continue."""
    tracer, tracee = stop_of_a_group(guest)
    assert tracer.set_options(tracee, PtraceOption.NONE) == OK
    assert tracer.ptrace(Ptrace.LISTEN, tracee) == OK
    assert tracer.set_options(tracee, PtraceOption.NONE) == ESRCH
    assert tracer.resume(tracee) == ESRCH
    assert tracee.state() == "t"
    tracer.kill(tracee, Signal.CONT).result()
    status = tracer.wait(tracee)
    assert (status.stopped_by, status.event) == (Signal.TRAP, PTRACE_EVENT_STOP)
    assert tracer.resume(tracee) == OK
    assert tracer.wait(tracee).stopped_by == Signal.CONT
    assert tracer.resume(tracee) == OK
    assert tracee.call("getppid") == OK


@pytest.mark.requirement("ptrace.listen")
def test_listening_is_interrupted(guest: Guest) -> None:
    """A tracer that interrupts a tracee for which it listens has it in the same stop as before."""
    tracer, tracee = stop_of_a_group(guest)
    tracer.ptrace(Ptrace.LISTEN, tracee).result()
    assert tracer.set_options(tracee, PtraceOption.NONE) == ESRCH
    # What it wakes runs before the call that wakes it returns.
    share_a_processor(tracer, tracee)
    give_realtime_priority(tracee, 10)
    assert tracer.interrupt(tracee) == OK
    done = tracer.wait_nohang(tracee)
    assert done == returned(tracee.tid)
    status = WaitStatus(tracer.abi.integer(done.read()))
    assert (status.stopped_by, status.event) == (Signal.STOP, PTRACE_EVENT_STOP)
    assert tracer.set_options(tracee, PtraceOption.NONE) == OK


@pytest.mark.requirement("ptrace.requests-after-attach", "ptrace.siginfo-of-a-group-stop")
def test_stops_after_attach(guest: Guest) -> None:
    """A tracee after PTRACE_ATTACH is neither interrupted nor listened to, and has no siginfo in a group stop."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    assert tracer.attach_and_wait(tracee) == OK
    for request in (Ptrace.INTERRUPT, Ptrace.LISTEN):
        assert tracer.ptrace(request, tracee) == EIO
    assert siginfo(tracer, tracee).read()[:4] == tracer.abi.pack("I", Signal.STOP)
    tracer.resume(tracee, Signal.STOP).result()
    status = tracer.wait(tracee)
    assert (status.stopped_by, status.event) == (Signal.STOP, 0)
    for request in (Ptrace.INTERRUPT, Ptrace.LISTEN):
        assert tracer.ptrace(request, tracee) == EIO
    assert siginfo(tracer, tracee) == EINVAL
    assert tracer.detach(tracee) == OK
    tracer.kill(tracee, Signal.CONT).result()
    assert tracee.call("getppid") == OK


@pytest.mark.requirement("ptrace.delivered-signal")
@pytest.mark.parametrize("request_", [Ptrace.DETACH, Ptrace.CONT], ids=["detach", "cont"])
def test_signal_that_is_delivered(guest: Guest, request_: Ptrace) -> None:
    """In a stop by a signal, the tracer decides which one its tracee gets: that one, another, or none."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    caught: list[int] = []
    for signal in (Signal.USR1, Signal.USR2):
        tracee.catch(signal).result()
    tracer.seize(tracee).result()
    for delivered in (Signal.USR1, Signal.USR2, 0):
        tracer.kill(tracee, Signal.USR1).result()
        assert tracer.wait(tracee).stopped_by == Signal.USR1
        assert tracer.ptrace(request_, tracee, 0, delivered) == OK
        assert tracee.call("getppid") == OK
        caught += [delivered] if delivered else []
        assert [each.signal for each in tracee.caught_signals()] == caught
        if request_ is Ptrace.DETACH:
            tracer.seize(tracee).result()


@pytest.mark.requirement("ptrace.delivered-siginfo")
def test_siginfo_that_is_delivered(guest: Guest) -> None:
    """The handler of a signal gets the siginfo that a tracer has set, and otherwise that of the sender."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    tracee.catch(Signal.USR1).result()
    tracer.seize(tracee).result()
    changed = tracer.abi.pack("iii", Signal.USR1, NUMBER, SI_QUEUE).ljust(SIGINFO_SIZE, b"\0")
    for changes in (False, True):
        tracer.kill(tracee, Signal.USR1).result()
        assert tracer.wait(tracee).stopped_by == Signal.USR1
        if changes:
            assert tracer.ptrace(Ptrace.SETSIGINFO, tracee, 0, changed) == OK
            assert siginfo(tracer, tracee).read()[:12] == changed[:12]
        tracer.resume(tracee, Signal.USR1).result()
        tracee.call("getppid").result()
    found = [(each.errno, each.code) for each in tracee.caught_signals()]
    assert found == [(0, SI_USER), (NUMBER, SI_QUEUE)]


@pytest.mark.needs("X86_64")
@pytest.mark.requirement("ptrace.detach-after-a-step")
def test_detaching_after_a_step(guest: Guest) -> None:
    """A process that its tracer has let make single steps runs on without a stop, or a signal, after a detach."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    for signal in (Signal.USR1, Signal.TRAP):
        tracee.catch(signal).result()
    tracer.seize(tracee).result()
    tracer.kill(tracee, Signal.USR1).result()
    require(tracer.wait(tracee).stopped_by == Signal.USR1, f"{tracee} did not stop by the signal")
    # Into the handler, and one instruction further: the call in which it waits for orders would be none of these.
    for delivered in (Signal.USR1, 0):
        assert tracer.ptrace(Ptrace.SINGLESTEP, tracee, 0, delivered) == OK
        status = tracer.wait(tracee)
        assert (status.stopped_by, status.event) == (Signal.TRAP, 0)
    assert tracer.detach(tracee) == OK
    assert tracee.call("getppid") == OK
    assert [each.signal for each in tracee.caught_signals()] == [Signal.USR1]
    # That would be caught.
    tracer.kill(tracee, Signal.TRAP).result()
    assert tracee.call("getppid") == OK
    assert [each.signal for each in tracee.caught_signals()] == [Signal.USR1, Signal.TRAP]
