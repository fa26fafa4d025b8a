# SPDX-License-Identifier: GPL-2.0-or-later
"""Core dumps of the processes that filters kill: when there is one, who sees it, and what it holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.abi import Abi
from guests.bpf import Action, policy, rule
from guests.call_arguments import Out
from guests.call_plan import Plan, give_realtime_priority, share_a_processor, start, start_realtime
from guests.guest import Guest
from guests.outcome import GONE, killed, returned
from guests.syscalls.signals import SYS_SECCOMP, SignalInfo
from guests.task import Task
from guests.uapi import Clone, Signal
from suites.elf_files import ElfLayout
from suites.seccomp.support.filtered_tasks import (
    CORE_BYTES,
    DUMPED,
    allow_core_dumps,
    core_dumps,
    dumped,
    let_priorities_decide,
    one_of_several,
    unprivileged,
)
from suites.seccomp.support.io_uring_ring import Ring

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

CLD_DUMPED = 3
P_PID, WEXITED = 1, 4


@core_dumps
@pytest.mark.requirement("seccomp.kill-core-visible")
@pytest.mark.parametrize(
    ("action", "build"),
    [(Action.KILL_THREAD, unprivileged), (Action.KILL_PROCESS, one_of_several)],
    ids=["last", "one"],
)
def test_the_status_shows_the_core(guest: Guest, action: Action, build: Callable[[Guest], Task]) -> None:
    """After KILL_THREAD of the last thread or KILL_PROCESS by one of several, the status shows the core dump."""
    task = build(guest)
    allow_core_dumps(task)
    task.install(policy(rule(action, "getppid"))).result()
    assert task.call("getppid") == DUMPED


@core_dumps
@pytest.mark.requirement("seccomp.kill-core")
def test_the_last_thread_dumps_core(guest: Guest, promised: Callable[[str], bool]) -> None:
    """KILL_THREAD of the last thread dumps core, although the leader, which it has ended before, is a zombie."""
    leader = unprivileged(guest, "leader")
    last = leader.thread("last")
    allow_core_dumps(leader)
    for thread in (leader, last):
        thread.install(policy(rule(Action.KILL_THREAD, "getppid"))).result()
    leader.call("getppid").require(GONE)
    assert last.call("getppid") == dumped(promised)


@core_dumps
@pytest.mark.requirement("seccomp.kill-core")
@pytest.mark.parametrize("action", [Action.KILL_PROCESS, Action.KILL_THREAD, Action.TRAP], ids=lambda one: one.name)
def test_no_core_if_the_limit_is_zero(guest: Guest, promised: Callable[[str], bool], action: Action) -> None:
    """Of two processes, only that whose limit allows a core dump leaves one; both die by the same signal."""
    for limit, wanted in ((CORE_BYTES, dumped(promised)), (0, killed(Signal.SYS, core=False))):
        task = unprivileged(guest)
        allow_core_dumps(task, limit)
        task.install(policy(rule(action, "getppid"))).result()
        assert task.call("getppid") == wanted


@core_dumps
@pytest.mark.requirement("seccomp.kill-core")
def test_siginfo_of_the_parent(guest: Guest) -> None:
    """waitid() reports CLD_DUMPED and SIGSYS to the parent."""
    parent = guest.spawn("parent")
    child = unprivileged(guest, "child", parent=parent)
    allow_core_dumps(child)
    child.install(policy(rule(Action.KILL_PROCESS, "getppid"))).result()
    child.call("getppid").require(killed(Signal.SYS))
    siginfo = parent.call("waitid", P_PID, child.tid, Out(128), WEXITED, None).read()
    signal, error, code = parent.abi.unpack_from("iii", siginfo)
    pid, uid, code_or_signal = parent.abi.unpack_from("iIi", siginfo, parent.abi.siginfo_union)
    assert (signal, error, code, pid, uid) == (Signal.CHLD, 0, CLD_DUMPED, child.pid, 1000)
    assert code_or_signal == Signal.SYS


NT_PRSTATUS, NT_SIGINFO, PT_NOTE = 1, 0x53494749, 4


def registers_at(word: int) -> int:
    """The offset of the registers in struct elf_prstatus: ten words and eight integers come first."""
    return 32 + 10 * word


def check_core(guest: Guest, task: Task) -> str:
    """The path of the process's core dump, which must exist."""
    names = [f"/tmp/{name}" for name in ("core", f"core.{task.pid}")]  # noqa: S108
    paths = [name for name in names if guest.exists(name)]
    assert len(paths) == 1, f"of {' and '.join(names)}, there is {paths}"
    return paths[0]


def core_notes(core: bytes, abi: Abi) -> dict[int, bytes]:
    """The notes of a core dump, by type; of several of one type, the first, which is the dying thread's."""
    at, size = next((one.offset, one.size) for one in ElfLayout(core).program_headers(core) if one.kind == PT_NOTE)
    found: dict[int, bytes] = {}
    end = at + size
    while at < end:
        name, length, kind = abi.unpack_from("III", core, at)
        at += 12 + -(-name // 4) * 4
        found.setdefault(kind, core[at : at + length])
        at += -(-length // 4) * 4
    return found


@core_dumps
@pytest.mark.needs("SYSCTL")
@pytest.mark.requirement("seccomp.kill-core")
@pytest.mark.parametrize("action", [Action.KILL_PROCESS, Action.KILL_THREAD, Action.TRAP], ids=lambda one: one.name)
def test_contents_of_the_core(guest: Guest, promised: Callable[[str], bool], action: Action) -> None:
    """The core has the siginfo of the fatal call's signal, and the registers as they were when it was made."""
    task = unprivileged(guest)
    guest.set_sysctl("kernel.core_pattern", "core")
    allow_core_dumps(task)
    task.install(policy(rule(action, "getppid", data=5))).result()
    assert task.call("getppid", 0x1234) == dumped(promised)
    # The limit for core dumps does not count holes, so the file may be long; the notes come first.
    notes = core_notes(guest.read_bytes(check_core(guest, task), beginning=True), task.abi)
    signal = task.abi.unpack_from("i", notes[NT_PRSTATUS])[0]
    registers = task.abi.rolled_back(notes[NT_PRSTATUS][registers_at(task.abi.word) :])
    getppid = task.number("getppid")
    assert (signal, registers.nr, registers.arguments[0]) == (Signal.SYS, getppid, 0x1234)
    info = SignalInfo.decode_siginfo(notes[NT_SIGINFO], task.abi)
    assert (info.signal, info.code, info.errno) == (Signal.SYS, SYS_SECCOMP, 5)
    assert (info.syscall, info.arch, info.call_address) == (getppid, task.abi.audit_arch, registers.ip)


@core_dumps
@pytest.mark.requirement("seccomp.kill-core-alone")
def test_the_parent_in_vfork(guest: Guest, promised: Callable[[str], bool]) -> None:
    """A filtered child dumps core, and its parent, which waits in vfork() and shares its memory, lives on."""
    parent = guest.spawn("parent")
    child = parent.spawn("child", flags=Clone.VM | Clone.VFORK)
    allow_core_dumps(child)
    child.set_no_new_privs().result()
    child.install(policy(rule(Action.KILL_PROCESS, "getppid"))).result()
    assert child.call("getppid") == dumped(promised)
    # It may not have returned from vfork() yet.
    parent.wait_state("S", "Z")
    assert parent.call("getuid") == returned(1000)


by_a_signal = pytest.mark.requirement("seccomp.kill-core-signals")
by_a_ring = (pytest.mark.needs("IO_URING"), pytest.mark.requirement("seccomp.kill-core-ring"))
DURING_A_DUMP = [
    pytest.param(Signal.TERM, id="TERM", marks=by_a_signal),
    pytest.param(Signal.KILL, id="KILL", marks=by_a_signal),
    pytest.param(None, id="a-completed-operation", marks=by_a_ring),
]


@core_dumps
@pytest.mark.parametrize("event", DURING_A_DUMP)
def test_an_event_for_a_dumping_process(guest: Guest, promised: Callable[[str], bool], event: Signal | None) -> None:
    """While a killed process waits for its other threads to dump core, SIGTERM and completed operations are ignored.

    The control is SIGKILL, which ends the dump.  Priorities decide who runs when: first the killed thread until
    it waits, then who sends the signal or completes the operation, and then the other thread.
    """
    guest.set_sysctl("kernel.core_pattern", "core")
    let_priorities_decide(guest)
    sender = guest.spawn("sender")
    (reading, writing), (polled, completing) = sender.pipe(), sender.pipe()
    leader = unprivileged(guest, "leader", parent=sender)
    other = leader.thread("other")
    share_a_processor(sender, leader, other)
    allow_core_dumps(leader)
    if event is None:
        ring = Ring(leader)
        ring.prepare_poll(polled)
        ring.submit().require(returned(1))
    leader.install(policy(rule(Action.KILL_PROCESS, "getppid"))).result()
    fatal = Plan(leader.slot)
    fatal.call("read", reading, leader.store(b"-"), 1)
    fatal.call("getppid")
    end = start(leader, fatal, 1)
    leader.wait_state("S")
    give_realtime_priority(leader, 20)
    plan = Plan(sender.slot)
    plan.call("write", writing, b"-", 1)
    if event is None:
        plan.call("write", completing, b"-", 1)
    else:
        plan.call("kill", leader.pid, event)
    assert start_realtime(sender, plan, priority=10).counts() == [{"OK": 1}] * 2
    end.counts()
    if event is Signal.KILL:
        leader.wait_death().require(killed(Signal.KILL, core=False))
    else:
        assert leader.wait_death() == dumped(promised)
        assert guest.read_bytes(check_core(guest, leader), beginning=True).startswith(b"\x7fELF")
