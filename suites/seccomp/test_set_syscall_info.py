# SPDX-License-Identifier: GPL-2.0-or-later
"""PTRACE_SET_SYSCALL_INFO in the stop of SECCOMP_RET_TRACE: a tracer changes the call by its description."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from guests.bpf import Action, arg, deny, kill_process, policy, trace
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EFAULT, EINVAL, ENOSYS, EPERM, OK, Expected, Outcome, error, killed, mismatches, returned
from guests.syscalls.base import Pending
from guests.syscalls.syscall_info import SYSCALL_INFO_SIZE, SyscallInfo, SyscallStop
from guests.uapi import AT_FDCWD, PTRACE_EVENT_STOP, PtraceOption, Signal
from suites.seccomp.support.filtered_tasks import MADE, check_not_made, skipped
from suites.seccomp.support.syscall_traced_pair import SYSCALL_STOP
from suites.seccomp.support.traced_pair import TracedPair

pytestmark = [
    pytest.mark.needs("SECCOMP_FILTER"),
    pytest.mark.requirement("seccomp.trace-set-syscall-info"),
]

SKIPPED = (1 << 64) - 1
NOWHERE = 0x1000


def describe(pair: TracedPair) -> SyscallInfo:
    return pair.tracer.syscall_info(pair.tracee)


def change(pair: TracedPair, info: SyscallInfo | int, size: int = SYSCALL_INFO_SIZE) -> Outcome:
    return pair.tracer.set_syscall_info(pair.tracee, info, size)


def first(value: int) -> tuple[int, ...]:
    """Arguments of a call."""
    return (value, 0, 0, 0, 0, 0)


JUDGE = policy(
    deny("getpid", errno=errno.EINVAL),
    kill_process("getgid"),
    deny("getppid", errno=errno.EINVAL, when=arg(0) == 7),
    deny("getppid", errno=errno.EPERM, when=arg(0) == 7 << 32),
)
# fmt: off
CHANGED: dict[str, tuple[dict[str, str | int | tuple[int, ...]], Expected]] = {
    # the tracer changes a traced getppid to                             the result
    "allowed-call":             ({"nr": "getuid"},               returned(1000)),
    "denied-call":              ({"nr": "getpid"},               EINVAL),
    "killing-call":             ({"nr": "getgid"},               killed(Signal.SYS)),
    "another-traced-call":      ({"nr": "geteuid"},              returned(1000)),
    "call-that-does-not-exist": ({"nr": 0x1000},                         ENOSYS),
    "argument-that-is-denied":  ({"arguments": first(7)},                EINVAL),
    "high-half-of-an-argument": ({"arguments": first(7 << 32)},          EPERM),
    "the-data-of-the-filter":   ({"data": 99},                           OK),
    "nothing":                  ({},                                     OK),
}
# fmt: on


@pytest.mark.parametrize(
    "what", [pytest.param(name, marks=pytest.mark.needs("64BIT") if "high" in name else ()) for name in CHANGED]
)
def test_a_changed_call_is_filtered_again(guest: Guest, what: str) -> None:
    """All filters run again for the call as it is described; a second TRACE does not stop it again."""
    changes, wanted = CHANGED[what]
    pair = TracedPair(guest, JUDGE, policy(trace("getppid", "geteuid")))
    call = pair.stop("getppid", 1)
    numbers = {key: pair.tracee.number(value) if isinstance(value, str) else value for key, value in changes.items()}
    assert change(pair, replace(describe(pair), **numbers)) == OK  # type: ignore[arg-type]
    pair.resume()
    assert call.outcome() == wanted


@pytest.mark.parametrize(
    ("set_result", "wanted"), [(None, None), (42, returned(42))], ids=["without-a-result", "with-a-result"]
)
def test_a_skipped_call(guest: Guest, set_result: int | None, wanted: Expected | None) -> None:
    """Number -1 skips the call and all filters; the result is that of the result register, arguments stay."""
    pair = TracedPair(guest, policy(trace("mkdirat"), default=Action.ALLOW))
    call = pair.stop("mkdirat", AT_FDCWD, MADE, 0o755)
    before = describe(pair)
    assert change(pair, replace(before, nr=SKIPPED, arguments=first(5))) == OK
    assert describe(pair) == replace(before, nr=SKIPPED)
    if set_result is not None:
        pair.change(result=set_result)
    pair.resume()
    assert call.outcome() == (skipped(pair.tracee, "mkdirat", AT_FDCWD) if wanted is None else wanted)
    check_not_made(guest)


def test_what_is_set_is_what_is_described(guest: Guest) -> None:
    """After a change, PTRACE_GET_SYSCALL_INFO describes the new number and arguments; data and addresses stay."""
    pair = TracedPair(guest, policy(trace("getppid", data=0xBEEF)))
    pair.stop("getppid", 1)
    before = describe(pair)
    arguments = (11, 12, 13, 14, 15, pair.tracee.abi.highest_bit)
    wanted = replace(before, nr=pair.tracee.number("getuid"), arguments=arguments)
    moved = replace(wanted, data=1, instruction_pointer=before.instruction_pointer + 8, stack_pointer=16, arch=0)
    assert change(pair, moved) == OK
    assert describe(pair) == wanted


def test_mistakes(guest: Guest) -> None:
    """A description that is too short, of another stop, with flags or with a number of more than 32 bits is rejected.

    Then nothing has changed.
    """
    pair = TracedPair(guest, policy(trace("getppid")))
    call = pair.stop("getppid", 1)
    good = replace(describe(pair), nr=pair.tracee.number("getuid"))
    found: dict[str, tuple[object, object]] = {
        "too short": (change(pair, good, SYSCALL_INFO_SIZE - 1), EINVAL),
        "unreadable": (change(pair, NOWHERE), EFAULT),
        "of an entry stop": (change(pair, replace(good, op=SyscallStop.ENTRY)), EINVAL),
        "of an exit stop": (change(pair, replace(good, op=SyscallStop.EXIT)), EINVAL),
        "of no call": (change(pair, replace(good, op=SyscallStop.NONE)), EINVAL),
        "a flag": (change(pair, replace(good, flags=1)), EINVAL),
        "a reserved byte": (change(pair, replace(good, reserved=1)), EINVAL),
        "33 bits": (change(pair, replace(good, nr=1 << 32 | good.nr)), error(errno.ERANGE)),
    }
    assert mismatches(found) == []
    pair.resume()
    assert call.outcome() == returned(pair.tracer.pid)


def test_outside_of_a_call(guest: Guest) -> None:
    """In a stop outside of any call, no description is accepted."""
    pair = TracedPair(guest, policy(trace("getppid")), options=PtraceOption.NONE)
    pair.tracer.interrupt(pair.tracee).result()
    require(pair.tracer.wait(pair.tracee).event == PTRACE_EVENT_STOP, f"{pair.tracee} was not interrupted")
    stops = (SyscallStop.NONE, SyscallStop.ENTRY, SyscallStop.SECCOMP)
    assert [change(pair, SyscallInfo(op=op)) for op in stops] == [EINVAL] * 3


def stop_at_entry(pair: TracedPair) -> Pending:
    """Let the tracee call getppid(), and wait for the stop at its entry."""
    options = PtraceOption.TRACESYSGOOD | PtraceOption.TRACESECCOMP
    pair.tracer.interrupt(pair.tracee).result()
    require(pair.tracer.wait(pair.tracee).event == PTRACE_EVENT_STOP, f"{pair.tracee} was not interrupted")
    pair.tracer.set_options(pair.tracee, options).result()
    pair.tracer.resume_to_syscall(pair.tracee).result()
    call = pair.tracee.begin("getppid")
    require(pair.tracer.wait(pair.tracee).stopped_by == SYSCALL_STOP, f"{pair.tracee} did not stop at its call")
    return call


@pytest.mark.parametrize(
    ("name", "wanted"), [("getuid", returned(1000)), ("getpid", EINVAL)], ids=["allowed-call", "denied-call"]
)
def test_at_the_entry(guest: Guest, name: str, wanted: Expected) -> None:
    """A call that a tracer describes anew at the entry stop is filtered as the new one."""
    pair = TracedPair(guest, JUDGE)
    call = stop_at_entry(pair)
    assert change(pair, replace(describe(pair), op=SyscallStop.ENTRY, nr=pair.tracee.number(name))) == OK
    pair.resume()
    assert call.outcome() == wanted
