# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls into the vsyscall page, which the kernel emulates: they are filtered like the native calls."""

from __future__ import annotations

import errno

import pytest

from guests import bpf
from guests.bpf import AUDIT_ARCH, Action, Instruction, load, notify, policy, ret, rule, trace, trap
from guests.call_arguments import Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINVAL, ENOSYS, GONE, OK, Expected, Outcome, killed, mismatches, returned
from guests.protocol.wire import Entry
from guests.syscalls.base import Pending
from guests.syscalls.seccomp import USER_NOTIF_FLAG_CONTINUE
from guests.syscalls.signals import SYS_SECCOMP
from guests.task import Task
from guests.uapi import PTRACE_EVENT_SECCOMP, Ptrace, PtraceOption, Signal, number
from suites.seccomp.support.filtered_tasks import SupervisedPair, check_caught, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER", "X86_VSYSCALL_EMULATION")

PAGE = 0xFFFFFFFFFF600000
GETTIMEOFDAY, TIME, GETCPU = PAGE, PAGE + 0x400, PAGE + 0x800
OF_THE_KERNEL = 0xFFFF888000000000
"""An address of the kernel, which no program can write to."""
SEGV_MAPERR = 1

both_modes = pytest.mark.parametrize(
    "mode",
    [pytest.param(mode, marks=pytest.mark.boot(f"vsyscall={mode}")) for mode in ("emulate", "xonly")],
)


def require_mode(guest: Guest, mode: str) -> None:
    require(f"vsyscall={mode}" in guest.read_file("/proc/cmdline").split(), f"the kernel did not get vsyscall={mode}")


def begin_time(task: Task) -> Pending:
    return task.begin(TIME, 0, entry=Entry.VSYSCALL, shown="time() by the vsyscall page")


def time(task: Task) -> Outcome:
    return begin_time(task).outcome()


ALLOWED: dict[Action, Expected] = {
    Action.KILL_PROCESS: killed(Signal.SYS),
    Action.KILL_THREAD: killed(Signal.SYS),
    Action.TRAP: killed(Signal.SYS),
    Action.ERRNO: EINVAL,
    Action.USER_NOTIF: ENOSYS,
    Action.TRACE: ENOSYS,
    Action.LOG: OK,
    Action.ALLOW: OK,
}


@both_modes
@pytest.mark.requirement("seccomp.vsyscall")
def test_every_action(guest: Guest, mode: str) -> None:
    """Every action works for all three calls of the vsyscall page; a call that the filter does not name runs."""
    require_mode(guest, mode)
    calls = {
        "time": (TIME, (0,)),
        "gettimeofday": (GETTIMEOFDAY, (Out(16), 0)),
        "getcpu": (GETCPU, (Out(4), Out(4))),
    }
    found: dict[str, tuple[object, object]] = {}
    for name, (address, arguments) in calls.items():
        for action, wanted in ALLOWED.items():
            task = unprivileged(guest)
            task.install(policy(rule(action, name, data=errno.EINVAL))).result()
            other = next(one for one in calls if one != name)
            found[f"{other} beside {name}"] = (task.call(calls[other][0], *calls[other][1], entry=Entry.VSYSCALL), OK)
            found[f"{name} {action.name}"] = (task.call(address, *arguments, entry=Entry.VSYSCALL), wanted)
    assert mismatches(found) == []


@both_modes
@pytest.mark.requirement("seccomp.vsyscall")
def test_what_a_filter_sees(guest: Guest, mode: str) -> None:
    """A filter sees a vsyscall under its native number, with the page's address as instruction pointer."""
    judge = (
        *(load(bpf.NR), Instruction(bpf.JEQ, number("time"), 1, 0), ret(Action.ALLOW)),
        *(load(bpf.INSTRUCTION_POINTER + 4), Instruction(bpf.JEQ, TIME >> 32, 0, 3)),
        *(
            load(bpf.INSTRUCTION_POINTER),
            Instruction(bpf.JEQ, TIME & 0xFFFFFFFF, 0, 1),
            ret(Action.ERRNO, errno.EINVAL),
        ),
        ret(Action.ALLOW),
    )
    task = unprivileged(guest, f"under-{mode}")
    task.install(judge).result()
    assert time(task) == EINVAL
    assert task.call("time", 0) == OK


@both_modes
@pytest.mark.requirement("seccomp.vsyscall")
def test_trap(guest: Guest, mode: str) -> None:
    """TRAP's signal has the page's address and the native number; the call returns it unless the handler sets one."""
    task = unprivileged(guest, f"under-{mode}")
    task.catch(Signal.SYS).result()
    task.install(policy(trap("time", data=5))).result()
    assert time(task) == returned(number("time"))
    caught = check_caught(task)
    assert (caught.code, caught.errno, caught.call_address) == (SYS_SECCOMP, 5, TIME)
    assert (caught.syscall, caught.arch) == (number("time"), AUDIT_ARCH["x86_64"])
    task.catch(Signal.SYS, result=42).result()
    assert time(task) == returned(42)


@both_modes
@pytest.mark.requirement("seccomp.vsyscall")
def test_notification(guest: Guest, mode: str) -> None:
    """A supervisor can answer a call into the vsyscall page, or let it continue."""
    require_mode(guest, mode)
    pair = SupervisedPair(guest, policy(notify("time")))
    call = begin_time(pair.target)
    notif = pair.receive()
    assert (notif.nr, notif.instruction_pointer) == (number("time"), TIME)
    assert pair.reply(notif, value=4711) == OK
    assert call.outcome() == returned(4711)
    earliest = guest.init.call("time", 0).result()
    call = begin_time(pair.target)
    assert pair.reply(pair.receive(), flags=USER_NOTIF_FLAG_CONTINUE) == OK
    # The call runs, and tells the time.
    assert call.outcome() == OK
    assert earliest <= call.outcome().value <= guest.init.call("time", 0).result()


# fmt: off
CHANGES: dict[str, tuple[dict[str, int | str], Expected]] = {
    # what the tracer changes                                     the result
    "nothing":              ({},                                  OK),
    "skips-it":             ({"nr": -1},                    ENOSYS),
    "skips-with-a-result":  ({"nr": -1, "result": 42},         returned(42)),
    "another-number":       ({"nr": "getuid"},      killed(Signal.SYS)),
    "another-vsyscall":     ({"nr": "getcpu"},      killed(Signal.SYS)),
    "another-address":      ({"rip": PAGE + 0x800},               killed(Signal.SYS)),
    "an-address-to-return": ({"nr": -1, "rip": 0x10000},    killed(Signal.SYS)),
}
# fmt: on


@both_modes
@pytest.mark.requirement("seccomp.vsyscall-trace")
def test_a_tracers_changes(guest: Guest, mode: str) -> None:
    """A tracer can skip a call into the vsyscall page; changing its number or address raises SIGSYS."""
    found: dict[str, tuple[object, object]] = {}
    for name, (changes, wanted) in CHANGES.items():
        tracer = guest.spawn("tracer")
        tracee = unprivileged(guest, f"under-{mode}", parent=tracer)
        tracee.install(policy(trace("time", data=6))).result()
        tracer.seize(tracee, PtraceOption.TRACESECCOMP).result()
        call = begin_time(tracee)
        assert tracer.wait(tracee).event == PTRACE_EVENT_SECCOMP
        assert tracer.event_message(tracee) == 6
        tracer.set_registers(tracee, **changes).result()
        tracer.resume(tracee).result()
        found[name] = (call.outcome(), wanted)
    assert mismatches(found) == []


@both_modes
@pytest.mark.requirement("seccomp.strict-vsyscall")
def test_strict_mode(guest: Guest, mode: str) -> None:
    """Each of the three calls of the vsyscall page kills a thread in strict mode, and no other one."""
    require_mode(guest, mode)
    for address in (GETTIMEOFDAY, TIME, GETCPU):
        leader = guest.spawn("leader", quiet=True)
        thread = leader.thread("thread")
        thread.call(address, 0, 0, entry=Entry.VSYSCALL).require(OK)
        thread.enter_strict_mode().result()
        assert thread.call(address, 0, 0, entry=Entry.VSYSCALL) == GONE
        assert leader.call(address, 0, 0, entry=Entry.VSYSCALL) == OK
        leader.enter_strict_mode().result()
        assert leader.call(address, 0, 0, entry=Entry.VSYSCALL) == killed(Signal.KILL, core=False)


POINTERS = {
    "time": (TIME, (OF_THE_KERNEL,)),
    "gettimeofday": (GETTIMEOFDAY, (OF_THE_KERNEL, 0)),
    "gettimeofday-for-the-zone": (GETTIMEOFDAY, (0, OF_THE_KERNEL)),
    "getcpu": (GETCPU, (OF_THE_KERNEL, 0)),
    "getcpu-for-the-node": (GETCPU, (0, OF_THE_KERNEL)),
}


@pytest.mark.boot("vsyscall=xonly")
@pytest.mark.parametrize("pointer", POINTERS)
@pytest.mark.requirement("seccomp.vsyscall-fault")
def test_a_pointer_into_the_kernel(guest: Guest, pointer: str) -> None:
    """A call whose pointer leads into the kernel raises SIGSEGV, and its siginfo has the address."""
    tracer = guest.spawn("tracer")
    tracee = tracer.spawn("tracee")
    tracer.seize(tracee).result()
    address, arguments = POINTERS[pointer]
    call = tracee.begin(address, *arguments, entry=Entry.VSYSCALL, shown=f"{pointer} by the vsyscall page")
    assert tracer.wait(tracee).stopped_by == Signal.SEGV
    siginfo = tracer.ptrace(Ptrace.GETSIGINFO, tracee, 0, Out(128)).read()
    assert tracer.abi.unpack_from("iiixxxxQ", siginfo) == (Signal.SEGV, 0, SEGV_MAPERR, OF_THE_KERNEL)
    tracer.resume(tracee, Signal.SEGV).result()
    assert call.outcome() == killed(Signal.SEGV)


@pytest.mark.boot("vsyscall=none")
@pytest.mark.requirement("seccomp.vsyscall-none")
def test_without_the_page(guest: Guest) -> None:
    """With vsyscall=none, a call into the page raises SIGSEGV, whatever a filter would have returned for it."""
    free = unprivileged(guest, "free")
    assert time(free) == killed(Signal.SEGV)
    for action in (Action.ALLOW, Action.ERRNO, Action.KILL_PROCESS):
        task = unprivileged(guest)
        task.install(policy(rule(action, "time", data=errno.EINVAL))).result()
        assert time(task) == killed(Signal.SEGV)
