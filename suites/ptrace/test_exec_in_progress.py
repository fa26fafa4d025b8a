# SPDX-License-Identifier: GPL-2.0-or-later
"""Access to a process in the middle of execve(), which waits for a traced thread to be reaped by its tracer.

             seizes
tracer ─────────────── sibling ─┐
                                ├─ one process
observer ───?───────── target ──┘   calls execve()
"""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import ECHILD, EPERM, OK, killed, returned
from guests.syscalls.base import Pending
from guests.uapi import AT_FDCWD, KCMP_VM, O_CLOEXEC, PTRACE_EVENT_STOP, WALL, Ptrace, Signal
from suites.process_accesses import COMMON_DESCRIPTOR, read_memory
from suites.ptrace.support.file_server import DEVICE, FLUSH, OPEN, FileServer
from suites.ptrace.support.programs import Programs, begin_execute
from suites.ptrace.support.ways import Kind, few, not_closed, not_open, observer, supported

pytestmark = pytest.mark.needs("CROSS_MEMORY_ATTACH")

MOUNTED = "/tmp/mounted"  # noqa: S108 - the guest's
GAINS = [pytest.param(0o755, id="an-ordinary-program"), pytest.param(0o6755, id="a-set-uid-program")]


class ExecInProgress:
    """A target whose execve() lasts until `finish`."""

    def __init__(self, guest: Guest, mode: int) -> None:
        path = Programs(guest).create(mode=mode)
        self.tracer, self.target = guest.spawn("tracer"), guest.spawn("target")
        self._sibling = self.target.thread("sibling")
        self.tracer.seize(self._sibling).result()
        self.running: Pending = begin_execute(self.target, path)
        # Killed by execve(), the sibling stays a zombie, because its tracer gets to know of its end first.
        self._sibling.wait_state("Z")
        self.running.wait_until_blocked()

    def reap_sibling(self) -> None:
        self.tracer.reap(self._sibling).result()

    def finish(self) -> None:
        """Have the tracer reap the sibling, and wait for execve() to return."""
        self.reap_sibling()
        self.running.outcome().result()


@pytest.mark.requirement("ptrace.exec-in-progress")
@pytest.mark.parametrize("mode", GAINS)
def test_every_access_but_attaching(guest: Guest, mode: int) -> None:
    """While execve() waits, every access but attaching is to the old program; afterwards the new one decides."""
    watcher, exec_ = observer(guest), ExecInProgress(guest, mode)
    ways = [way for way in supported(guest) if Kind.TRACES not in way.kind]
    assert not_open(watcher, exec_.target, ways) == []
    assert not exec_.running.finished()
    exec_.finish()
    assert (not_closed if mode & 0o6000 else not_open)(watcher, exec_.target, few(guest)) == []


@pytest.mark.requirement("ptrace.exec-in-progress")
def test_by_the_tracer_of_the_sibling(guest: Guest) -> None:
    """The tracer for which execve() waits gets access to the old program, too."""
    exec_ = ExecInProgress(guest, 0o755)
    tracer, target = exec_.tracer, exec_.target
    assert read_memory(tracer, target) == OK
    if guest.kernel.config.enabled("KCMP"):
        assert tracer.kcmp(tracer, target, KCMP_VM) == OK
    assert tracer.pidfd_getfd(target, COMMON_DESCRIPTOR) == OK
    for file in ("mem", "maps", "environ"):
        assert tracer.open_proc(target, file) == OK
    for file in ("syscall", "personality", "stat", "status"):
        assert tracer.read_proc(target, file) == OK
    assert tracer.read_link(target, "ns/user") == OK
    exec_.finish()


@pytest.mark.requirement("ptrace.exec-in-progress-attach")
@pytest.mark.parametrize("mode", GAINS)
def test_attaching_waits(guest: Guest, mode: int) -> None:
    """PTRACE_SEIZE waits for the end of execve(), and is judged by the credentials of then."""
    exec_, other = ExecInProgress(guest, mode), guest.spawn("other")
    attaching = other.begin("ptrace", Ptrace.SEIZE, exec_.target.tid, 0, 0, shown=f"seize({exec_.target})")
    assert attaching.blocks(), attaching
    exec_.finish()
    if mode & 0o6000:
        assert attaching.outcome() == EPERM
    else:
        assert attaching.outcome() == OK
        assert other.interrupt(exec_.target) == OK
        assert other.wait(exec_.target).event == PTRACE_EVENT_STOP
        assert other.detach(exec_.target) == OK


@pytest.mark.requirement("ptrace.exec-in-progress-attach")
def test_attaching_is_interrupted(guest: Guest) -> None:
    """A tracer that waits for the end of execve() can be killed, and execve() goes on."""
    exec_, other = ExecInProgress(guest, 0o755), guest.spawn("other")
    attaching = other.begin("ptrace", Ptrace.SEIZE, exec_.target.tid, 0, 0, shown=f"seize({exec_.target})")
    assert attaching.blocks(), attaching
    guest.root().kill(other, Signal.KILL).result()
    assert attaching.outcome() == killed(Signal.KILL)
    exec_.finish()
    assert exec_.target.call("getuid") == returned(1000)


@pytest.mark.requirement("ptrace.exec-in-progress-attach")
def test_attaching_is_interrupted_by_a_handler(guest: Guest) -> None:
    """A signal that the waiting tracer catches runs its handler, and the call begins again, without SA_RESTART."""
    exec_, other = ExecInProgress(guest, 0o755), guest.spawn("other")
    other.catch(Signal.USR1).result()
    attaching = other.begin("ptrace", Ptrace.SEIZE, exec_.target.tid, 0, 0, shown=f"seize({exec_.target})")
    assert attaching.blocks(), attaching
    guest.root().kill(other, Signal.USR1).result()
    guest.wait_until(lambda: bool(other.caught_signals()), f"the handler of {other}")
    assert attaching.blocks(), attaching
    exec_.finish()
    assert attaching.outcome() == OK


@pytest.mark.requirement("ptrace.exec-in-progress-attach")
def test_end_of_the_tracer(guest: Guest) -> None:
    """The tracer for which execve() waits, and which waits for execve(), can be killed, and both waits end."""
    exec_ = ExecInProgress(guest, 0o755)
    tracer = exec_.tracer
    attaching = tracer.begin("ptrace", Ptrace.SEIZE, exec_.target.tid, 0, 0, shown=f"seize({exec_.target})")
    assert attaching.blocks(), attaching
    guest.root().kill(tracer, Signal.KILL).result()
    assert attaching.outcome() == killed(Signal.KILL)
    assert exec_.running.outcome() == OK
    assert exec_.target.call("getuid") == returned(1000)


@pytest.mark.requirement("ptrace.exec-in-progress-killed")
def test_execve_is_killed(guest: Guest) -> None:
    """The process that waits in execve() can be killed, although the tracer still has not reaped its thread."""
    exec_ = ExecInProgress(guest, 0o755)
    guest.root().kill(exec_.target, Signal.KILL).result()
    exec_.target.wait_state("Z")
    # Only now is the whole process gone.
    exec_.reap_sibling()
    assert exec_.running.outcome() == killed(Signal.KILL)


def wait_until_another_thread_executes(guest: Guest, *, by_number: bool) -> Pending:
    """The tracer of a process's leader waits for that, or for any tracee, and another thread takes over its number.

    The leader ends before that, of which its tracer is not told while the process has another thread.  So it does not
    depend on who runs first what wakes the tracer.
    """
    tracer, leader = guest.spawn("tracer"), guest.spawn("leader")
    thread, path = leader.thread("thread"), Programs(guest).create()
    tracer.seize(leader).result()
    leader.begin("exit", 0)
    leader.wait_state("Z")
    number, shown = (leader.tid, leader) if by_number else (-1, "any tracee")
    waiting = tracer.begin("wait4", number, Out(4), WALL, None, shown=f"reap({shown})")
    waiting.wait_until_blocked()
    begin_execute(thread, path).outcome().result()
    return waiting


@pytest.mark.requirement("ptrace.exec-ends-a-wait")
def test_a_wait_for_any_tracee_when_another_thread_executes(guest: Guest) -> None:
    """A wait for any tracee ends with ECHILD when another thread's execve() replaces the last one, a leader."""
    waiting = wait_until_another_thread_executes(guest, by_number=False)
    assert waiting.outcome() == ECHILD


@pytest.mark.requirement("ptrace.exec-ends-a-wait-by-number")
def test_a_wait_for_the_leader_when_another_thread_executes(guest: Guest) -> None:
    """A wait for a leader by its number ends with ECHILD when another thread's execve() replaces it."""
    waiting = wait_until_another_thread_executes(guest, by_number=True)
    assert not waiting.blocks(), waiting
    assert waiting.outcome() == ECHILD


@pytest.mark.needs("FUSE_FS")
@pytest.mark.requirement("ptrace.exec-closes-files-first")
def test_execve_that_closes_a_file(guest: Guest) -> None:
    """A server of files may look into a client whose execve() waits for it to let go of a file."""
    if not guest.exists(DEVICE):
        pytest.skip("needs CONFIG_FUSE_FS, built in")
    server, client = guest.root("server"), guest.spawn("client")
    files, path = FileServer(server, MOUNTED, 1000), Programs(guest).create()
    opening = client.begin("openat", AT_FDCWD, f"{MOUNTED}/file", O_CLOEXEC, 0, shown="open(a file of the server's)")
    files.answer_until(OPEN)
    opening.outcome().result()
    executing = begin_execute(client, path)
    closing = files.receive()
    require(closing.kind == FLUSH, f"{closing} is not the end of a descriptor")
    assert not executing.finished()
    assert not_open(server, client, few(guest), as_it_is=True) == []
    files.answer(closing)
    assert executing.outcome() == OK
