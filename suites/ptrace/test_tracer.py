# SPDX-License-Identifier: GPL-2.0-or-later
"""A tracer that was attached before its tracee became non-dumpable: what it keeps, and what it loses."""

from __future__ import annotations

import pytest

from guests.abi import AgentProgram
from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EACCES, EIO, EPERM, ESRCH, OK, Expected, Outcome, killed, returned
from guests.promises import breaks
from guests.protocol import wire
from guests.task import Task
from guests.uapi import O_RDONLY, Cap, Clone, Ptrace, PtraceOption, Signal
from suites.process_accesses import UNUSED, read_memory
from suites.ptrace.support.programs import Programs, execute
from suites.user_namespaces import map_ids

pytestmark = pytest.mark.needs("CROSS_MEMORY_ATTACH")

NT_PRSTATUS = 1
MAY_TRACE = Cap.SYS_PTRACE


def unused(task: Task) -> int:
    """The address of memory of the task that nothing uses."""
    return wire.data_address(task.slot, UNUSED)


def stop(tracer: Task, tracee: Task) -> None:
    tracer.interrupt(tracee).result()
    tracer.wait(tracee)


def check_memory(tracer: Task, tracee: Task, wanted: Expected) -> None:
    """Reading and writing the stopped tracee's memory by ptrace()."""
    address = unused(tracee)
    assert tracer.ptrace(Ptrace.PEEKDATA, tracee, address, Out(8)) == wanted
    assert tracer.ptrace(Ptrace.POKEDATA, tracee, address, 1) == wanted


def check_control(tracer: Task, tracee: Task) -> None:
    """Everything else: registers, signals, options, and to let it run."""
    registers = tracer.store(bytes(512))
    vector = tracer.abi.words(registers, 512)
    assert tracer.call("ptrace", Ptrace.GETREGSET, tracee.tid, NT_PRSTATUS, vector, shown="getregset()") == OK
    assert tracer.call("ptrace", Ptrace.GETSIGMASK, tracee.tid, 8, Out(8), shown="getsigmask()") == OK
    assert tracer.set_options(tracee, PtraceOption.NONE) == OK
    assert tracer.resume(tracee) == OK
    assert tracee.call("getppid") == OK
    assert tracer.kill(tracee, Signal.USR1) == OK
    assert tracer.wait(tracee).stopped_by == Signal.USR1
    # The signal is not passed on: it would be the tracee's end.
    assert tracer.resume(tracee) == OK
    assert tracee.call("getppid") == OK


@pytest.mark.requirement("ptrace.tracer-keeps-control", "ptrace.tracer-loses-memory")
def test_by_prctl(guest: Guest) -> None:
    """After PR_SET_DUMPABLE 0, the tracer's control goes on, its access to memory does not; it comes back with 1."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    tracer.seize_and_stop(tracee)
    check_memory(tracer, tracee, OK)
    tracer.resume(tracee).result()
    tracee.set_dumpable(False).result()
    stop(tracer, tracee)
    with breaks("ptrace.tracer-loses-memory"):
        check_memory(tracer, tracee, EIO)
        assert read_memory(tracer, tracee) == EPERM
        assert tracer.open_proc(tracee, "mem") == EACCES
    with breaks("ptrace.tracer-keeps-control"):
        check_control(tracer, tracee)
    tracee.set_dumpable(True).result()
    stop(tracer, tracee)
    with breaks("ptrace.tracer-loses-memory"):
        check_memory(tracer, tracee, OK)
    with breaks("ptrace.tracer-keeps-control"):
        assert tracer.detach(tracee) == OK


@pytest.mark.requirement("ptrace.tracer-keeps-control", "ptrace.tracer-loses-memory")
def test_by_exec(guest: Guest) -> None:
    """A tracer of a process that executes what it cannot read keeps control of it, and loses access to its memory."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    programs = Programs(guest)
    unreadable, readable = programs.create(mode=0o711), programs.create()
    tracer.seize(tracee).result()
    execute(tracee, unreadable).result()
    stop(tracer, tracee)
    with breaks("ptrace.tracer-loses-memory"):
        check_memory(tracer, tracee, EIO)
    with breaks("ptrace.tracer-keeps-control"):
        check_control(tracer, tracee)
    execute(tracee, readable).result()
    stop(tracer, tracee)
    with breaks("ptrace.tracer-loses-memory"):
        check_memory(tracer, tracee, OK)


@pytest.mark.requirement("ptrace.tracer-keeps-control")
def test_kill_and_detach(guest: Guest) -> None:
    """A tracer may kill a tracee that is not dumpable, or let it go; then it may not attach again."""
    tracer, parent = guest.spawn("tracer"), guest.spawn("parent")
    killed_one, left_one = parent.spawn("killed"), parent.spawn("left")
    for tracee in (killed_one, left_one):
        tracer.seize(tracee).result()
        tracee.set_dumpable(False).result()
        stop(tracer, tracee)
    assert tracer.ptrace(Ptrace.KILL, killed_one) == OK
    assert killed_one.wait_death() == killed(Signal.KILL)
    assert tracer.detach(left_one) == OK
    assert left_one.call("getppid") == returned(parent.pid)
    assert tracer.seize(left_one) == EPERM
    left_one.set_dumpable(True).result()
    assert tracer.seize(left_one) == OK


@pytest.mark.requirement("ptrace.tracer-with-capability")
def test_tracer_with_the_capability(guest: Guest) -> None:
    """A tracer that had CAP_SYS_PTRACE when it attached keeps the memory too, even if it has dropped it since."""
    tracer, tracee = guest.spawn("tracer", caps=MAY_TRACE), guest.spawn("tracee")
    tracer.seize(tracee).result()
    tracee.set_dumpable(False).result()
    stop(tracer, tracee)
    check_memory(tracer, tracee, OK)
    assert read_memory(tracer, tracee) == OK
    tracer.set_caps(Cap.NONE).result()
    check_memory(tracer, tracee, OK)
    assert read_memory(tracer, tracee) == EPERM


@pytest.mark.requirement("ptrace.tracer-with-capability")
def test_tracer_that_gains_the_capability(guest: Guest) -> None:
    """A tracer that gains CAP_SYS_PTRACE later does not get the memory by ptrace(), but may attach anew to get it."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    tracer.seize(tracee).result()
    tracee.set_dumpable(False).result()
    stop(tracer, tracee)
    execute(tracer, Programs(guest).create(mode=0o4755)).result()
    check_memory(tracer, tracee, EIO)
    assert read_memory(tracer, tracee) == OK
    assert tracer.detach(tracee) == OK
    tracer.seize_and_stop(tracee)
    check_memory(tracer, tracee, OK)


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("ptrace.tracer-with-capability")
@pytest.mark.parametrize(
    ("owner", "wanted"),
    [pytest.param(1000, OK, id="file-of-the-namespace"), pytest.param(0, EIO, id="file-of-root-outside")],
)
def test_tracer_in_a_namespace(guest: Guest, owner: int, wanted: Expected) -> None:
    """Root of a namespace, tracing a process that executes what it cannot read, sees only what is the namespace's."""
    inside = guest.spawn("creator").spawn("namespace-root", flags=Clone.NEWUSER)
    map_ids(guest, inside, "0 1000 1")
    tracee = inside.spawn("tracee")
    tracee.set_caps(Cap.NONE).result()
    inside.seize(tracee).result()
    execute(tracee, Programs(guest).create(mode=0o111, uid=owner, gid=owner)).result()
    stop(inside, tracee)
    check_memory(inside, tracee, wanted)
    inside.resume(tracee).result()
    tracee.set_dumpable(True).result()
    stop(inside, tracee)
    check_memory(inside, tracee, OK)


@pytest.mark.requirement("ptrace.open-mem")
def test_open_mem(guest: Guest) -> None:
    """/proc/PID/mem is of the memory that the process had when it was opened: after execve() there is none."""
    watcher, target = guest.spawn("watcher"), guest.spawn("target")
    path = Programs(guest).create(mode=0o711)
    descriptor = watcher.open_proc(target, "mem", O_RDONLY).result()
    address = unused(target)
    assert watcher.call("pread64", descriptor, Out(8), 8, address) == returned(8)
    execute(target, path).result()
    assert watcher.call("pread64", descriptor, Out(8), 8, address) == returned(0)
    assert watcher.open_proc(target, "mem", O_RDONLY) == EACCES


@pytest.mark.requirement("ptrace.untraced-memory")
def test_memory_of_others(guest: Guest) -> None:
    """Only the thread that traces may use ptrace() on its tracee: ESRCH for its other threads, and for strangers."""
    tracer, tracee = guest.spawn("tracer"), guest.spawn("tracee")
    thread = tracer.thread("thread")
    tracer.seize_and_stop(tracee)
    for other in (thread, guest.spawn("stranger"), guest.root()):
        assert other.ptrace(Ptrace.PEEKDATA, tracee, unused(tracee), Out(8)) == ESRCH
        assert other.interrupt(tracee) == ESRCH
        assert other.seize(tracee) == EPERM
    check_memory(tracer, tracee, OK)
    assert tracer.ptrace(Ptrace.PEEKDATA, guest.spawn("stranger"), unused(tracee), Out(8)) == ESRCH


@pytest.mark.needs("COMPAT")
@pytest.mark.requirement("ptrace.untraced-memory")
def test_requests_of_32_bit_programs(compat: AgentProgram, guest: Guest) -> None:
    """32-bit ptrace() requests work only for the caller's own tracee, and only while that is stopped."""
    tracer, stranger, tracee = (guest.spawn(name) for name in ("tracer", "stranger", "tracee"))
    for task in (tracer, stranger):
        task.become(compat).result()
    registers = {task: task.abi.words(task.store(bytes(512)), 512) for task in (tracer, stranger)}

    def results(task: Task) -> list[Outcome]:
        return [
            task.set_options(tracee, PtraceOption.NONE),
            task.ptrace(Ptrace.GETREGSET, tracee, NT_PRSTATUS, registers[task]),
            task.ptrace(Ptrace.PEEKDATA, tracee, unused(tracee), Out(8)),
        ]

    tracer.seize_and_stop(tracee)
    assert results(stranger) == [ESRCH] * 3
    assert stranger.interrupt(tracee) == ESRCH
    assert stranger.seize(tracee) == EPERM
    assert results(tracer) == [OK] * 3
    tracer.resume(tracee).result()
    assert results(tracer) == [ESRCH] * 3


@pytest.mark.requirement("ptrace.kernel-threads")
def test_kernel_threads(guest: Guest) -> None:
    """Nobody traces a kernel thread, which has no memory to read either; root may look at the rest of it."""
    root = guest.root()
    kthreadd = 2
    assert root.call("pidfd_open", kthreadd, 0) == OK
    for request in (Ptrace.SEIZE, Ptrace.ATTACH):
        assert root.call("ptrace", request, kthreadd, 0, 0, shown=f"{request.name.lower()}({kthreadd})") == EPERM
    local = root.abi.words(root.store(bytes(8)), 8)
    assert root.call("process_vm_readv", kthreadd, local, 1, local, 1, 0) == ESRCH
    assert root.open(f"/proc/{kthreadd}/root") == OK
    assert guest.spawn("user").open(f"/proc/{kthreadd}/root") == EACCES
    assert guest.spawn("incapable", uid=0).open(f"/proc/{kthreadd}/root") == EACCES
