# SPDX-License-Identifier: GPL-2.0-or-later
"""The tasks of the seccomp tests: filtered tasks, their supervisors and tracers, and what /proc shows of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import pytest
from _pytest.mark import ParameterSet

from guests.bpf import Filter
from guests.call_arguments import Argument
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EINPROGRESS, ENOENT, ENOSYS, Expected, Outcome, error, killed, mismatches, returned
from guests.promises import breaks
from guests.protocol.wire import Entry
from guests.syscalls.base import Pending
from guests.syscalls.seccomp import FilterFlag, Notification, Poll
from guests.syscalls.signals import CaughtSignal
from guests.task import Task
from guests.uapi import RLIMIT_CORE, Clone, Signal

MADE = "/tmp/made"  # noqa: S108 - the guest's
"""A directory that a call would make if it ran."""
CORE_BYTES = 0x10000
"""A core dump of this size is truncated, and written quickly."""

DUMPED = killed(Signal.SYS, core=True)
core_dumps = pytest.mark.needs("COREDUMP", "ELF_CORE")
"""Without ELF_CORE, no program's death has a core, and the status does not say so (fs/binfmt_elf.c)."""


ENTRIES = [
    pytest.param(Entry.NATIVE, id="native"),
    pytest.param(Entry.INT80, id="int-0x80", marks=pytest.mark.needs("IA32_EMULATION")),
]
"""Ways to enter the kernel, for parametrize."""


NAMESPACES = {"user-namespace": "USER_NS", "pid-ns": "PID_NS"}


def caller_cases(table: Iterable[str]) -> list[ParameterSet]:
    """The rows of a table, for parametrize; only those about callers in a namespace need its option."""
    return [
        pytest.param(name, marks=[pytest.mark.needs(option) for kind, option in NAMESPACES.items() if kind in name])
        for name in table
    ]


def unprivileged(guest: Guest, name: str = "filtered", *, parent: Task | None = None) -> Task:
    """A task with uid 1000, no capabilities and no_new_privs, waiting quietly: all it may do is install filters.

    As a child of `parent`, it has the uid and capabilities of that task instead.
    """
    task = parent.spawn(name, quiet=True) if parent else guest.spawn(name, quiet=True)
    task.set_no_new_privs().result()
    return task


def one_of_several(guest: Guest) -> Task:
    """A thread of an unprivileged process that has another one."""
    return unprivileged(guest, "leader").thread("thread")


def first_of_a_pid_namespace(guest: Guest, name: str = "first", *, parent: Task | None = None) -> Task:
    """The first process of a pid namespace: a child of `parent`, or else an unprivileged child of init."""
    task = (parent or guest).spawn(name, flags=Clone.NEWPID, quiet=True)
    require(task.own_tid == 1, f"{task} is not the first process of its pid namespace")
    return task


def allow_core_dumps(task: Task, size: int = CORE_BYTES) -> None:
    """Let a fatal signal dump core: allow the size, and change to a writable directory."""
    task.call("setrlimit", RLIMIT_CORE, task.abi.words(size, size)).result()
    task.call("chdir", "/tmp").result()  # noqa: S108 - the guest's


def let_priorities_decide(guest: Guest) -> None:
    """Let real-time tasks run for as long as they want: otherwise the kernel reserves a share for the others."""
    if guest.exists("/proc/sys/kernel/sched_rt_runtime_us"):
        guest.set_sysctl("kernel.sched_rt_runtime_us", -1)


def dumped(promised: Callable[[str], bool]) -> Expected:
    """How the zombie shows a death by SIGSYS, where core dumps are allowed.

    An older kernel may show the core nevertheless: nothing tells whether that was backported.
    """
    return DUMPED if promised("seccomp.kill-core-visible") else killed(Signal.SYS)


def need_call(task: Task, name: str) -> None:
    """Skip the test if the task's ABI has no system call of that name."""
    if not task.has(name):
        pytest.skip(f"needs the system call {name}(), which {task.abi.name} lacks")


def change_registers(tracer: Task, tracee: Task, **changes: int | str) -> None:
    """Change the registers of a stopped tracee.  Skip the test if the tracer cannot change them all."""
    if "nr" in changes and "result" in changes and not tracer.abi.can_skip:
        pytest.skip(f"needs a register for the number and one for the result, and {tracer.abi.name} has one for both")
    if lacking := [name for name in changes if name.startswith("arg") and not tracer.abi.reaches(name)]:
        pytest.skip(f"needs a tracer that can change {', '.join(lacking)}, as it cannot on {tracer.abi.name}")
    tracer.set_registers(tracee, **changes).result()


def no_call(task: Task, nr: int, *, filtered: bool = False) -> Expected:
    """The outcome of a call without arguments whose number belongs to none, without filters or allowed by them."""
    if filtered and nr == 0xFFFFFFFF and task.abi.skips_minus_one:
        return returned(0)
    return ENOSYS if nr < task.abi.illegal_from else killed(Signal.ILL)


def trapped(task: Task, name: str = "getppid", first: int = 0) -> Expected:
    """What a call of the task returns that TRAP has stopped, by the call's first argument."""
    return returning(task.abi.trapped_result(task.number(name), first))


def skipped(task: Task, name: str, first: int) -> Expected:
    """What a call of the task returns that a tracer has skipped without setting a result."""
    return returning(task.abi.skipped_result(task.number(name), first))


def returning(value: int) -> Expected:
    """What a call returns that leaves this value in the register of results."""
    return error(-value) if -4096 < value < 0 else returned(value)


def status(guest: Guest, task: Task) -> dict[str, str]:
    """The task's /proc/PID/task/TID/status, by the names of its lines; a line that is missing is empty."""
    lines = guest.read_file(f"/proc/{task.pid}/task/{task.tid}/status").splitlines()
    return defaultdict(str, {name: value.strip() for name, _, value in (line.partition(":") for line in lines)})


def seccomp_state(guest: Guest, task: Task) -> tuple[str, str, str]:
    """NoNewPrivs, Seccomp and Seccomp_filters of one thread."""
    lines = status(guest, task)
    return lines["NoNewPrivs"], lines["Seccomp"], lines["Seccomp_filters"]


def check_promises(found: Mapping[str, Mapping[str, tuple[object, object]]]) -> None:
    """Compare the outcomes of each promise's rows with the expected ones: a mismatch breaks that promise alone."""
    broken = {promise: lines for promise, rows in found.items() if (lines := mismatches(rows))}
    with breaks(*(broken or found)):
        # pytest explains the comparisons of test modules only, so those of this one say what they found.
        assert not broken, "\n".join(line for lines in broken.values() for line in lines)


def check_equal(found: object, wanted: object) -> None:
    """A comparison of a helper."""
    assert found == wanted, f"{found!r}, expected {wanted!r}"


def check_not_made(guest: Guest, path: str = MADE) -> None:
    """A call that would have made this directory has not run.  The control: another task can make it."""
    assert not guest.exists(path), f"{path} exists, so the call has run"
    guest.spawn("control").mkdir(path).result()


def check_caught(task: Task) -> CaughtSignal:
    """The signal that the task has caught: one, and no more."""
    caught = task.caught_signals()
    assert len(caught) == 1, f"{task} has caught {len(caught)} signals, expected 1"
    return caught[0]


def signal_mask(signal: Signal) -> int:
    return 1 << (signal - 1)


def code_after_handlers(guest: Guest, task: Task) -> tuple[int, int]:
    """Where the task's handlers return to, for the call that restores what they interrupted: address and size."""
    if not task.abi.returns_by_vdso:
        return task.hello().signal_restorer, 16
    lines = guest.read_file(f"/proc/{task.pid}/maps").splitlines()
    ranges = [line.split()[0].split("-") for line in lines if line.endswith("[vdso]")]
    require(len(ranges) == 1, f"{task} has {len(ranges)} vdsos")
    start, end = (int(address, 16) for address in ranges[0])
    return start, end - start


class SupervisedPair:
    """A target under a filter, and a supervisor, its parent with the same user, that holds the listener."""

    def __init__(self, guest: Guest, program: Filter, flags: FilterFlag = FilterFlag.NONE) -> None:
        self.guest = guest
        self.supervisor = guest.spawn("supervisor")
        self.target = unprivileged(guest, "target", parent=self.supervisor)
        self.listener = self.fetch_listener(self.target, program, flags)

    def fetch_listener(self, target: Task, program: Filter, flags: FilterFlag = FilterFlag.NONE) -> int:
        """Let the target install a filter, and move its listener to the supervisor."""
        target_fd = target.listen(program, flags).result()
        listener = self.supervisor.pidfd_getfd(target, target_fd).result()
        target.close(target_fd).result()
        return listener

    def receive(self) -> Notification:
        return self.supervisor.receive(self.listener)

    def receive_after_signal(self) -> Notification:
        """The same; but for a notification that a signal has discarded before, the kernel may return ENOENT, once."""
        received = self.supervisor.begin_receive(self.listener).outcome()
        return self.receive() if received == ENOENT else Notification.decode(received.read(), self.supervisor.abi)

    def check_too_early(self, attempt: Outcome, former: Notification) -> None:
        """The attempt, for the id after that of `former`, came before its notification was received."""
        if attempt == ENOENT:
            self.receive_successor(former)
        check_equal(attempt, EINPROGRESS)

    def receive_successor(self, former: Notification) -> Notification:
        """Receive the notification whose id a test has predicted: the ids of a listener count up."""
        notif = self.receive()
        require(notif.id == former.id + 1, f"notification {notif.id:#x} does not follow {former.id:#x}")
        return notif

    def call_and_receive(self, name: str | int, *arguments: Argument) -> tuple[Pending, Notification]:
        """Let the target make a call, and receive its notification."""
        return self.target.begin(name, *arguments), self.receive()

    def reply(self, notif: Notification, *, value: int = 0, error: int = 0, flags: int = 0) -> Outcome:
        return self.supervisor.reply(self.listener, notif.id, value=value, error=error, flags=flags)

    def poll(self) -> int:
        """The events that the listener polls."""
        return self.supervisor.poll(self.listener)

    def wait_for_hang_up(self) -> None:
        """Wait until the listener polls that no task has its filter any more.  Before 6.11, zombies count too."""
        self.guest.wait_until(lambda: self.poll() == Poll.HUP, "the listener to hang up")

    def interrupt(self, signal: Signal) -> None:
        """Send the target a signal."""
        self.supervisor.kill(self.target, signal).result()
