# SPDX-License-Identifier: GPL-2.0-or-later
"""execve() of a program that would gain ids or capabilities, by a process that is traced."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import OK, returned
from guests.promises import breaks
from guests.task import Task
from guests.uapi import THREAD_FLAGS, Cap, Clone, PtraceOption, Signal
from suites.process_accesses import read_memory
from suites.ptrace.support.privileges import LONG_KNOWN, permitted
from suites.ptrace.support.programs import Programs, begin_execute, execute
from suites.ptrace.support.traced_children import changed_root_after_exec
from suites.user_namespaces import map_ids

pytestmark = pytest.mark.needs("CROSS_MEMORY_ATTACH")

Pair = tuple[Task, Task]
"""A tracer, and its tracee, which runs and obeys orders."""
GAINED = Cap.SYS_NICE
MAY_TRACE = Cap.SYS_PTRACE


def attached(tracer: Task, tracee: Task) -> Pair:
    tracer.attach_and_wait(tracee).result()
    tracer.resume(tracee).result()
    return tracer, tracee


def seized(tracer: Task, tracee: Task) -> Pair:
    tracer.seize(tracee).result()
    return tracer, tracee


def itself(tracer: Task, tracee: Task) -> Pair:
    """The tracee, a child of the tracer, has asked for it."""
    tracee.traceme().result()
    return tracer, tracee


def execute_traced(pair: Pair, path: str) -> bool:
    """execve() by the tracee.  Returns whether a SIGTRAP has followed."""
    tracer, tracee = pair
    running = begin_execute(tracee, path)
    # Either it has finished, or it is stopped by the signal.
    tracee.guest.wait_until(lambda: running.finished() or tracee.state() == "t", f"{tracee} to execute {path}")
    stopped = not running.finished()
    if stopped:
        status = tracer.wait(tracee)
        require((status.stopped_by, status.event) == (Signal.TRAP, 0), f"{tracee} did not stop by SIGTRAP")
        tracer.resume(tracee).result()
    running.outcome().result()
    return stopped


WAYS = {"attached": attached, "seized": seized, "by-traceme": itself}


@pytest.mark.requirement("ptrace.traced-exec")
@pytest.mark.parametrize("how", WAYS)
def test_tracer_without_the_capability(guest: Guest, how: str) -> None:
    """However it is traced, a process gains nothing by execve() that its tracer lacks, which keeps its access."""
    tracer = guest.spawn("tracer")
    pair = WAYS[how](tracer, tracer.spawn("tracee"))
    _, tracee = pair
    path = Programs(guest).create(mode=0o6755)
    execute_traced(pair, path)
    assert tracee.call("geteuid") == returned(1000)
    assert tracee.call("getegid") == returned(1000)
    assert permitted(tracee) == 0
    assert read_memory(tracer, tracee) == OK


@pytest.mark.requirement("ptrace.exec-sigtrap")
@pytest.mark.parametrize("how", WAYS)
def test_signal_after_exec(guest: Guest, how: str) -> None:
    """Without PTRACE_O_TRACEEXEC, a tracee gets one SIGTRAP after execve(), unless it was seized."""
    tracer = guest.spawn("tracer")
    pair = WAYS[how](tracer, tracer.spawn("tracee"))
    assert execute_traced(pair, Programs(guest).create()) == (how != "seized")


xattr = pytest.mark.needs("TMPFS_XATTR")
# fmt: off
PROGRAMS = [
    #             how it is created                    what the process gains: uid, gid, capabilities
    pytest.param({"mode": 0o4755},                     (0, 1000, LONG_KNOWN),    id="set-uid-root"),
    pytest.param({"mode": 0o4755, "uid": 1001},        (1001, 1000, Cap.NONE),   id="set-uid"),
    pytest.param({"mode": 0o2755, "gid": 1001},        (1000, 1001, Cap.NONE),   id="set-gid"),
    pytest.param({"caps": GAINED},                     (1000, 1000, GAINED),     id="with-capabilities", marks=xattr),
]
# fmt: on


@pytest.mark.requirement("ptrace.traced-exec")
@pytest.mark.parametrize(("made", "gains"), PROGRAMS)
def test_what_a_program_gives(guest: Guest, made: dict[str, int], gains: tuple[int, int, Cap]) -> None:
    """Under a tracer without CAP_SYS_PTRACE, a program gives no ids or capabilities; once it has detached, all."""
    tracer, tracee = seized(guest.spawn("tracer"), guest.spawn("tracee"))
    path = Programs(guest).create(**made)  # type: ignore[arg-type]
    execute_traced((tracer, tracee), path)
    assert tracee.call("geteuid") == returned(1000)
    assert tracee.call("getegid") == returned(1000)
    assert permitted(tracee) == 0
    assert tracee.get_dumpable() == returned(1)
    tracer.interrupt(tracee).result()
    tracer.wait(tracee)
    tracer.detach(tracee).result()
    execute(tracee, path).result()
    assert tracee.call("geteuid") == returned(gains[0])
    assert tracee.call("getegid") == returned(gains[1])
    assert permitted(tracee) & LONG_KNOWN == gains[2]


# As of when, and of whom


def with_capability(guest: Guest) -> Pair:
    return seized(guest.spawn("tracer", caps=MAY_TRACE), guest.spawn("tracee"))


def with_capability_attached(guest: Guest) -> Pair:
    return attached(guest.spawn("tracer", caps=MAY_TRACE), guest.spawn("tracee"))


def dropped_since(guest: Guest) -> Pair:
    tracer, tracee = with_capability(guest)
    tracer.set_caps(Cap.NONE).result()
    return tracer, tracee


def gained_since(guest: Guest) -> Pair:
    """The tracer has become root, with all capabilities, by a set-uid program of its own."""
    tracer, tracee = seized(guest.spawn("tracer"), guest.spawn("tracee"))
    execute(tracer, Programs(guest).create(mode=0o4755)).result()
    require(tracer.call("geteuid") == returned(0), f"{tracer} is not root")
    return tracer, tracee


def permitted_only(guest: Guest) -> Pair:
    tracer = guest.spawn("tracer", caps=MAY_TRACE)
    tracer.set_caps(Cap.NONE, permitted=MAY_TRACE).result()
    return seized(tracer, guest.spawn("tracee"))


def thread_of_a_capable_process(guest: Guest) -> Pair:
    """The thread that traces has dropped the capability; the other threads of the tracer have it."""
    leader = guest.spawn("tracer", caps=MAY_TRACE)
    thread = leader.thread("thread")
    thread.set_caps(Cap.NONE).result()
    return seized(thread, guest.spawn("tracee"))


def detached_before(guest: Guest) -> Pair:
    tracer, tracee = attached(guest.spawn("tracer"), guest.spawn("tracee"))
    tracer.kill(tracee, Signal.STOP).result()
    tracer.wait(tracee)
    tracer.detach(tracee).result()
    return tracer, tracee


# fmt: off
TRACERS: dict[str, tuple[Callable[[Guest], Pair], bool]] = {
    #                                  the tracer                      does the tracee gain?
    "with-the-capability":            (with_capability,                True),
    "with-the-capability-attached":   (with_capability_attached,       True),
    "that-has-dropped-it-since":      (dropped_since,                  True),
    "that-has-gained-it-since":       (gained_since,                   False),
    "to-which-it-is-permitted-only":  (permitted_only,                 False),
    "whose-other-threads-have-it":    (thread_of_a_capable_process,    False),
    "that-has-detached":              (detached_before,                True),
}
# fmt: on


@pytest.mark.requirement("ptrace.traced-exec-credentials")
@pytest.mark.parametrize("who", TRACERS)
def test_as_of_when(guest: Guest, who: str) -> None:
    """Whether a tracee gains by execve() depends on the tracer's credentials as they were when it attached."""
    build, gains = TRACERS[who]
    pair = build(guest)
    execute_traced(pair, Programs(guest).create(mode=0o4755))
    assert pair[1].call("geteuid") == returned(0 if gains else 1000)
    assert bool(permitted(pair[1])) == gains


@pytest.mark.requirement("ptrace.traceme-credentials")
def test_traceme_below_root(guest: Guest) -> None:
    """After PTRACE_TRACEME, the tracee's own credentials count, and not those of its parent, be it root."""
    parent = guest.root("parent")
    tracee = parent.spawn("tracee", uid=1000)
    execute_traced(itself(parent, tracee), Programs(guest).create(mode=0o4755))
    assert tracee.call("geteuid") == returned(1000)
    assert permitted(tracee) == 0


@pytest.mark.requirement("ptrace.traceme-credentials")
def test_traceme_with_the_capability(guest: Guest) -> None:
    """After PTRACE_TRACEME, a tracee gains by execve() if it had the capability then, although it has dropped it."""
    parent = guest.spawn("parent", caps=MAY_TRACE)
    tracee = parent.spawn("tracee")
    itself(parent, tracee)
    tracee.set_caps(Cap.NONE).result()
    execute_traced((parent, tracee), Programs(guest).create(mode=0o4755))
    assert tracee.call("geteuid") == returned(0)


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("ptrace.traced-exec-setuid")
@pytest.mark.parametrize(("caps", "uid"), [(Cap.SETUID, 1), (Cap.NONE, 0)], ids=["with-setuid", "without"])
def test_traced_root_of_a_namespace(guest: Guest, caps: Cap, uid: int) -> None:
    """A tracee that may set its ids itself, by CAP_SETUID in its namespace, gets them from a program too."""
    parent = guest.spawn("creator").spawn("namespace-root", flags=Clone.NEWUSER)
    map_ids(guest, parent, "0 1000 1\n1 1001 1\n")
    tracee = parent.spawn("tracee")
    path = Programs(guest).create(mode=0o4755, uid=1001, gid=1001)
    tracee.set_caps(caps).result()
    execute_traced(itself(parent, tracee), path)
    assert tracee.call("geteuid") == returned(uid)


# Children

FORK, VFORK, CLONE = PtraceOption.TRACEFORK, PtraceOption.TRACEVFORK, PtraceOption.TRACECLONE
CHILD_OF_VFORK = Clone.VM | Clone.VFORK
# fmt: off
CHILDREN = {
    #                   the tracer's options   clone()'s flags    reports: of the parent, of the child
    "fork":            (FORK,                  Clone.NONE,        1,   2),
    "vfork":           (VFORK,                 CHILD_OF_VFORK,    1,   2),
    "clone":           (CLONE,                 THREAD_FLAGS,      1,   2),
    "clone-ptrace":    (PtraceOption.NONE,     Clone.PTRACE,      0,   2),
    "no-option":       (PtraceOption.NONE,     Clone.NONE,        0,   0),
    "another-option":  (VFORK,                 Clone.NONE,        0,   0),
    "clone-untraced":  (FORK,                  Clone.UNTRACED,    0,   0),
}
# fmt: on


@pytest.mark.requirement("ptrace.traced-exec-children")
@pytest.mark.parametrize("how", CHILDREN)
def test_children(guest: Guest, how: str) -> None:
    """A child or thread that is traced as its parent is gains as little; one that is not traced gains as usual."""
    options, flags, of_parent, of_child = CHILDREN[how]
    tracer, parent = guest.spawn("tracer"), guest.spawn("parent")
    path = Programs(guest).create(mode=0o4755)
    tracer.seize(parent, options).result()
    changed = changed_root_after_exec(tracer, parent, path, flags, of_parent + of_child)
    assert changed == ({"EPERM": 1} if of_child else {"OK": 1})


@pytest.mark.requirement("ptrace.options-of-children")
@pytest.mark.parametrize(("options", "reports"), [(FORK, 6), (PtraceOption.NONE, 0)], ids=["fork", "no-option"])
def test_grandchildren(guest: Guest, options: PtraceOption, reports: int) -> None:
    """A child that is traced from its start has its parent's options, so that its own child is traced and gains as
    little."""
    tracer, parent = guest.spawn("tracer"), guest.spawn("parent")
    path = Programs(guest).create(mode=0o4755)
    tracer.seize(parent, options).result()
    changed = changed_root_after_exec(tracer, parent, path, Clone.NONE, reports, generations=2)
    assert changed == ({"EPERM": 1} if reports else {"OK": 1})


@pytest.mark.requirement("ptrace.traced-exec-children", "ptrace.traced-exec-credentials")
@pytest.mark.parametrize("dropped", [False, True], ids=["tracer-with-the-capability", "dropped-before-the-child"])
def test_children_of_a_capable_tracer(guest: Guest, dropped: bool) -> None:
    """What counts for a child is what counts for its parent: the tracer's credentials when it attached to that."""
    tracer, parent = guest.spawn("tracer", caps=MAY_TRACE), guest.spawn("parent")
    path = Programs(guest).create(mode=0o4755)
    tracer.seize(parent, FORK).result()
    if dropped:
        tracer.set_caps(Cap.NONE).result()
    with breaks("ptrace.traced-exec-credentials" if dropped else "ptrace.traced-exec-children"):
        assert changed_root_after_exec(tracer, parent, path, Clone.NONE, 3) == {"OK": 1}
