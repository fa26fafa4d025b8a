# SPDX-License-Identifier: GPL-2.0-or-later
"""Where on a call's way into the kernel its filters run: after a tracer's entry stop, before the call."""

from __future__ import annotations

import errno
import re

import pytest

from guests import bpf
from guests.bpf import Action, Instruction, arg, deny, kill_process, load, policy, ret, trace
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINVAL, ENOSYS, EPERM, OK, Expected, exited, killed, mismatches, returned
from guests.syscalls.base import Pending
from guests.syscalls.seccomp import FilterFlag
from guests.uapi import AT_FDCWD, PTRACE_EVENT_SECCOMP, Ptrace, PtraceOption, Signal
from suites.seccomp.support.audit_records import AuditRecords
from suites.seccomp.support.audit_rules import audit_calls
from suites.seccomp.support.filtered_tasks import MADE, check_not_made, skipped, unprivileged
from suites.seccomp.support.syscall_traced_pair import SYSCALL_STOP, SyscallTracedPair
from suites.seccomp.support.traced_pair import TracedPair

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

DENY = policy(deny("getppid", errno=EINVAL))
BEYOND = 0x1000
"""A number beyond those of all calls."""


# fmt: off
REWRITES: dict[str, tuple[str, dict[str, int | str], Expected | None]] = {
    # the call that is made, what the tracer changes at its entry               the result
    "allowed-to-denied":         ("getuid",  {"nr": "getppid"},             EINVAL),
    "denied-to-allowed":         ("getppid", {"nr": "getuid"},    returned(1000)),
    "denied-and-unchanged":           ("getppid", {},                                EINVAL),
    "an-argument-to-denied":     ("getgid",  {"arg2": 5},                        EPERM),
    "to-no-call":                ("getuid",  {"nr": -1},                  None),
    "to-no-call-with-a-result":  ("getuid",  {"nr": -1, "result": 42},       returned(42)),
}
# fmt: on


@pytest.mark.requirement("seccomp.entry-order")
@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_tracers_rewrite_is_filtered(guest: Guest, rewrite: str) -> None:
    """Filters see the call as the tracer left it at the entry stop; an exit stop follows, whatever they return."""
    name, changes, wanted = REWRITES[rewrite]
    pair = SyscallTracedPair(
        guest, policy(deny("getppid", errno=EINVAL), deny("getgid", errno=EPERM, when=arg(2) == 5))
    )
    call = pair.stop_at_entry(name)
    pair.change(**changes)
    seen = pair.check_exit_stop()
    if changes.get("nr") == -1 and not pair.tracee.abi.keeps_result_at_entry:
        wanted = ENOSYS
    assert call.outcome() == (skipped(pair.tracee, name, 0) if wanted is None else wanted)
    assert call.outcome() == returned(seen)


@pytest.mark.requirement("seccomp.entry-order")
def test_a_call_changed_to_minus_one_is_filtered(guest: Guest) -> None:
    """A call whose number the tracer has set to -1 at the entry stop is filtered as number -1."""
    nothing = (
        load(bpf.NR),
        Instruction(bpf.JEQ, 0xFFFFFFFF, 0, 1),
        ret(Action.ERRNO, errno.EINVAL),
        ret(Action.ALLOW),
    )
    pair = SyscallTracedPair(guest, nothing)
    call = pair.stop_at_entry("getuid")
    pair.change(nr=-1, result=42)
    assert pair.check_exit_stop() == -errno.EINVAL
    assert call.outcome() == EINVAL


@pytest.mark.requirement("seccomp.entry-beyond-table")
def test_a_call_changed_to_a_number_beyond_the_table(guest: Guest) -> None:
    """A call that its tracer changes to a number beyond the table fails with ENOSYS, whatever result the tracer sets.

    A number between those of calls does the same; only -1 keeps the tracer's result.  The ABI says where not.
    """
    pair = SyscallTracedPair(guest)
    beyond = returned(42) if pair.tracee.abi.keeps_result_beyond else ENOSYS
    none = returned(42) if pair.tracee.abi.keeps_result_at_entry else ENOSYS
    found: dict[str, tuple[object, object]] = {}
    for nr, wanted in {BEYOND: beyond, pair.tracee.abi.unused_number: ENOSYS, -1: none}.items():
        call = pair.stop_at_entry("getuid")
        pair.change(nr=nr, result=42)
        pair.check_exit_stop()
        found[f"{nr}, at the entry"] = (call.outcome(), wanted)
    traced = TracedPair(guest, policy(trace("getuid")))
    call = traced.stop("getuid")
    traced.change(nr=BEYOND, result=42)
    traced.resume()
    found["in the stop of TRACE"] = (call.outcome(), beyond)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.entry-step")
def test_a_single_step_over_a_call(guest: Guest) -> None:
    """A tracer that steps over a call stops again at the instruction after it, whether the call is denied or runs.

    On some architectures, it stops one instruction later.
    """
    pair = SyscallTracedPair(guest, DENY)
    if not pair.tracer.abi.single_step:
        pytest.skip(f"needs PTRACE_SINGLESTEP, which {guest.arch} lacks")
    for name, wanted in {"getppid": EINVAL, "getuid": returned(1000)}.items():
        call = pair.stop_at_entry(name)
        next_instruction = pair.tracer.registers(pair.tracee).ip
        pair.tracer.ptrace(Ptrace.SINGLESTEP, pair.tracee).result()
        assert pair.tracer.wait(pair.tracee).stopped_by == Signal.TRAP
        assert pair.tracer.registers(pair.tracee).ip == next_instruction + pair.tracee.abi.stepped_bytes
        pair.resume()
        assert call.outcome() == wanted


@pytest.mark.requirement("seccomp.entry-order")
def test_entry_event_exit(guest: Guest) -> None:
    """A traced call stops three times: at its entry, for its filter's TRACE, and at its exit."""
    pair = SyscallTracedPair(guest, policy(trace("getppid", data=3)))
    call = pair.tracee.begin("getppid")
    assert pair.tracer.wait(pair.tracee).stopped_by == SYSCALL_STOP
    pair.resume()
    stop = pair.tracer.wait(pair.tracee)
    assert stop.event == PTRACE_EVENT_SECCOMP
    assert pair.tracer.event_message(pair.tracee) == 3
    assert pair.check_exit_stop() == pair.tracer.pid
    assert call.outcome() == returned(pair.tracer.pid)


@pytest.mark.requirement("seccomp.entry-kill-exit")
def test_a_kill_cannot_be_prevented_at_the_exit(guest: Guest) -> None:
    """A call that KILL_PROCESS ends has an exit stop too; then the tracee dies, whatever the tracer does there."""
    pair = SyscallTracedPair(guest, policy(kill_process("getppid")))
    call = pair.stop_at_entry("getppid")
    pair.resume()
    assert pair.tracer.wait(pair.tracee).stopped_by == SYSCALL_STOP
    pair.change(nr="getuid", result=0)
    pair.tracer.resume(pair.tracee).result()
    # The agent reads how it has died before the tracer reaps it.
    assert call.outcome() == killed(Signal.SYS)
    assert pair.tracer.wait(pair.tracee).killed_by == Signal.SYS


def stop_emulated(guest: Guest, pair: SyscallTracedPair) -> tuple[Pending, Expected]:
    """Stop the tracee at the entry of getppid() under PTRACE_SYSEMU, with a result; the call's expected outcome."""
    if not pair.tracer.abi.emulates_calls:
        pytest.skip(f"needs PTRACE_SYSEMU, which {guest.arch} lacks")
    pair.interrupt()
    pair.tracer.ptrace(Ptrace.SYSEMU, pair.tracee).result()
    call = pair.stop_at_entry("getppid")
    pair.change(result=77)
    return call, returned(77) if pair.tracee.abi.can_skip else skipped(pair.tracee, "getppid", 0)


@pytest.mark.requirement("seccomp.entry-order")
def test_emulated_calls_are_not_filtered(guest: Guest) -> None:
    """A call under PTRACE_SYSEMU ends at its entry stop: neither it nor any filter runs."""
    kills = policy(kill_process("getppid"))
    pair = SyscallTracedPair(guest, kills)
    call, emulated = stop_emulated(guest, pair)
    pair.tracer.resume(pair.tracee).result()
    assert call.outcome() == emulated
    control = unprivileged(guest, "control")
    control.install(kills).result()
    control.call("getppid").require(killed(Signal.SYS))


@pytest.mark.requirement("seccomp.entry-emulation-ends")
@pytest.mark.parametrize("way", ["detaches", "dies"])
def test_emulation_ends_with_the_tracer(guest: Guest, way: str) -> None:
    """The tracer leaves at the entry of a call under PTRACE_SYSEMU: that one is skipped, but no later one."""
    pair = SyscallTracedPair(guest, policy(kill_process("getppid")))
    call, emulated = stop_emulated(guest, pair)
    if way == "detaches":
        pair.tracer.detach(pair.tracee).result()
    else:
        pair.tracer.exit().require(exited(0))
    call.outcome().require(emulated)
    assert pair.tracee.call("getuid") == returned(1000)
    assert pair.tracee.call("getppid") == killed(Signal.SYS)


@pytest.mark.requirement("seccomp.trace-killed")
def test_killed_in_the_entry_stop(guest: Guest) -> None:
    """After a SIGKILL while the tracer holds a call at its entry, the call, which its filter allows, does not run."""
    pair = SyscallTracedPair(guest, policy(deny("getppid", errno=EINVAL)))
    call = pair.stop_at_entry("mkdirat", AT_FDCWD, pair.tracee.store(MADE.encode() + b"\0"), 0o755)
    pair.tracer.kill(pair.tracee, Signal.KILL).result()
    assert call.outcome() == killed(Signal.KILL)
    check_not_made(guest)


@pytest.mark.needs("AUDITSYSCALL", "SYSCTL")
@pytest.mark.boot("audit=1")
@pytest.mark.requirement("seccomp.entry-order")
def test_what_is_denied_is_not_audited(guest: Guest) -> None:
    """Calls are audited after their filters: there is a record of the call that ran, and none of the denied one."""
    audit_calls(guest, "getppid")
    filtered, free = unprivileged(guest), unprivileged(guest, "free")
    filtered.install(DENY).result()
    assert filtered.call("getppid") == EINVAL
    assert free.call("getppid") == returned(guest.init.tid)
    record = guest.wait_for_log(f" pid={free.pid} ")
    assert "type=1300" in record
    assert f" syscall={free.number('getppid')} " in record
    assert [line for line in guest.log() if "type=1300" in line and f" pid={filtered.pid} " in line] == []


@pytest.mark.needs("AUDITSYSCALL", "SYSCTL")
@pytest.mark.boot("audit=1")
@pytest.mark.requirement("seccomp.entry-audit")
def test_what_a_tracer_changes_is_audited(guest: Guest) -> None:
    """The audit record is that of the call that ran: of the one that the tracer made of another at its entry."""
    audit_calls(guest, "getppid")
    pair = SyscallTracedPair(guest)
    for number_after, name, argument in (("getuid", "getppid", 5), ("getppid", "getuid", 7)):
        call = pair.stop_at_entry(name, argument)
        pair.change(nr=number_after)
        pair.check_exit_stop()
        call.outcome().require(OK)
    AuditRecords(guest).wait_for_all()
    records = [line for line in guest.log() if "type=1300" in line and f" pid={pair.tracee.pid} " in line]
    assert [re.findall(r" (?:syscall|a0)=\w+", line) for line in records] == [
        [f" syscall={pair.tracee.number('getppid')}", " a0=7"]
    ]


@pytest.mark.requirement("seccomp.entry-tsync")
def test_filters_installed_during_the_entry_stop(guest: Guest) -> None:
    """Threads that a tracer holds at a call's entry get their first filter by TSYNC: it applies to those calls."""
    tracer = guest.spawn("tracer")
    caller = unprivileged(guest, "caller", parent=tracer)
    wanted = {"getppid": EINVAL, "getuid": returned(1000)}
    threads = {name: caller.thread(name) for name in wanted}
    for thread in threads.values():
        tracer.seize_and_stop(thread, PtraceOption.TRACESYSGOOD)
        tracer.resume_to_syscall(thread).result()
    calls = {name: thread.begin(name) for name, thread in threads.items()}
    for thread in threads.values():
        require(tracer.wait(thread).stopped_by == SYSCALL_STOP, f"{thread} did not stop at the entry of its call")
    assert caller.install(DENY, FilterFlag.TSYNC) == returned(0)
    for thread in threads.values():
        tracer.resume(thread).result()
    assert {name: call.outcome() for name, call in calls.items()} == wanted
