# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_RET_TRACE: what the tracer learns, what it can change, and how a changed call is filtered."""

from __future__ import annotations

import struct

import pytest

from guests.bpf import AUDIT_ARCH, Action, allow, arg, deny, kill_process, policy, rule, trace, trap
from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EINVAL, ENOSYS, EPERM, OK, Expected, killed, returned
from guests.syscalls.group import Pending
from guests.syscalls.signals import SYS_SECCOMP
from guests.task import Task
from guests.uapi import PTRACE_EVENT_SECCOMP, Ptrace, PtraceOption, Signal, number
from suites.seccomp.support.roles import GETPPID, mismatches, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

GETUID, GETPID, GETGID = number("getuid"), number("getpid"), number("getgid")
SKIPPED = -1


class Traced:
    """A tracee under a filter, and its tracer, which is its parent."""

    def __init__(self, guest: Guest, *filters: object, options: PtraceOption = PtraceOption.TRACESECCOMP) -> None:
        self.tracer = guest.spawn("tracer")
        self.tracee = unprivileged(guest, "tracee", parent=self.tracer)
        for program in filters:
            self.tracee.install(program).result()  # type: ignore[arg-type]
        self.tracer.seize(self.tracee, options).result()

    def stop(self, name: str | int = "getppid", *arguments: int) -> Pending:
        """Let the tracee make the call, and wait until it stops for the tracer."""
        call = self.tracee.begin(name, *arguments)
        assert self.tracer.wait(self.tracee).event == PTRACE_EVENT_SECCOMP
        return call

    def change(self, **registers: int) -> None:
        self.tracer.set_registers(self.tracee, **registers).result()

    def go_on(self) -> None:
        self.tracer.resume(self.tracee).result()


def silent(task: Task, tracer: Task) -> bool:
    """Whether there is nothing to report about the task to the tracer."""
    return tracer.has_news(task).result() == 0


@pytest.mark.requirement("seccomp.trace")
@pytest.mark.parametrize("data", [0, 1, 0x1234, 0xFFFF])
def test_the_tracer_is_told_the_data(guest: Guest, data: int) -> None:
    """The event message is the filter's data alone, without the action in the upper bits."""
    here = Traced(guest, policy(trace("getppid", data=data)))
    call = here.stop()
    assert here.tracer.event_message(here.tracee) == data
    here.go_on()
    assert call.outcome() == returned(here.tracer.pid)


@pytest.mark.requirement("seccomp.trace-syscall-info")
def test_the_tracer_asks_what_call_it_is(guest: Guest) -> None:
    """PTRACE_GET_SYSCALL_INFO reports architecture, number, arguments and the filter's data."""
    here = Traced(guest, policy(trace("getppid", data=0xBEEF)))
    here.stop("getppid", 1, 2, 3, 4, 5, 1 << 63)
    info = Out(88)
    request = Ptrace.GET_SYSCALL_INFO
    came = here.tracer.call("ptrace", request, here.tracee.tid, 88, info, shown="syscall_info")
    kind, arch, ip, sp, nr, *arguments, data = struct.unpack_from("<B3xIQQQ6QI", came.read())
    assert came == returned(84)
    assert (kind, arch, nr, data) == (3, AUDIT_ARCH["x86_64"], GETPPID, 0xBEEF)
    assert arguments == [1, 2, 3, 4, 5, 1 << 63]
    registers = here.tracer.registers(here.tracee)
    assert (ip, sp) == (registers["rip"], registers["rsp"])


@pytest.mark.requirement("seccomp.trace")
@pytest.mark.parametrize(
    "options",
    [PtraceOption.NONE, PtraceOption.TRACESYSGOOD | PtraceOption.TRACEEXIT],
    ids=["with-no-options", "with-others"],
)
def test_a_tracer_that_did_not_ask(guest: Guest, options: PtraceOption) -> None:
    """Without PTRACE_O_TRACESECCOMP, the call does not stop and fails with ENOSYS; with it, the call stops."""
    here = Traced(guest, policy(trace("getppid")), options=options)
    assert here.tracee.call("getppid") == ENOSYS
    assert silent(here.tracee, here.tracer)
    here.tracer.interrupt(here.tracee).result()
    here.tracer.wait(here.tracee)
    here.tracer.set_options(here.tracee, PtraceOption.TRACESECCOMP).result()
    here.go_on()
    here.stop()


@pytest.mark.requirement("seccomp.trace-skip")
@pytest.mark.parametrize(
    ("set_result", "wanted"),
    [(None, ENOSYS), (0, returned(0)), (42, returned(42)), (-1, EPERM)],
    ids=["without-a-result", "with-0", "with-42", "with-an-error"],
)
def test_the_tracer_skips_the_call(guest: Guest, set_result: int | None, wanted: Expected) -> None:
    """If the tracer sets the number to -1, the call does not run, and returns the result register's value."""
    here = Traced(guest, policy(trace("mkdir")))
    call = here.stop("mkdir", here.tracee.store(b"/tmp/made\0"), 0o755)
    here.change(orig_rax=SKIPPED, **({} if set_result is None else {"rax": set_result}))
    here.go_on()
    assert call.outcome() == wanted
    assert not guest.exists("/tmp/made")  # noqa: S108


@pytest.mark.requirement("seccomp.trace-skip")
def test_no_filter_is_asked_about_a_skipped_call(guest: Guest) -> None:
    """A call skipped by number -1 is not filtered, even if no filter allows -1; the tracee's own call -1 is."""
    here = Traced(guest, policy(trace("mkdir"), allow("getuid"), default=Action.KILL_PROCESS))
    call = here.stop("mkdir", here.tracee.store(b"/tmp/made\0"), 0o755)
    here.change(orig_rax=SKIPPED, rax=42)
    here.go_on()
    assert call.outcome() == returned(42)
    assert here.tracee.call("getuid") == returned(1000)
    assert here.tracee.call(0xFFFFFFFF) == killed(Signal.SYS)


# fmt: off
CHANGED = {
    # the tracer changes a traced getppid to                             the result
    "allowed-call":             ({"orig_rax": GETUID},                    returned(1000)),
    "denied-call":              ({"orig_rax": GETPID},                    EINVAL),
    "killing-call":             ({"orig_rax": GETGID},                    killed(Signal.SYS)),
    "another-traced-call":      ({"orig_rax": number("geteuid")},         returned(1000)),
    "call-that-does-not-exist": ({"orig_rax": 0x1000},                    ENOSYS),
    "x32-call-that-is-denied":  ({"orig_rax": number("getuid", "x32")},   EPERM),
    "argument-that-is-denied":  ({"rdi": 7},                              EINVAL),
    "high-half-of-an-argument": ({"rdi": 7 << 32},                        EPERM),
    "argument-of-no-matter":    ({"rsi": 7},                              OK),
    "nothing":                  ({},                                      OK),
}
# fmt: on


@pytest.mark.requirement("seccomp.trace-recheck")
@pytest.mark.parametrize("change", CHANGED)
def test_what_the_tracer_changed_is_judged_again(guest: Guest, change: str) -> None:
    """All filters run again for the changed call; a second TRACE does not stop it again."""
    changes, wanted = CHANGED[change]
    judge = policy(
        deny("getpid", errno=EINVAL),
        kill_process("getgid"),
        deny("getppid", errno=EINVAL, when=arg(0) == 7),
        deny("getppid", errno=EPERM, when=arg(0) == 7 << 32),
    )
    x32 = policy(deny("getuid", errno=EPERM), arch="x32")
    here = Traced(guest, judge, x32, policy(trace("getppid", "geteuid")))
    call = here.stop("getppid", 1)
    here.change(**changes)
    here.go_on()
    assert call.outcome() == wanted
    # There is nothing more to report, except a death.
    assert wanted == killed(Signal.SYS) or silent(here.tracee, here.tracer)


@pytest.mark.requirement("seccomp.trace-recheck")
@pytest.mark.parametrize(
    "action", [Action.TRAP, Action.ERRNO, Action.USER_NOTIF, Action.LOG], ids=lambda one: one.name
)
def test_every_action_when_judged_again(guest: Guest, action: Action) -> None:
    """The second run of the filters may return any action."""
    here = Traced(guest, policy(rule(action, "getpid", data=13)), policy(trace("getppid")))
    call = here.stop()
    here.change(orig_rax=GETPID)
    here.go_on()
    if action is Action.TRAP:
        assert here.tracer.wait(here.tracee).stopped_by == Signal.SYS
        # The siginfo names the changed call, which was filtered.
        siginfo = here.tracer.ptrace(Ptrace.GETSIGINFO, here.tracee, 0, Out(128)).read()
        assert struct.unpack_from("<iii", siginfo) == (Signal.SYS, 13, SYS_SECCOMP)
        assert struct.unpack_from("<iI", siginfo, 24) == (GETPID, AUDIT_ARCH["x86_64"])
        here.go_on()
    wanted = {
        Action.TRAP: returned(GETPID),
        Action.ERRNO: Expected("errno 13", low=-13, high=-13),
        Action.USER_NOTIF: ENOSYS,
        Action.LOG: returned(here.tracee.pid),
    }
    assert call.outcome() == wanted[action]


@pytest.mark.requirement("seccomp.trace-tracer-leaves")
def test_the_tracer_leaves_in_the_middle(guest: Guest) -> None:
    """A stopped call runs when its tracer detaches or dies; later calls fail with ENOSYS."""
    found: dict[str, tuple[object, object]] = {}
    for way in ("detaches", "dies"):
        here = Traced(guest, policy(trace("getppid", "getpid")))
        call = here.stop("getpid")
        if way == "detaches":
            here.tracer.detach(here.tracee).result()
        else:
            here.tracer.exit()
        found[way] = (call.outcome(), returned(here.tracee.pid))
        found[f"{way}, later"] = (here.tracee.call("getpid"), ENOSYS)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.trace-killed")
def test_killed_while_it_is_judged(guest: Guest) -> None:
    """After a SIGKILL during the stop, the call does not run."""
    here = Traced(guest, policy(trace("mkdir")))
    call = here.stop("mkdir", here.tracee.store(b"/tmp/made\0"), 0o755)
    here.tracer.kill(here.tracee, Signal.KILL).result()
    assert call.outcome() == killed(Signal.KILL)
    assert not guest.exists("/tmp/made")  # noqa: S108


@pytest.mark.requirement("seccomp.trace-exitkill")
def test_the_tracers_death_takes_the_tracee_along(guest: Guest) -> None:
    """With PTRACE_O_EXITKILL, the tracer's death kills the tracee before its stopped call runs."""
    here = Traced(guest, policy(trace("mkdir")), options=PtraceOption.TRACESECCOMP | PtraceOption.EXITKILL)
    call = here.stop("mkdir", here.tracee.store(b"/tmp/made\0"), 0o755)
    here.tracer.exit()
    assert call.outcome() == killed(Signal.KILL)
    assert not guest.exists("/tmp/made")  # noqa: S108


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.trace", "seccomp.trace-recheck")
def test_trace_by_int80(guest: Guest) -> None:
    """A 32-bit call stops in the same way, and the tracer changes it to another number of i386."""
    judge = policy(deny("getuid32", errno=EINVAL), trace("getppid", data=3), arch="i386")
    here = Traced(guest, judge)
    number_32 = number("getppid", "i386")
    call = here.tracee.begin(number_32, entry=1)  # type: ignore[arg-type]
    assert here.tracer.wait(here.tracee).event == PTRACE_EVENT_SECCOMP
    assert here.tracer.event_message(here.tracee) == 3
    here.change(orig_rax=number("getuid32", "i386"))
    here.go_on()
    assert call.outcome() == EINVAL


@pytest.mark.requirement("seccomp.trace")
def test_a_stop_is_not_a_signal(guest: Guest) -> None:
    """If one filter returns TRACE and another the more severe TRAP, the tracer sees the signal and no event."""
    here = Traced(guest, policy(trace("getppid")), policy(trap("getppid", data=5)))
    here.tracee.begin("getppid")
    stop = here.tracer.wait(here.tracee)
    assert (stop.event, stop.stopped_by) == (0, Signal.SYS)
