# SPDX-License-Identifier: GPL-2.0-or-later
"""Strict mode: read, write, exit and rt_sigreturn, and nothing else."""

from __future__ import annotations

import errno

import pytest

from guests.abi import Abi
from guests.bpf import Action, ret
from guests.call_arguments import Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import (
    EBADF,
    EINTR,
    EINVAL,
    ENOSYS,
    GONE,
    OK,
    Expected,
    error,
    exited,
    killed,
    mismatches,
    returned,
)
from guests.protocol.wire import Entry
from guests.syscalls.seccomp import MODE_STRICT, SET_MODE_STRICT
from guests.task import Task
from guests.uapi import NR_X32, Prctl, Signal, number
from suites.seccomp.support.filtered_tasks import (
    allow_core_dumps,
    core_dumps,
    first_of_a_pid_namespace,
    status,
    unprivileged,
)

pytestmark = pytest.mark.needs("SECCOMP")

KILLED = killed(Signal.KILL, core=False)
FAULT = killed(Signal.SEGV)
"""rt_sigreturn outside a handler finds no signal frame, so a fault shows that the call was allowed."""
FAULTS = {Signal.SEGV, Signal.ILL}
"""The same: it depends on the stack where the task goes on."""


def strict(guest: Guest, name: str = "strict") -> Task:
    task = guest.spawn(name, quiet=True)
    task.enter_strict_mode().result()
    return task


Table = dict[str, tuple[int | str, tuple[int, ...], Expected]]
# fmt: off
NATIVE: Table = {
    # read and write run, and find no descriptor 99
    "read":                      ("read",         (99, 0, 0),   EBADF),
    "write":                     ("write",        (99, 0, 0),   EBADF),
    "exit":                      ("exit",         (3,),         exited(3)),
    "exit_group":                ("exit_group",   (3,),         KILLED),
    "close":                     ("close",        (99,),        KILLED),
    "getppid":                   ("getppid",      (),           KILLED),
    "pread64":                   ("pread64",      (99, 0, 0, 0), KILLED),
    "readv":                     ("readv",        (99, 0, 0),   KILLED),
    "writev":                    ("writev",       (99, 0, 0),   KILLED),
    "clone":                     ("clone",        (),           KILLED),
    "prctl":                     ("prctl",        (21,),        KILLED),
    "seccomp":                   ("seccomp",      (0, 0, 0),    KILLED),
    "restart_syscall":           ("restart_syscall", (),        KILLED),
    "one-beyond-the-table":      (0x1000,         (),           KILLED),
    "minus-one":                 (0xFFFFFFFF,     (),           KILLED),
    "x32-read":                  (NR_X32 | 0,     (99, 0, 0),   KILLED),
    "i386s-number-of-read":      (3,              (99, 0, 0),   KILLED),
    "i386s-number-of-write":     (4,              (99, 0, 0),   KILLED),
    "i386s-number-of-sigreturn": (119,            (),           KILLED),
}
INT80: Table = {
    "read":                      ("read",         (99, 0, 0),   EBADF),
    "write":                     ("write",        (99, 0, 0),   EBADF),
    "exit":                      ("exit",         (3,),         exited(3)),
    "sigreturn":                 ("sigreturn",    (),           FAULT),
    "rt_sigreturn":              ("rt_sigreturn", (),           KILLED),
    "exit_group":                ("exit_group",   (3,),         KILLED),
    "getppid":                   ("getppid",      (),           KILLED),
    "restart_syscall":           ("restart_syscall", (),        KILLED),
    "native-number-of-exit":     (60,             (3,),         KILLED),
    "native-number-of-rt_sigreturn": (15,         (),           KILLED),
    "minus-one":                 (0xFFFFFFFF,     (),           KILLED),
}
# fmt: on


def native_calls(abi: Abi) -> Table:
    """The table for an ABI: without others' numbers that are those of its own four calls.

    And without the call by which its handlers return in strict mode.
    """
    allowed = {number(name, abi.name) for name in ("read", "write", "exit", abi.strict_sigreturn)}
    calls: Table = {name: row for name, row in NATIVE.items() if row[0] not in allowed}
    others = {"sigreturn", "rt_sigreturn"} - {abi.strict_sigreturn}
    return {**calls, **{name: (name, (), KILLED) for name in filter(abi.has_call, others)}}


def need_rt_sigreturn(guest: Guest) -> None:
    """Skip the test unless handlers that get a siginfo can return in strict mode."""
    if (own := guest.init.abi.strict_sigreturn) != "rt_sigreturn":
        pytest.skip(f"needs a strict mode that allows rt_sigreturn, and that of {guest.arch} allows {own}")


def check_calls(guest: Guest, calls: Table, entry: Entry) -> None:
    """Each call, made by a task of its own in strict mode, has the outcome of the table."""
    found: dict[str, tuple[object, object]] = {}
    for name, (call, arguments, wanted) in calls.items():
        nr = call if isinstance(call, int) else number(call, guest.arch if entry is Entry.NATIVE else "i386")
        found[name] = (strict(guest).call(nr, *arguments, entry=entry, shown=f"{call}"), wanted)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.strict")
def test_native(guest: Guest) -> None:
    """Strict mode allows four calls; any other kills as if by SIGKILL, without a core dump."""
    abi = guest.init.abi
    check_calls(guest, native_calls(abi), Entry.NATIVE)
    # It runs, and takes what the stack has for a signal's frame.
    returning = strict(guest).call(abi.strict_sigreturn)
    assert returning.signal in FAULTS, returning


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.strict-int80")
def test_int80(guest: Guest) -> None:
    """For int 0x80, i386's numbers of the four calls count, with the old sigreturn instead of rt_sigreturn."""
    check_calls(guest, INT80, Entry.INT80)


@pytest.mark.requirement("seccomp.strict")
def test_reading_and_writing(guest: Guest) -> None:
    """Descriptors opened before can be used repeatedly, and the task can exit by itself."""
    task = guest.spawn("worker", quiet=True)
    reading, writing = task.pipe()
    task.enter_strict_mode().result()
    for text in (b"one", b"two"):
        assert task.write(writing, text) == returned(3)
        found = task.read(reading, 3)
        assert found == returned(3)
        assert found.read() == text
    assert task.exit_thread(5) == exited(5)


@pytest.mark.requirement("seccomp.strict")
def test_a_handler_returns(guest: Guest) -> None:
    """A signal is handled as usual, and its handler returns by rt_sigreturn."""
    need_rt_sigreturn(guest)
    task = guest.spawn("handler", quiet=True)
    task.catch(Signal.USR1).result()
    task.enter_strict_mode().result()
    guest.init.kill(task, Signal.USR1).result()
    guest.wait_until(lambda: len(task.caught_signals()) == 1, "the handler to run")
    assert task.call("write", 99, 0, 0) == EBADF


@pytest.mark.requirement("seccomp.strict-kill")
def test_only_the_calling_thread_dies(guest: Guest) -> None:
    """Strict mode belongs to one thread, and so does its death: the other threads of the process live on."""
    leader = guest.spawn("leader", quiet=True)
    thread = leader.thread("thread")
    thread.enter_strict_mode().result()
    assert status(guest, leader)["Seccomp"] == "0"
    assert thread.call("getppid") == GONE
    assert leader.call("getppid") == returned(guest.init.tid)


@core_dumps
@pytest.mark.requirement("seccomp.strict-kill")
def test_neither_handler_nor_core_dump(guest: Guest) -> None:
    """A death in strict mode runs no SIGSYS handler, and dumps no core even if the limit allows it."""

    def catching() -> Task:
        task = guest.spawn("catching", quiet=True)
        task.catch(Signal.SYS).result()
        allow_core_dumps(task)
        task.enter_strict_mode().result()
        return task

    assert catching().call("getppid") == KILLED
    # The control: a fault in an allowed call does dump core.
    control = catching()
    fault = control.call(control.abi.strict_sigreturn)
    require(fault.signal in FAULTS and fault.core, f"{fault}, and the test needs it to dump core")


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("seccomp.strict-kill")
def test_init_of_a_pid_namespace(guest: Guest) -> None:
    """The first process of a pid namespace is killed like any other."""
    task = first_of_a_pid_namespace(guest)
    task.enter_strict_mode().result()
    assert task.call("getppid") == KILLED


@pytest.mark.needs("X86_64")
@pytest.mark.requirement("seccomp.strict-tsc")
def test_rdtsc(guest: Guest) -> None:
    """rdtsc raises SIGSEGV in a task in strict mode, and in no other task."""
    free = guest.spawn("free", quiet=True)
    assert free.call(0, entry=Entry.RDTSC) == OK
    assert strict(guest).call(0, entry=Entry.RDTSC) == FAULT
    assert free.call(0, entry=Entry.RDTSC) == OK


@pytest.mark.needs("SECCOMP_FILTER", "X86_64")
@pytest.mark.requirement("seccomp.strict-tsc")
def test_rdtsc_under_a_filter(guest: Guest) -> None:
    """rdtsc works under a filter, even after the task has tried to enter strict mode and failed."""
    task = unprivileged(guest)
    task.install((ret(Action.ALLOW),)).result()
    assert task.call(0, entry=Entry.RDTSC) == OK
    assert task.enter_strict_mode() == EINVAL
    assert task.call(0, entry=Entry.RDTSC) == OK


@pytest.mark.requirement("seccomp.strict-enter")
def test_entering_strict_mode(guest: Guest) -> None:
    """seccomp() requires flags and pointer to be 0; prctl() ignores its pointer.  Neither requires privilege."""
    found: dict[str, tuple[object, object]] = {}
    for name, arguments, wanted in (
        ("prctl", (Prctl.SET_SECCOMP, MODE_STRICT, 0, 0, 0), OK),
        ("prctl", (Prctl.SET_SECCOMP, MODE_STRICT, 0xDEADBEEF, 7, 7), OK),
        ("seccomp", (SET_MODE_STRICT, 0, 0), OK),
        ("seccomp", (SET_MODE_STRICT, 1, 0), EINVAL),
        ("seccomp", (SET_MODE_STRICT, 0, 0xDEADBEEF), EINVAL),
    ):
        task = guest.spawn("entering", quiet=True)
        found[f"{name}{arguments}"] = (task.call(name, *arguments), wanted)
        found[f"{name}{arguments}, mode"] = (status(guest, task)["Seccomp"], "1" if wanted == OK else "0")
    assert mismatches(found) == []


@pytest.mark.needs("SECCOMP_FILTER")
@pytest.mark.requirement("seccomp.strict")
def test_an_interrupted_read(guest: Guest) -> None:
    """A blocking read that a signal interrupts fails with EINTR as usual, and the handler can return."""
    need_rt_sigreturn(guest)
    task = guest.spawn("reader", quiet=True)
    reading, _ = task.pipe()
    task.catch(Signal.USR1).result()
    task.enter_strict_mode().result()
    call = task.begin("read", reading, Out(1), 1)
    call.wait_until_blocked()
    guest.init.kill(task, Signal.USR1).result()
    assert call.outcome() == EINTR
    assert task.call("getppid") == KILLED


URETPROBE, UPROBE = 335, 336


@pytest.mark.needs("X86_64")
@pytest.mark.parametrize(
    "probe",
    [
        pytest.param(URETPROBE, id="uretprobe", marks=pytest.mark.requirement("seccomp.uretprobe")),
        pytest.param(UPROBE, id="uprobe", marks=pytest.mark.requirement("seccomp.uprobe")),
    ],
)
@pytest.mark.parametrize("mode", [pytest.param("filter", marks=pytest.mark.needs("SECCOMP_FILTER")), "strict"])
def test_probes_always_pass(guest: Guest, mode: str, probe: int) -> None:
    """The kernel's own calls for probes (335 and 336, native only) pass filters and strict mode.

    Made by a program, they fail with ENOSYS without uprobes.  With them, uretprobe raises SIGILL, and uprobe fails
    with ENXIO, or EPROTO in newer kernels; filters have no effect.
    """
    by_hand = {URETPROBE: (killed(Signal.ILL),), UPROBE: (error(errno.ENXIO), error(errno.EPROTO))}
    wanted = by_hand[probe] if guest.kernel.config.enabled("UPROBES") else (ENOSYS,)
    if mode == "strict":
        assert strict(guest).call(probe) in wanted
        assert strict(guest).call(URETPROBE - 1) == KILLED
        if guest.kernel.config.enabled("IA32_EMULATION"):
            assert strict(guest).call(probe, entry=Entry.INT80) == KILLED
        return
    for nr, outcomes in ((probe, wanted), (0x1001, (EINVAL,))):
        task = unprivileged(guest)
        task.install((ret(Action.ERRNO, errno.EINVAL),)).result()
        assert task.call(nr) in outcomes
