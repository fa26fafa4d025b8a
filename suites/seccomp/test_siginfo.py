# SPDX-License-Identifier: GPL-2.0-or-later
"""What the siginfo of a signal says, forced or sent: it is complete, it is of that signal, and holds nothing else."""

from __future__ import annotations

import pytest

from guests.abi import Abi
from guests.bpf import policy, trap
from guests.call_arguments import Out
from guests.call_plan import Plan, run, start
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EAGAIN, mismatches, returned
from guests.syscalls.seccomp import Poll
from guests.syscalls.signals import SYS_SECCOMP
from guests.task import Task
from guests.uapi import O_NONBLOCK, RLIMIT_SIGPENDING, Clone, Ptrace, Signal
from suites.seccomp.support.filtered_tasks import check_caught, signal_mask, trapped, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

HOUR_S = 3600
SIGINFO = 128
"""sizeof(siginfo_t)"""
SI_USER, SI_QUEUE, SI_TKILL = 0, -1, -6
REALTIME = 40
"""A signal that the kernel does not send without its siginfo."""
SSI_SYSCALL = 84
"""Offset of ssi_syscall, which ssi_call_addr and ssi_arch follow (include/uapi/linux/signalfd.h)."""
NOBODY = 65534
"""What a uid is in a user namespace that does not map it (Documentation/admin-guide/sysctl/fs.rst: overflowuid)."""


Sent = tuple[int, int, int, bytes, int, int, int, bytes]
"""A siginfo: signal, errno, code, padding without zeros, pid, uid, value, the rest without the zeros at its end."""


def sent(signal: int, code: int, pid: int, uid: int, value: int = 0) -> Sent:
    """The siginfo of a signal that a process sends."""
    return signal, 0, code, b"", pid, uid, value, b""


def pack(abi: Abi, siginfo: Sent) -> bytes:
    number, error, code, _, pid, uid, value, _ = siginfo
    head = abi.pack("iii", number, error, code).ljust(abi.siginfo_union, b"\0")
    return (head + abi.pack("iI", pid, uid) + abi.words(value)).ljust(SIGINFO, b"\0")


def take(task: Task, signal: Signal = Signal.USR1) -> Sent:
    """The siginfo of a signal that is pending, and that the task blocks."""
    mask, at_once = task.abi.pack("Q", signal_mask(signal)), task.abi.pack("qq", 0, 0)
    done = task.call("rt_sigtimedwait", mask, Out(SIGINFO), at_once, 8, shown=f"take({signal.name})")
    done.require(returned(signal))
    raw, at = done.read(), task.abi.siginfo_union
    number, error, code = task.abi.unpack_from("iii", raw)
    pid, uid = task.abi.unpack_from("iI", raw, at)
    value = task.abi.split_words(raw[at + 8 :], ("value",))["value"]
    rest = raw[at + 8 + task.abi.word :]
    return number, error, code, raw[12:at].rstrip(b"\0"), pid, uid, value, rest.rstrip(b"\0")


def plan_to_poll(task: Task) -> Plan:
    """A plan whose first call, poll(), leaves its deadline on the kernel's stack."""
    readable = task.abi.pack("iHH", task.call("eventfd2", 1, 0).result(), Poll.IN, 0)
    plan = Plan(task.slot)
    if task.has("poll"):
        plan.call("poll", readable, 1, 3_600_000)
    else:
        plan.call("ppoll", readable, 1, task.abi.pack("qq", HOUR_S, 0), None, 8)
    return plan


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("seccomp.siginfo-forced")
def test_a_forced_signal_at_the_limit_of_pending_signals(guest: Guest) -> None:
    """The SIGSYS of TRAP has its siginfo even in a user namespace in which no signal can be queued any more."""
    creator = guest.spawn("creator")
    creator.call("setrlimit", RLIMIT_SIGPENDING, creator.abi.words(0, 0)).result()
    task = creator.spawn("task", flags=Clone.NEWUSER, quiet=True)
    task.catch(Signal.SYS).result()
    task.install(policy(trap("getppid", data=7))).result()
    queued = pack(task.abi, sent(REALTIME, SI_QUEUE, task.own_tid, 0))
    task.call("rt_sigqueueinfo", task.own_tid, REALTIME, queued).require(EAGAIN)
    assert task.call("getppid") == trapped(task)
    caught = check_caught(task)
    assert (caught.code, caught.errno, caught.syscall) == (SYS_SECCOMP, 7, task.number("getppid"))


@pytest.mark.requirement("seccomp.siginfo-zeroed")
def test_the_rest_of_the_siginfo(guest: Guest) -> None:
    """After the sender's pid and uid, the siginfo of kill(), tkill() and tgkill() holds zeros, and no kernel memory.

    Just before, poll() leaves its deadline on the kernel's stack, which a siginfo that is not cleared would show.
    """
    task = guest.spawn("task")
    task.block(Signal.USR1).result()
    found: dict[str, tuple[object, object]] = {}
    for name, arguments, code in (
        ("tgkill", (task.pid, task.tid), SI_TKILL),
        ("tkill", (task.tid,), SI_TKILL),
        ("kill", (task.pid,), SI_USER),
    ):
        plan = plan_to_poll(task)
        plan.call(name, *arguments, Signal.USR1)
        require(run(task, plan) == [{"OK": 1}] * 2, f"{task} has not polled, or not sent the signal by {name}()")
        found[name] = (take(task), sent(Signal.USR1, code, task.pid, 1000))
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.siginfo-number")
def test_a_siginfo_of_another_signal(guest: Guest) -> None:
    """A queued signal arrives with its own number in its siginfo, whatever number the sender had written there."""
    task = guest.spawn("task")
    task.block(Signal.USR1).result()
    queued = pack(task.abi, sent(Signal.USR2, SI_QUEUE, 4711, 1000, value=42))
    found: dict[str, tuple[object, object]] = {}
    for name, target in (("rt_sigqueueinfo", (task.pid,)), ("rt_tgsigqueueinfo", (task.pid, task.tid))):
        task.call(name, *target, Signal.USR1, queued).result()
        found[name] = (take(task), sent(Signal.USR1, SI_QUEUE, 4711, 1000, value=42))
    assert mismatches(found) == []


@pytest.mark.needs("PID_NS", "USER_NS")
@pytest.mark.requirement("seccomp.siginfo-group")
def test_a_signal_for_a_group(guest: Guest) -> None:
    """Each member of a group gets the sender's pid and uid as its own namespaces show them, not as another's do.

    The member in other namespaces is between the others, so one of these gets the signal after it.
    """
    leader = guest.spawn("leader")
    leader.call("setpgid", 0, 0).result()
    leader.block(Signal.USR1).result()
    members = {
        "first": leader.spawn("first"),
        "contained": leader.spawn("contained", flags=Clone.NEWUSER | Clone.NEWPID),
        "last": leader.spawn("last"),
    }
    sender = guest.spawn("sender")
    sender.call("kill", -leader.pid, Signal.USR1, shown=f"kill(group of {leader}, USR1)").result()
    own, foreign = sent(Signal.USR1, SI_USER, sender.pid, 1000), sent(Signal.USR1, SI_USER, 0, NOBODY)
    found = {name: (take(task), foreign if name == "contained" else own) for name, task in members.items()}
    assert mismatches(found) == []


@pytest.mark.needs("SIGNALFD")
@pytest.mark.requirement("seccomp.siginfo-signalfd")
def test_sigsys_from_a_signalfd(guest: Guest) -> None:
    """A signalfd shows all that the siginfo of a SIGSYS from seccomp says: data, call, architecture and address.

    A tracer blocks the signal before it is delivered, because otherwise a forced signal is never left pending.
    """
    tracer = guest.spawn("tracer")
    task = unprivileged(guest, parent=tracer)
    mask = task.abi.pack("Q", signal_mask(Signal.SYS))
    signalfd = task.call("signalfd4", -1, mask, 8, O_NONBLOCK).result()
    task.install(policy(trap("getppid", data=7))).result()
    tracer.seize(task).result()
    call = task.begin("getppid")
    require(tracer.wait(task).stopped_by == Signal.SYS, f"{task} did not stop for SIGSYS")
    address = tracer.registers(task).ip
    tracer.ptrace(Ptrace.SETSIGMASK, task, len(mask), mask).result()
    tracer.resume(task, Signal.SYS).result()
    call.outcome().require(trapped(task))
    info = task.read(signalfd, 128)
    assert info == returned(128)
    assert tracer.abi.unpack_from("Iii", info.read()) == (Signal.SYS, 7, SYS_SECCOMP)
    seen = tracer.abi.unpack_from("iQI", info.read(), SSI_SYSCALL)
    assert seen == (task.number("getppid"), address, task.abi.audit_arch)


@pytest.mark.requirement("seccomp.siginfo-trap-zeroed")
def test_the_rest_of_a_traps_siginfo(guest: Guest) -> None:
    """Beside what TRAP says of the call, the siginfo of its SIGSYS holds zeros, and no kernel memory.

    Just before, poll() leaves its deadline on the kernel's stack, as in `test_the_rest_of_the_siginfo`.
    """
    tracer = guest.spawn("tracer")
    task = unprivileged(guest, parent=tracer)
    task.catch(Signal.SYS).result()
    plan = plan_to_poll(task)
    plan.call("getppid")
    task.install(policy(trap("getppid", data=7))).result()
    tracer.seize(task).result()
    running = start(task, plan, 1)
    assert tracer.wait(task).stopped_by == Signal.SYS
    raw = tracer.ptrace(Ptrace.GETSIGINFO, task, 0, Out(SIGINFO)).read()
    at = tracer.abi.siginfo_union
    assert tracer.abi.unpack_from("iii", raw) == (Signal.SYS, 7, SYS_SECCOMP)
    after_the_address = at + tracer.abi.word
    assert tracer.abi.unpack_from("iI", raw, after_the_address) == (task.number("getppid"), task.abi.audit_arch)
    assert raw[12:at] == bytes(at - 12)
    assert raw[after_the_address + 8 :] == bytes(SIGINFO - after_the_address - 8)
    tracer.resume(task, Signal.SYS).result()
    require(running.counts()[0] == {"OK": 1}, f"{task} has not polled")
