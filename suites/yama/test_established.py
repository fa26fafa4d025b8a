# SPDX-License-Identifier: GPL-2.0-or-later
"""Established access continues: Yama checks at the time of access, and exempts an active tracer at scope 1."""

from __future__ import annotations

import pytest

from guests.call_arguments import Out
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EACCES, EPERM, ESRCH, OK, exited, returned
from guests.promises import breaks
from guests.uapi import O_RDONLY, O_RDWR, O_WRONLY, PTRACER_ANY, Cap, Ptrace, Signal
from suites.process_accesses import read_memory
from suites.yama.support import relations
from suites.yama.support.accesses import SCOPE, scopes
from suites.yama.support.denials import denials

pytestmark = pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "CROSS_MEMORY_ATTACH")


@pytest.mark.requirement("yama.at-access")
@pytest.mark.parametrize("raised", scopes(1, 2, 3), ids=lambda scope: f"trace-continues-when-scope-rises-to-{scope}")
def test_trace_continues(guest: Guest, raised: int) -> None:
    """A tracer keeps its tracee when the scope is raised, but cannot attach again after it detaches."""
    guest.set_sysctl(SCOPE, 0)
    tracer, target = relations.stranger(guest)
    address = target.store(b"password")
    assert tracer.attach_and_wait(target) == OK
    guest.set_sysctl(SCOPE, raised)
    peeked = tracer.ptrace(Ptrace.PEEKDATA, target, address, Out(tracer.abi.word))
    assert peeked == OK
    assert peeked.read() == b"password"[: tracer.abi.word]
    assert tracer.resume(target) == OK
    assert target.call("getpid") == OK
    assert tracer.kill(target, Signal.STOP) == OK
    assert tracer.wait(target).stopped_by == Signal.STOP
    assert tracer.detach(target) == OK
    assert tracer.attach(target) == EPERM


@pytest.mark.requirement("yama.at-access")
@pytest.mark.parametrize(
    "raised", scopes(1, 2, 3), ids=lambda scope: f"open-mem-still-works-when-scope-rises-to-{scope}"
)
def test_open_mem_still_works(guest: Guest, raised: int) -> None:
    """/proc/PID/mem is checked on open: a file already open still reads and writes, a new open is refused."""
    guest.set_sysctl(SCOPE, 0)
    tracer, target = relations.stranger(guest)
    address = target.store(b"password")
    fd = tracer.open_proc(target, "mem", O_RDWR).result()
    guest.set_sysctl(SCOPE, raised)
    done = tracer.call("pread64", fd, Out(8), 8, address)
    assert done == returned(8)
    assert done.read() == b"password"
    assert tracer.call("pwrite64", fd, b"PASSWORD", 8, address) == returned(8)
    assert target.load(address, 8) == b"PASSWORD"
    assert tracer.open_proc(target, "mem", O_RDONLY) == EACCES


@pytest.mark.requirement("yama.at-access")
def test_scope_is_lowered_again(guest: Guest) -> None:
    """An access refused at one scope is allowed at a lower one: a denial is not remembered."""
    tracer, target = relations.stranger(guest)
    for scope, wanted in ((1, EPERM), (0, OK), (2, EPERM), (0, OK), (1, EPERM)):
        guest.set_sysctl(SCOPE, scope)
        assert read_memory(tracer, target) == wanted


@pytest.mark.requirement("yama.active-tracer")
def test_active_tracer_needs_no_exception(guest: Guest) -> None:
    """An active tracer keeps its access to memory when the exception is revoked, until it detaches."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = relations.declared(guest)
    tracer.attach_and_wait(target).result()
    tracer.resume(target).result()
    target.set_ptracer(0).result()
    assert read_memory(tracer, target) == OK
    assert tracer.open_proc(target, "mem", O_WRONLY) == OK
    assert tracer.read_proc(target, "syscall") == OK
    tracer.kill(target, Signal.STOP).result()
    require(tracer.wait(target).stopped_by == Signal.STOP, f"{target} did not stop by SIGSTOP")
    tracer.detach(target).result()
    assert read_memory(tracer, target) == EPERM


@pytest.mark.requirement("yama.active-tracer")
def test_any_thread_of_the_active_tracer(guest: Guest) -> None:
    """The tracer's whole process counts: its leader and its other threads have access, its child does not."""
    guest.set_sysctl(SCOPE, 1)
    leader, target = relations.declared(guest)
    tracer, other, child = leader.thread("tracer"), leader.thread("other"), leader.spawn("child")
    assert tracer.seize(target) == OK
    assert target.set_ptracer(0) == OK
    assert read_memory(tracer, target) == OK
    assert read_memory(leader, target) == OK
    assert read_memory(other, target) == OK
    assert read_memory(child, target) == EPERM


@pytest.mark.requirement("yama.active-tracer")
def test_active_tracer_of_one_thread(guest: Guest) -> None:
    """A tracer of one thread has no access to another thread of the same process."""
    guest.set_sysctl(SCOPE, 1)
    tracer, leader = relations.declared(guest)
    traced, other = leader.thread("traced"), leader.thread("other")
    assert tracer.seize(traced) == OK
    assert leader.set_ptracer(0) == OK
    assert read_memory(tracer, traced) == OK
    assert read_memory(tracer, other) == EPERM
    assert tracer.seize(other) == EPERM


@pytest.mark.requirement("yama.active-tracer")
@pytest.mark.parametrize("scope", scopes(2, 3), ids=lambda scope: f"scope-{scope}-active-tracer-may-not-read-memory")
def test_active_tracer_at_higher_scopes(guest: Guest, scope: int) -> None:
    """Active tracing grants access at scope 1 only."""
    guest.set_sysctl(SCOPE, 1)
    tracer, target = relations.declared(guest)
    assert tracer.seize(target) == OK
    assert read_memory(tracer, target) == OK
    guest.set_sysctl(SCOPE, scope)
    assert read_memory(tracer, target) == EPERM
    assert tracer.open_proc(target, "mem") == EACCES


@pytest.mark.requirement("yama.active-tracer", "yama.ancestry")
def test_foreign_tracer_changes_no_ancestry(guest: Guest) -> None:
    r"""The kernel records the tracer as `parent`, but Yama follows `real_parent`.

    shell ── parent ── target ── child
    other ── tracer
    """
    guest.set_sysctl(SCOPE, 1)
    shell, other = guest.spawn("shell"), guest.spawn("other")
    parent, tracer = shell.spawn("parent"), other.spawn("tracer")
    target = parent.spawn("target")
    child = target.spawn("child")
    target.set_ptracer(tracer).result()
    tracer.seize(target).result()
    with breaks("yama.ancestry"):
        assert read_memory(parent, target) == OK
        assert read_memory(shell, target) == OK
        assert read_memory(shell, child) == OK
        assert read_memory(tracer, child) == EPERM
        assert read_memory(other, child) == EPERM
    with breaks("yama.active-tracer"):
        assert read_memory(tracer, target) == OK
        assert read_memory(other, target) == EPERM


@pytest.mark.requirement("yama.active-tracer")
def test_tracer_of_the_tracer(guest: Guest) -> None:
    """When A traces B and B traces C, A gains no access to C."""
    guest.set_sysctl(SCOPE, 1)
    a, b, c = (guest.spawn(name) for name in "abc")
    assert b.set_ptracer(a) == OK
    assert c.set_ptracer(b) == OK
    assert a.seize(b) == OK
    assert b.seize(c) == OK
    assert c.set_ptracer(0) == OK
    assert read_memory(b, c) == OK
    assert read_memory(a, c) == EPERM


@pytest.mark.requirement("yama.any", "yama.active-tracer")
def test_any_while_one_traces(guest: Guest) -> None:
    """A process that admits any tracer is open to all while one traces it, and to that one once it admits none."""
    guest.set_sysctl(SCOPE, 1)
    target, tracer, stranger = guest.spawn("target"), guest.spawn("tracer"), guest.spawn("stranger")
    target.set_ptracer(PTRACER_ANY).result()
    tracer.seize(target).result()
    with breaks("yama.any"):
        assert read_memory(stranger, target) == OK
        assert stranger.open_proc(target, "mem") == OK
    target.set_ptracer(0).result()
    with breaks("yama.active-tracer"):
        assert read_memory(stranger, target) == EPERM
        assert stranger.open_proc(target, "mem") == EACCES
        assert read_memory(tracer, target) == OK


@pytest.mark.requirement("yama.zombie")
@pytest.mark.parametrize("scope", range(3), ids=lambda scope: f"scope-{scope}-nobody-attaches-to-a-zombie")
def test_zombie(guest: Guest, scope: int) -> None:
    """Whoever may attach to a living process cannot attach to a zombie, and finds no process once it is reaped.

    At scope 3 nobody may attach, so nothing could be told of a zombie.
    """
    guest.set_sysctl(SCOPE, scope)
    parent, capable = guest.spawn("parent"), guest.spawn("capable", caps=Cap.SYS_PTRACE)
    living, target = parent.spawn("living"), parent.spawn("target")
    tracers = (parent, capable) if scope < 2 else (capable,)
    for tracer in tracers:
        assert tracer.attach_and_wait(living) == OK
        assert tracer.detach(living) == OK
    target.exit(7).require(exited(7))
    for tracer in tracers:
        assert tracer.attach(target) == EPERM
        assert tracer.seize(target) == EPERM
    parent.reap(target).result()
    for tracer in tracers:
        assert tracer.attach(target) == ESRCH
        assert read_memory(tracer, target) == ESRCH


@pytest.mark.needs("PRINTK")
@pytest.mark.requirement("yama.zombie-open", "yama.log-silence")
@pytest.mark.parametrize("ended", ["process", "first-thread"])
def test_what_has_exited(guest: Guest, ended: str) -> None:
    """At scope 1, an ancestor and a capable process still read what /proc has of a zombie; a stranger does not."""
    # The files of a zombie may belong to root, whatever the scope.
    reads = Cap.DAC_OVERRIDE
    parent, stranger = guest.spawn("parent", caps=reads), guest.spawn("stranger", caps=reads)
    capable = guest.spawn("capable", caps=reads | Cap.SYS_PTRACE)
    target = parent.spawn("target")
    if ended == "first-thread":
        target.thread("thread")
        target.begin("exit", 0)
        target.wait_state("Z")
    else:
        target.exit(7).require(exited(7))
    guest.set_sysctl(SCOPE, 1)
    for file in ("personality", "syscall"):
        with breaks("yama.zombie-open"):
            assert parent.read_proc(target, file) == OK
            assert capable.read_proc(target, file) == OK
    with breaks("yama.log-silence"):
        assert denials(guest) == []
    with breaks("yama.zombie-open"):
        assert stranger.read_proc(target, "personality") == EPERM
    guest.set_sysctl(SCOPE, 0)
    with breaks("yama.zombie-open"):
        assert stranger.read_proc(target, "personality") == OK


@pytest.mark.requirement("yama.set-ptracer", "yama.ancestry")
def test_init_is_an_orphans_ancestor(guest: Guest) -> None:
    """init, without any effective capability, is an orphan's ancestor; the orphan's grandparent no longer is."""
    guest.set_sysctl(SCOPE, 1)
    shell = guest.spawn("shell", uid=0)
    orphan, stranger = shell.orphan("orphan"), guest.spawn("stranger", uid=0)
    init = guest.init
    init.set_caps(Cap.NONE, permitted=Cap.ALL).result()
    with breaks("yama.ancestry"):
        assert read_memory(init, orphan) == OK
        assert init.open_proc(orphan, "mem") == OK
        assert read_memory(init, stranger) == OK
        assert read_memory(shell, orphan) == EPERM
        assert read_memory(stranger, orphan) == EPERM
    with breaks("yama.set-ptracer"):
        assert read_memory(orphan, stranger) == EPERM
        assert stranger.set_ptracer(orphan) == OK
        assert read_memory(orphan, stranger) == OK
