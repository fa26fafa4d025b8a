# SPDX-License-Identifier: GPL-2.0-or-later
"""SECCOMP_RET_TRACE: what the tracer learns, what it can change, and how a changed call is filtered."""

from __future__ import annotations

import errno

import pytest

from guests.bpf import Action, allow, arg, deny, kill_process, policy, rule, trace, trap
from guests.call_arguments import InOut, Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EACCES, EFAULT, EINVAL, ENOSYS, EPERM, OK, Expected, exited, killed, mismatches, returned
from guests.promises import breaks
from guests.protocol.wire import Entry
from guests.syscalls.signals import SYS_SECCOMP, SignalInfo
from guests.syscalls.syscall_info import SYSCALL_INFO_SIZE, SyscallInfo, SyscallStop
from guests.task import Task
from guests.uapi import AT_FDCWD, PTRACE_EVENT_STOP, Ptrace, PtraceOption, Signal, number
from suites.seccomp.support.filtered_tasks import MADE, check_not_made, skipped, trapped
from suites.seccomp.support.traced_pair import TracedPair

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

SKIPPED = -1
NOWHERE = 0x1000
DESCRIBED = SYSCALL_INFO_SIZE - 4
"""What the kernel writes in the stop of a filter: the structure without `reserved2` at its end."""


def nothing_to_report(task: Task, tracer: Task) -> bool:
    """Whether there is nothing to report about the task to the tracer."""
    return tracer.wait_nohang(task).result() == 0


@pytest.mark.requirement("seccomp.trace")
@pytest.mark.parametrize("data", [0, 1, 0x1234, 0xFFFF])
def test_the_event_message_is_the_data(guest: Guest, data: int) -> None:
    """The event message is the filter's data alone, without the action in the upper bits."""
    pair = TracedPair(guest, policy(trace("getppid", data=data)))
    call = pair.check_stops()
    assert pair.tracer.event_message(pair.tracee) == data
    pair.resume()
    assert call.outcome() == returned(pair.tracer.pid)


@pytest.mark.requirement("seccomp.trace-syscall-info")
def test_syscall_info(guest: Guest) -> None:
    """PTRACE_GET_SYSCALL_INFO reports architecture, number, arguments and the filter's data."""
    pair = TracedPair(guest, policy(trace("getppid", data=0xBEEF)))
    highest = pair.tracee.abi.highest_bit
    pair.stop("getppid", 1, 2, 3, 4, 5, highest)
    outcome = pair.tracer.ptrace(Ptrace.GET_SYSCALL_INFO, pair.tracee, SYSCALL_INFO_SIZE, Out(SYSCALL_INFO_SIZE))
    assert outcome == returned(DESCRIBED)
    info = SyscallInfo.decode(outcome.read(), pair.tracer.abi)
    assert (info.op, info.data) == (SyscallStop.SECCOMP, 0xBEEF)
    assert (info.arch, info.nr) == (pair.tracee.abi.audit_arch, pair.tracee.number("getppid"))
    assert info.arguments == (1, 2, 3, 4, 5, highest)
    registers = pair.tracer.registers(pair.tracee)
    assert (info.instruction_pointer, info.stack_pointer) == (registers.ip, registers.sp)


@pytest.mark.requirement("seccomp.trace-syscall-info-size")
def test_syscall_info_in_a_shorter_buffer(guest: Guest) -> None:
    """A shorter buffer gets the beginning of the call's description, and no more; the result is the whole size."""
    pair = TracedPair(guest, policy(trace("getppid", data=0xBEEF)))
    pair.stop("getppid", 1, 2, 3, 4, 5, 6)

    def read(size: int) -> bytes:
        buffer = InOut(b"\xa5" * SYSCALL_INFO_SIZE)
        outcome = pair.tracer.ptrace(Ptrace.GET_SYSCALL_INFO, pair.tracee, size, buffer)
        assert outcome == returned(DESCRIBED)
        return outcome.read()

    whole = read(SYSCALL_INFO_SIZE)
    for size in (DESCRIBED, DESCRIBED - 1, 24, 1, 0):
        assert read(size) == whole[:size] + b"\xa5" * (SYSCALL_INFO_SIZE - size)
    assert pair.tracer.ptrace(Ptrace.GET_SYSCALL_INFO, pair.tracee, 0, NOWHERE) == returned(DESCRIBED)
    assert pair.tracer.ptrace(Ptrace.GET_SYSCALL_INFO, pair.tracee, 1, NOWHERE) == EFAULT


@pytest.mark.requirement("seccomp.trace")
@pytest.mark.parametrize(
    "options",
    [PtraceOption.NONE, PtraceOption.TRACESYSGOOD | PtraceOption.TRACEEXIT],
    ids=["with-no-options", "with-others"],
)
def test_without_the_option(guest: Guest, options: PtraceOption) -> None:
    """Without PTRACE_O_TRACESECCOMP, the call does not stop and fails with ENOSYS; with it, the call stops."""
    pair = TracedPair(guest, policy(trace("getppid")), options=options)
    assert pair.tracee.call("getppid") == ENOSYS
    assert nothing_to_report(pair.tracee, pair.tracer)
    pair.tracer.interrupt(pair.tracee).result()
    require(pair.tracer.wait(pair.tracee).event == PTRACE_EVENT_STOP, f"{pair.tracee} was not interrupted")
    pair.tracer.set_options(pair.tracee, PtraceOption.TRACESECCOMP).result()
    pair.resume()
    pair.check_stops()


@pytest.mark.requirement("seccomp.trace-skip")
@pytest.mark.parametrize(
    ("set_result", "wanted"),
    [(None, None), (0, returned(0)), (42, returned(42)), (-1, EPERM)],
    ids=["without-a-result", "with-0", "with-42", "with-an-error"],
)
def test_the_tracer_skips_the_call(guest: Guest, set_result: int | None, wanted: Expected | None) -> None:
    """If the tracer sets the number to -1, the call does not run, and returns the result register's value.

    Without a result of the tracer's, that is ENOSYS, or the first argument where both have the same register.
    """
    pair = TracedPair(guest, policy(trace("mkdirat")))
    call = pair.stop("mkdirat", AT_FDCWD, MADE, 0o755)
    pair.change(nr=SKIPPED, **({} if set_result is None else {"result": set_result}))
    pair.resume()
    assert call.outcome() == (skipped(pair.tracee, "mkdirat", AT_FDCWD) if wanted is None else wanted)
    check_not_made(guest)


@pytest.mark.requirement("seccomp.trace-skip")
def test_a_skipped_call_is_not_filtered(guest: Guest) -> None:
    """A call skipped by number -1 is not filtered, even if no filter allows -1; the tracee's own call -1 is."""
    pair = TracedPair(guest, policy(trace("mkdirat"), allow("getuid"), default=Action.KILL_PROCESS))
    call = pair.stop("mkdirat", AT_FDCWD, MADE, 0o755)
    pair.change(nr=SKIPPED, result=42)
    pair.resume()
    assert call.outcome() == returned(42)
    assert pair.tracee.call("getuid") == returned(1000)
    assert pair.tracee.call(0xFFFFFFFF) == killed(Signal.SYS)


# fmt: off
CHANGED: dict[str, tuple[dict[str, int | str], Expected]] = {
    # the tracer changes a traced getppid to                             the result
    "allowed-call":             ({"nr": "getuid"},                    returned(1000)),
    "denied-call":              ({"nr": "getpid"},                    EINVAL),
    "killing-call":             ({"nr": "getgid"},                    killed(Signal.SYS)),
    "another-traced-call":      ({"nr": "geteuid"},         returned(1000)),
    "call-that-does-not-exist": ({"nr": 0x1000},                    ENOSYS),
    "x32-call-that-is-denied":  ({"nr": number("getuid", "x32")},   EPERM),
    # Not the first argument, which some architectures keep twice.
    "argument-that-is-denied":  ({"arg1": 7},                              EINVAL),
    "high-half-of-an-argument": ({"arg1": 7 << 32},                        EPERM),
    "unfiltered-argument":    ({"arg2": 7},                              OK),
    "nothing":                  ({},                                      OK),
}
# fmt: on

NEEDED = {"x32-call-that-is-denied": ("X86_64",), "high-half-of-an-argument": ("64BIT",)}


@pytest.mark.requirement("seccomp.trace-recheck")
@pytest.mark.parametrize(
    "change",
    [pytest.param(name, marks=pytest.mark.needs(*NEEDED.get(name, ()))) for name in CHANGED],
)
def test_a_changed_call_is_filtered_again(guest: Guest, change: str) -> None:
    """All filters run again for the changed call; a second TRACE does not stop it again."""
    changes, wanted = CHANGED[change]
    judge = policy(
        deny("getpid", errno=EINVAL),
        kill_process("getgid"),
        deny("getppid", errno=EINVAL, when=arg(1) == 7),
        deny("getppid", errno=EPERM, when=arg(1) == 7 << 32),
    )
    x32 = policy(deny("getuid", errno=EPERM), arch="x32")
    pair = TracedPair(guest, judge, x32, policy(trace("getppid", "geteuid")))
    call = pair.stop("getppid", 1, 1)
    pair.change(**changes)
    pair.resume()
    assert call.outcome() == wanted
    # There is nothing more to report, except a death.
    assert wanted == killed(Signal.SYS) or nothing_to_report(pair.tracee, pair.tracer)


@pytest.mark.requirement("seccomp.trace-recheck")
@pytest.mark.parametrize(
    "action", [Action.TRAP, Action.ERRNO, Action.USER_NOTIF, Action.LOG], ids=lambda one: one.name
)
def test_every_action_of_the_second_run(guest: Guest, action: Action) -> None:
    """The second run of the filters may return any action."""
    pair = TracedPair(guest, policy(rule(action, "getpid", data=errno.EACCES)), policy(trace("getppid")))
    call = pair.stop()
    pair.change(nr="getpid")
    pair.resume()
    if action is Action.TRAP:
        assert pair.tracer.wait(pair.tracee).stopped_by == Signal.SYS
        # The siginfo names the changed call, which was filtered.
        siginfo = pair.tracer.ptrace(Ptrace.GETSIGINFO, pair.tracee, 0, Out(128)).read()
        info = SignalInfo.decode_siginfo(siginfo, pair.tracer.abi)
        assert (info.signal, info.errno, info.code) == (Signal.SYS, errno.EACCES, SYS_SECCOMP)
        assert (info.syscall, info.arch) == (pair.tracee.number("getpid"), pair.tracee.abi.audit_arch)
        pair.resume()
    wanted = {
        Action.TRAP: trapped(pair.tracee, "getpid"),
        Action.ERRNO: EACCES,
        Action.USER_NOTIF: ENOSYS,
        Action.LOG: returned(pair.tracee.pid),
    }
    assert call.outcome() == wanted[action]


@pytest.mark.requirement("seccomp.trace-tracer-leaves")
def test_the_tracer_leaves_during_the_stop(guest: Guest) -> None:
    """A stopped call runs when its tracer detaches or dies; later calls fail with ENOSYS."""
    found: dict[str, tuple[object, object]] = {}
    for way in ("detaches", "dies"):
        pair = TracedPair(guest, policy(trace("getppid", "getpid")))
        call = pair.stop("getpid")
        if way == "detaches":
            pair.tracer.detach(pair.tracee).result()
        else:
            pair.tracer.exit().require(exited(0))
        found[way] = (call.outcome(), returned(pair.tracee.pid))
        found[f"{way}, later"] = (pair.tracee.call("getpid"), ENOSYS)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.trace-killed")
def test_killed_during_the_stop(guest: Guest) -> None:
    """After a SIGKILL during the stop of TRACE, the call does not run."""
    pair = TracedPair(guest, policy(trace("mkdirat")))
    call = pair.stop("mkdirat", AT_FDCWD, MADE, 0o755)
    pair.tracer.kill(pair.tracee, Signal.KILL).result()
    assert call.outcome() == killed(Signal.KILL)
    check_not_made(guest)


@pytest.mark.requirement("seccomp.trace-exitkill")
def test_the_tracers_death_kills_the_tracee(guest: Guest) -> None:
    """With PTRACE_O_EXITKILL, the tracer's death kills the tracee before its stopped call runs."""
    pair = TracedPair(guest, policy(trace("mkdirat")), options=PtraceOption.TRACESECCOMP | PtraceOption.EXITKILL)
    call = pair.stop("mkdirat", AT_FDCWD, MADE, 0o755)
    pair.tracer.exit().require(exited(0))
    assert call.outcome() == killed(Signal.KILL)
    check_not_made(guest)


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.trace", "seccomp.trace-recheck")
def test_trace_by_int80(guest: Guest) -> None:
    """A 32-bit call stops for TRACE, and the tracer changes it to another number of i386."""
    judge = policy(deny("getuid32", errno=EINVAL), trace("getppid", data=3), arch="i386")
    pair = TracedPair(guest, judge)
    with breaks("seccomp.trace"):
        call = pair.check_stops(number("getppid", "i386"), entry=Entry.INT80)
        assert pair.tracer.event_message(pair.tracee) == 3
    pair.change(nr=number("getuid32", "i386"))
    pair.resume()
    with breaks("seccomp.trace-recheck"):
        assert call.outcome() == EINVAL


@pytest.mark.requirement("seccomp.trace")
def test_a_stop_is_not_a_signal(guest: Guest) -> None:
    """If one filter returns TRACE and another the more severe TRAP, the tracer sees the signal and no event."""
    pair = TracedPair(guest, policy(trace("getppid")), policy(trap("getppid", data=5)))
    pair.tracee.begin("getppid")
    stop = pair.tracer.wait(pair.tracee)
    assert (stop.event, stop.stopped_by) == (0, Signal.SYS)
