# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests of ptrace() at the same time as another tracer's, and as the end of those whom they are about."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from guests.call_plan import Plan, StepValue
from guests.guest import Guest
from guests.protocol import wire
from guests.protocol.meeting_layout import Watched
from guests.task import Task
from guests.uapi import SIGINFO_SIZE, WALL, WNOHANG, Ptrace, Signal
from suites.process_accesses import UNUSED
from suites.races.race import LONGEST_BESIDE_PREEMPTION, AllowedOutcome, Race

pytestmark = pytest.mark.races

STOPPED_BY_USR1 = Signal.USR1 << 8 | 0x7F
"""The status of a tracee that has got the signal; it ends any other process."""
SHARED = 1
"""PTRACE_PEEKSIGINFO_SHARED: the signals of the process, not of the thread."""


def request(plan: Plan, what: int, target: Task | StepValue, address: int = 0, data: int = 0) -> StepValue:
    return plan.call("ptrace", what, target.tid if isinstance(target, Task) else target, address, data)


def wait_for(plan: Plan, target: Task | StepValue | int, *, status: int = 0, flags: int = 0) -> StepValue:
    return plan.call("wait4", target.tid if isinstance(target, Task) else target, status, WALL | flags, 0)


def wait_for_signals(plan: Plan) -> None:
    """Until one ends the process."""
    plan.call("ppoll", 0, 0, 0, 0, 8)


@pytest.mark.requirement("ptrace.attach-at-once")
def test_two_tracers(guest: Guest, race: Race) -> None:
    """Of two tracers that attach at the same time, one has the tracee, and the other gets nothing by any request."""
    tracee, *tracers = (guest.spawn(name) for name in ("tracee", "first", "second"))
    plans = [race.plan(tracer) for tracer in tracers]
    race.go(*plans)
    for plan in plans:
        race.watch("attach", request(plan, Ptrace.ATTACH, tracee))
    race.meet(*plans)
    for plan in plans:
        race.watch("wait", wait_for(plan, tracee), Watched.SIGN)
        race.watch("detach", request(plan, Ptrace.DETACH, tracee))
    race.tally(*plans)
    race.check(
        # attach        wait, detach         wait, detach
        ("OK", "EPERM", ">0", "OK", "ECHILD", "ESRCH"),
        ("EPERM", "OK", "ECHILD", "ESRCH", ">0", "OK"),
    )


@pytest.mark.requirement("ptrace.attach-at-once")
def test_attach_and_stop(guest: Guest, race: Race) -> None:
    """A tracer attaches while signals stop and continue the target: it gets its stop, and can detach."""
    tracee, tracer, sender = (guest.spawn(name) for name in ("tracee", "tracer", "sender"))
    attaching, sending = race.plan(tracer), race.plan(sender)
    race.go(attaching, sending)
    race.watch("attach", request(attaching, Ptrace.ATTACH, tracee))
    race.watch("stop", sending.call("kill", tracee.pid, Signal.STOP))
    race.watch("continue", sending.call("kill", tracee.pid, Signal.CONT))
    race.watch("wait", wait_for(attaching, tracee), Watched.SIGN)
    race.watch("detach", request(attaching, Ptrace.DETACH, tracee))
    race.meet(attaching, sending)
    # Whether the signal that stops came before or after, nothing is left of it.
    sending.call("kill", tracee.pid, Signal.CONT)
    race.tally(attaching, sending)
    race.check(("OK", "OK", "OK", ">0", "OK"))


class AttachToChild:
    """In each round, a shell starts a child, and a stranger attaches while the child does what a test adds."""

    def __init__(self, guest: Guest, race: Race) -> None:
        self._race, self.child = race, race.child()
        self._starting, self._attaching = race.plan(guest.spawn("shell")), race.plan(guest.spawn("stranger"))
        self._pid = self._starting.child(self.child)
        race.meet(self._starting, self._attaching, self.child)
        self._taken = self._attaching.take(self._pid)
        race.go(self._attaching, self.child)
        race.watch("attach", request(self._attaching, Ptrace.SEIZE, self._taken))

    def check(self, *allowed: AllowedOutcome) -> None:
        """Both wait for the child, whose tracer is told first.  Their results are the last ones of an outcome."""
        self._race.watch("stranger waits", wait_for(self._attaching, self._taken), Watched.SIGN)
        self._race.watch("parent waits", wait_for(self._starting, self._pid), Watched.SIGN)
        self._race.tally(self._starting, self._attaching)
        self._race.check(*allowed)


REFUSED = {"EPERM", "ESRCH"}
"""ESRCH: the child had ended by then, and its parent had waited for it."""


@pytest.mark.requirement("ptrace.attach-at-once")
def test_attach_and_traceme(guest: Guest, race: Race) -> None:
    """A child makes its parent its tracer while a stranger attaches: one of the two traces it."""
    attach = AttachToChild(guest, race)
    race.watch("traceme", attach.child.call("ptrace", Ptrace.TRACEME, 0, 0, 0))
    attach.check(("OK", "EPERM", ">0", ">0"), (REFUSED, "OK", "ECHILD", ">0"))


@pytest.mark.requirement("ptrace.ends-at-once")
def test_attach_and_end_of_the_target(guest: Guest, race: Race) -> None:
    """A process exits, and its parent waits: a tracer that was in time is told first, and any other is refused."""
    attach = AttachToChild(guest, race)
    attach.child.call("exit_group", 0)
    attach.check(("OK", ">0", ">0"), (REFUSED, "ECHILD", ">0"))


@pytest.mark.requirement("ptrace.ends-at-once")
def test_ends_of_tracer_and_tracee(guest: Guest, race: Race) -> None:
    """A tracer and its tracee exit at the same time, and the parent of both is told of each."""
    shell = guest.spawn("shell")
    starting, tracer, tracee = race.plan(shell), race.child(), race.child()
    traced, tracing = starting.child(tracee), starting.child(tracer)
    race.meet(starting, tracer)
    race.watch("seize", request(tracer, Ptrace.SEIZE, tracer.take(traced)))
    race.go(tracer, tracee)
    for plan in (tracer, tracee):
        plan.call("exit_group", 0)
    race.watch("tracer", wait_for(starting, tracing), Watched.SIGN)
    race.watch("tracee", wait_for(starting, traced), Watched.SIGN)
    race.tally(starting)
    race.check(("OK", ">0", ">0"))


@pytest.mark.requirement("ptrace.ends-at-once")
def test_traceme_and_end_of_the_parent(guest: Guest, race: Race) -> None:
    """A child calls PTRACE_TRACEME while its parent exits: a process that has ended traces nobody.

    EPERM: the call came after the parent's end, so the subreaper traces the child already.
    """
    shell = guest.spawn("shell")
    shell.become_subreaper().result()
    starting, parent, child = race.plan(shell), race.child(), race.child()
    pid = starting.child(parent)
    parent.child(child)
    race.go(parent, child)
    parent.call("exit_group", 0)
    race.watch("traceme", child.call("ptrace", Ptrace.TRACEME, 0, 0, 0))
    race.watch("parent", wait_for(starting, pid), Watched.SIGN)
    race.meet(starting, child)
    race.watch("traceme again", child.call("ptrace", Ptrace.TRACEME, 0, 0, 0))
    race.watch("child", wait_for(starting, -1), Watched.SIGN)
    race.tally(starting)
    race.check(("OK", ">0", {"OK", "EPERM"}, ">0"))


@dataclass(frozen=True)
class _Debugger:
    """A process with two threads: one stops a child of its own in each round, the other one kills and reaps it.

    debugger ── child
       └─── (thread)
    """

    race: Race
    debugger: Task
    thread: Task

    def check(self, what: int, address: int = 0, data: int = 0) -> None:
        """Make a request while the child is killed."""
        race, status = self.race, self.thread.store(bytes(4))
        tracing, killing, child = race.plan(self.debugger), race.plan(self.thread), race.child()
        pid = tracing.child(child)
        race.preempt(self.debugger, tracing)
        race.move_away(child)
        wait_for_signals(child)
        request(tracing, Ptrace.SEIZE, pid)
        request(tracing, Ptrace.INTERRUPT, pid)
        wait_for(tracing, pid)
        race.meet(tracing, killing)
        taken = killing.take(pid)
        race.go(tracing, killing)
        race.watch("request", request(tracing, what, pid, address, data))
        race.watch("kill", killing.call("kill", taken, Signal.KILL))
        race.watch("wait", wait_for(killing, taken, status=status), Watched.SIGN)
        race.watch_word("status", self.thread, status)
        race.tally(tracing, killing)
        race.check(({"OK", "ESRCH"}, "OK", ">0", Signal.KILL))


@pytest.fixture
def debugger(guest: Guest, race: Race) -> _Debugger:
    task = guest.spawn("debugger")
    return _Debugger(race, task, task.thread("thread"))


@pytest.mark.races(longest=LONGEST_BESIDE_PREEMPTION)
@pytest.mark.requirement("ptrace.killed-at-once")
@pytest.mark.parametrize(
    "what",
    [
        pytest.param(Ptrace.CONT, id="cont"),
        pytest.param(Ptrace.DETACH, id="detach"),
        pytest.param(Ptrace.SETOPTIONS, id="setoptions"),
    ],
)
def test_request_and_kill(debugger: _Debugger, what: Ptrace) -> None:
    """A request is carried out or fails with ESRCH when its tracee is killed at the same time, and that ends."""
    debugger.check(what)


@pytest.mark.races(longest=LONGEST_BESIDE_PREEMPTION)
@pytest.mark.requirement("ptrace.killed-at-once")
def test_peekdata_and_kill(debugger: _Debugger) -> None:
    """PTRACE_PEEKDATA is carried out or fails with ESRCH when its tracee is killed at the same time."""
    debugger.check(Ptrace.PEEKDATA, wire.data_address(debugger.thread.slot, UNUSED), debugger.thread.store(bytes(8)))


@pytest.mark.races(longest=LONGEST_BESIDE_PREEMPTION)
@pytest.mark.requirement("ptrace.killed-at-once")
def test_getsiginfo_and_kill(debugger: _Debugger) -> None:
    """PTRACE_GETSIGINFO is carried out or fails with ESRCH when its tracee is killed at the same time."""
    debugger.check(Ptrace.GETSIGINFO, 0, debugger.thread.store(bytes(SIGINFO_SIZE)))


@pytest.mark.races(longest=LONGEST_BESIDE_PREEMPTION)
@pytest.mark.requirement("ptrace.detach-at-once")
def test_detach_and_traceme(guest: Guest, race: Race) -> None:
    """A process detaches from one child while another child makes it its tracer: it traces the other one alone."""
    debugger = guest.spawn("debugger")
    status = debugger.store(bytes(4))
    tracing, former_tracee, child = race.plan(debugger), race.child(), race.child()
    race.preempt(debugger, tracing)
    race.move_away(child)
    wait_for_signals(former_tracee)
    former, other = tracing.child(former_tracee), tracing.child(child)
    own = child.call("getpid")
    request(tracing, Ptrace.SEIZE, former)
    request(tracing, Ptrace.INTERRUPT, former)
    wait_for(tracing, former)
    race.go(tracing, child)
    race.watch("detach", request(tracing, Ptrace.DETACH, former))
    race.watch("traceme", child.call("ptrace", Ptrace.TRACEME, 0, 0, 0))
    child.call("kill", own, Signal.USR1)
    race.watch("wait", wait_for(tracing, other, status=status), Watched.SIGN)
    race.watch_word("status", debugger, status)
    race.watch("detach again", request(tracing, Ptrace.DETACH, former))
    for pid in (former, other):
        tracing.call("kill", pid, Signal.KILL)
        wait_for(tracing, pid)
    race.tally(tracing)
    race.check(("OK", "OK", ">0", STOPPED_BY_USR1, "ESRCH"))


@pytest.mark.requirement("ptrace.stop-once")
def test_a_thread_waits_while_another_resumes(guest: Guest, race: Race) -> None:
    """A stop that was reported to one thread of the tracer is not reported to another, whatever signal ends it."""
    tracee, tracer = guest.spawn("tracee"), guest.spawn("tracer")
    tracer.seize(tracee).result()
    tracing, waiting = race.plan(tracer), race.plan(tracer.thread("thread"))
    request(tracing, Ptrace.INTERRUPT, tracee)
    wait_for(tracing, tracee)
    race.go(tracing, waiting)
    race.watch("resume", request(tracing, Ptrace.CONT, tracee, data=Signal.URG))
    race.watch("wait", wait_for(waiting, tracee, flags=WNOHANG), Watched.VALUE)
    race.tally(tracing, waiting)
    race.check(("OK", 0))


@pytest.mark.requirement("ptrace.pending-at-once")
def test_pending_signals_that_replace_one_another(guest: Guest, race: Race) -> None:
    """SIGCONT removes a pending SIGTSTP, and the other way round: a tracer that looks meanwhile finds one of them."""
    tracer, tracee, sender = (guest.spawn(name) for name in ("tracer", "tracee", "sender"))
    for signal in (Signal.CONT, Signal.TSTP):
        tracee.block(signal).result()
    tracer.seize_and_stop(tracee)
    sender.kill(tracee, Signal.CONT).result()
    which = tracer.store(tracer.abi.pack("QIi", 0, SHARED, 1))
    looking, sending = race.plan(tracer), race.plan(sender)
    race.go(looking, sending)
    found = request(looking, Ptrace.PEEKSIGINFO, tracee, which, tracer.store(bytes(SIGINFO_SIZE)))
    race.watch("look", found, Watched.VALUE)
    race.watch("stop", sending.call("kill", tracee.pid, Signal.TSTP))
    race.watch("continue", sending.call("kill", tracee.pid, Signal.CONT))
    race.tally(looking, sending)
    race.check((1, "OK", "OK"))
