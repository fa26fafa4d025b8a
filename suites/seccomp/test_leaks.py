# SPDX-License-Identifier: GPL-2.0-or-later
"""No filter remains in memory once neither a task nor a listener has it.

/proc/vmallocinfo has one line for each program in the kernel's memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from socket import AF_NETLINK, SOCK_RAW, SOL_SOCKET

import pytest

from guests import bpf
from guests.bpf import Action, Instruction, Program, deny, notify, policy, ret
from guests.call_arguments import Out
from guests.call_plan import Counts, Plan, run, spare_slot, start
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EBUSY, EFAULT, EINVAL, ENOENT, ENOMEM, ESRCH, OK, Expected, Outcome, returned
from guests.syscalls.seccomp import FilterFlag, fprog
from guests.task import Task
from guests.uapi import WALL, Cap, Ptrace, Signal
from suites.failing_allocations import FailingAllocations, with_failing_allocations
from suites.seccomp.support.filtered_tasks import SupervisedPair, unprivileged
from suites.userfaults import WaitingFork

pytestmark = [
    pytest.mark.needs("SECCOMP_FILTER", "KALLSYMS"),
    pytest.mark.requirement("seccomp.no-leak"),
]

SO_ATTACH_FILTER = 26
BPF_PROG_LOAD, BPF_PROG_TYPE_SYSCALL, BPF_F_SLEEPABLE = 5, 31, 1 << 4

ALLOCATED = re.compile(r" bpf_prog_alloc(_no_stats)?(\.llvm\.\d+)?\+")
"""In a line of /proc/vmallocinfo: who has allocated it.  Link-time optimisation may make one function of the two."""

ALLOW_ALL: Program = (ret(Action.ALLOW),)
NOTIFY = policy(notify("getppid"))
INVALID: dict[str, Program] = {
    "no-return-at-its-end": (Instruction(bpf.LD_IMM),),
    "only-sockets-have-that": (Instruction(bpf.MOD, 3), ret(Action.ALLOW)),
}


def addresses(guest: Guest) -> set[str]:
    """Where the kernel's BPF programs are, of any kind."""
    lines = guest.read_file("/proc/vmallocinfo").splitlines()
    return {line.split()[0] for line in lines if ALLOCATED.search(line)}


def programs(guest: Guest) -> int:
    """The number of BPF programs in the kernel."""
    return len(addresses(guest))


def of_a_socket(guest: Guest) -> Outcome:
    """Attach a program to a socket; the result is the socket."""
    socket = guest.init.call("socket", AF_NETLINK, SOCK_RAW, 0)
    filter_ = fprog(guest.init.abi, len(ALLOW_ALL), guest.init.store(bpf.pack(ALLOW_ALL, guest.init.abi)))
    guest.init.call("setsockopt", socket.result(), SOL_SOCKET, SO_ATTACH_FILTER, filter_, len(filter_)).result()
    return socket


def of_the_sleepable_kind(guest: Guest) -> Outcome:
    """Load an eBPF program that may sleep; the result is its descriptor, or an error before 5.14, which has none."""
    instructions = guest.init.store(b"".join(bytes([code]).ljust(8, b"\0") for code in (0xB7, 0x95)))  # r0 = 0; exit
    attributes = guest.init.abi.pack(
        "IIQQIIQII", BPF_PROG_TYPE_SYSCALL, 2, instructions, guest.init.store(b"GPL\0"), 0, 0, 0, 0, BPF_F_SLEEPABLE
    )
    return guest.init.call("bpf", BPF_PROG_LOAD, attributes, len(attributes))


def tell_addresses_apart(guest: Guest) -> None:
    """Have the kernel show addresses: all are `(____ptrval____)` until it has random numbers (lib/vsprintf.c).

    Whoever waits for these makes the kernel gather them (try_to_generate_entropy()).
    """
    guest.init.call("getrandom", Out(1), 1, 0).result()
    guest.wait_until(lambda: "ptrval" not in guest.read_file("/proc/vmallocinfo"), "the kernel to show addresses")


def settled_programs(guest: Guest) -> int:
    """The same, once those that are no longer used are freed.  SetupFailed if /proc does not show programs.

    Filters are freed by a worker, and so are programs of the boot: Linux 6.3 to 6.10 with HID_BPF load some by way of
    one that may sleep.  A program of our own of either kind is freed after them, because it waits for the same grace
    period of RCU and the same worker.  The socket's is last: a kernel that refuses the other frees it by a worker.
    """
    tell_addresses_apart(guest)
    for use in (of_the_sleepable_kind, of_a_socket):
        before = addresses(guest)
        used = use(guest)
        if not used.errno:
            ours = addresses(guest) - before
            require(bool(ours), f"/proc/vmallocinfo does not show the program of {used.what}")
            guest.init.call("close", used.value).result()
            guest.wait_until(partial(are_free, guest, ours), "the kernel to free a program that init has used")
    return programs(guest)


def are_free(guest: Guest, freed: set[str]) -> bool:
    return not freed & addresses(guest)


def end(guest: Guest, task: Task) -> None:
    """Kill a process, whatever its filters allow, and reap it: before 6.11, zombies keep their filters."""
    guest.init.kill(task, Signal.KILL).result()
    parent = task.parent if task.parent and task.parent.death is None else guest.init
    parent.reap(task).result()
    task.wait_death()


def wait_until_freed(guest: Guest, before: int) -> None:
    """Wait until a kernel worker has freed the programs."""
    guest.wait_until(lambda: programs(guest) == before, f"the kernel to have {before} programs again")


def test_the_last_task_exits(guest: Guest) -> None:
    """Each of three filters stays as long as any task has it, and all are freed with the last task."""
    before = settled_programs(guest)
    parent = unprivileged(guest, "parent")
    for _ in range(2):
        parent.install(ALLOW_ALL).result()
    child = parent.spawn("child")
    child.install(ALLOW_ALL).result()
    assert programs(guest) == before + 3
    end(guest, parent)
    assert settled_programs(guest) == before + 3
    end(guest, child)
    wait_until_freed(guest, before)


@pytest.mark.parametrize("why", INVALID)
def test_an_invalid_program(guest: Guest, why: str) -> None:
    """An invalid program is not kept."""
    before = settled_programs(guest)
    task = unprivileged(guest)
    for _ in range(3):
        assert task.install(INVALID[why]) == EINVAL
    wait_until_freed(guest, before)


def with_a_divergent_thread(guest: Guest) -> Task:
    task = unprivileged(guest)
    task.thread("divergent").install(ALLOW_ALL).result()
    return task


def with_a_listener(guest: Guest) -> Task:
    task = unprivileged(guest)
    task.listen(NOTIFY).result()
    return task


# fmt: off
REFUSED: dict[str, tuple[Callable[[Guest], Task], FilterFlag, Expected]] = {
    # who installs a valid filter, and with which flags                                                why not
    "with-a-divergent-thread": (with_a_divergent_thread, FilterFlag.TSYNC | FilterFlag.TSYNC_ESRCH,    ESRCH),
    "with-another-listener":   (with_a_listener,         FilterFlag.NEW_LISTENER,                      EBUSY),
}
# fmt: on


@pytest.mark.parametrize("who", REFUSED)
def test_a_filter_that_is_refused(guest: Guest, who: str) -> None:
    """A valid filter whose installation fails is not kept either."""
    build, flags, error = REFUSED[who]
    task = build(guest)
    before = settled_programs(guest)
    for _ in range(3):
        assert task.install(ALLOW_ALL, flags) == error
    wait_until_freed(guest, before)
    assert task.install(ALLOW_ALL) == OK
    assert programs(guest) == before + 1


@pytest.mark.needs("USERFAULTFD")
@pytest.mark.requirement("seccomp.no-leak-fork")
def test_a_fork_that_is_killed(guest: Guest) -> None:
    """A fork that a fatal signal ends in its midst keeps no filter: the listener hangs up, and the program is freed.

    The signal comes when the memory has been copied: before that, dup_mmap() gives up, and after it, copy_process().
    """
    before = settled_programs(guest)
    pair = SupervisedPair(guest, NOTIFY)
    fork = WaitingFork(guest, pair.target)
    plan = Plan(pair.target.slot)
    plan.child(Plan(spare_slot(0)))
    start(pair.target, plan, 1)
    fork.wait_until_it_waits()
    end(guest, pair.target)
    pair.wait_for_hang_up()
    end(guest, pair.supervisor)
    wait_until_freed(guest, before)


@with_failing_allocations
def test_an_installation_without_memory(guest: Guest) -> None:
    """A filter whose listener finds no memory is not kept."""
    before = settled_programs(guest)
    attempts = FailingAllocations(guest).one_after_another(
        lambda: unprivileged(guest), lambda task: task.listen(NOTIFY)
    )
    outcomes = []
    for task, done in attempts:
        outcomes.append(done)
        end(guest, task)
    assert ENOMEM in outcomes
    wait_until_freed(guest, before)


@with_failing_allocations
@pytest.mark.requirement("seccomp.no-leak-fork")
def test_a_fork_without_memory(guest: Guest) -> None:
    """A fork that finds no memory, wherever it is by then, keeps no filter."""
    before = settled_programs(guest)
    child = Plan(spare_slot(0))
    child.call("getpid")

    def filtered() -> Task:
        task = unprivileged(guest)
        task.install(ALLOW_ALL).result()
        return task

    def fork(task: Task) -> Counts:
        plan = Plan(task.slot)
        plan.call("wait4", plan.child(child), 0, WALL, 0)
        child.send(guest, 1)
        return run(task, plan)[0]

    forks = []
    for task, forked in FailingAllocations(guest).one_after_another(filtered, fork):
        forks.append(forked)
        end(guest, task)
    assert {"ENOMEM": 1} in forks
    assert [each for each in forks if each not in ({"ENOMEM": 1}, {"OK": 1})] == []
    wait_until_freed(guest, before)


@pytest.mark.parametrize("first", ["the-task", "the-supervisor"])
def test_a_listener(guest: Guest, first: str) -> None:
    """A filter is freed when both its last task and its listener are gone, in either order."""
    before = settled_programs(guest)
    pair = SupervisedPair(guest, NOTIFY)
    ends = [pair.target, pair.supervisor]
    for task in ends if first == "the-task" else reversed(ends):
        assert settled_programs(guest) == before + 1
        end(guest, task)
    wait_until_freed(guest, before)


def read_into_nothing(tracer: Task, tracee: Task, index: int) -> Outcome:
    """PTRACE_SECCOMP_GET_FILTER to an address where there is no memory."""
    return tracer.call("ptrace", Ptrace.SECCOMP_GET_FILTER, tracee.tid, index, 0x1000)


# fmt: off
READS: dict[str, tuple[Callable[..., Outcome], tuple[int | str, ...], Expected]] = {
    # what a tracer reads of a tracee with two filters              its result
    "length":                (Task.filter_length,   (0,),               returned(1)),
    "program":               (Task.filter_program,  (0, 1),             returned(1)),
    "metadata":              (Task.filter_metadata, (0,),               returned(16)),
    "cache":                 (Task.read_proc,       ("seccomp_cache",), OK),
    "past-the-end":          (Task.filter_length,   (2,),               ENOENT),
    "metadata-past-the-end": (Task.filter_metadata, (2,),               ENOENT),
    "into-nothing":          (read_into_nothing,    (0,),               EFAULT),
}
# fmt: on


@pytest.mark.needs("CHECKPOINT_RESTORE")
@pytest.mark.parametrize(
    "what",
    [pytest.param(name, marks=pytest.mark.needs("SECCOMP_CACHE_DEBUG") if name == "cache" else ()) for name in READS],
)
def test_a_filter_that_was_read(guest: Guest, what: str) -> None:
    """Reading a filter leaves no reference to it or another one, also if it fails."""
    read, arguments, wanted = READS[what]
    before = settled_programs(guest)
    tracer = guest.spawn("tracer", caps=Cap.SYS_ADMIN, quiet=True)
    tracee = unprivileged(guest, "tracee", parent=tracer)
    for filter_ in (ALLOW_ALL, policy(deny("getppid", errno=EINVAL))):
        tracee.install(filter_).result()
    tracer.seize_and_stop(tracee)
    assert read(tracer, tracee, *arguments) == wanted
    end(guest, tracee)
    wait_until_freed(guest, before)
