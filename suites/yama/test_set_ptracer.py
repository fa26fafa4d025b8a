# SPDX-License-Identifier: GPL-2.0-or-later
"""PR_SET_PTRACER: who can be named, how, and what a declaration does to the previous one."""

from __future__ import annotations

import pytest

from guests.errors import require
from guests.guest import Guest
from guests.outcome import EACCES, EINVAL, EPERM, OK, Expected, returned
from guests.promises import breaks
from guests.uapi import PTRACER_ANY, Clone, Prctl
from suites.process_accesses import read_memory, vector
from suites.yama.support.accesses import SCOPE

pytestmark = pytest.mark.needs("SECURITY_YAMA", "SYSCTL", "CROSS_MEMORY_ATTACH")

UNUSED_PID = 0x3FFFFF
"""A number that no process has: pid_max is at most 4194304."""


@pytest.mark.requirement("yama.set-ptracer-argument")
@pytest.mark.parametrize(
    ("argument", "wanted"),
    [
        pytest.param(UNUSED_PID, EINVAL, id="an-unused-number-is-refused"),
        pytest.param(-2, EINVAL, id="minus-two-is-refused"),
        pytest.param(-(1 << 31), EINVAL, id="the-smallest-number-is-refused"),
        pytest.param((1 << 31) - 1, EINVAL, id="the-largest-number-is-refused"),
        pytest.param(1 << 32, EINVAL, id="zero-with-high-bits-is-refused", marks=pytest.mark.needs("64BIT")),
        pytest.param(0, returned(0), id="zero-is-accepted"),
        pytest.param(PTRACER_ANY, returned(0), id="any-is-accepted"),
    ],
)
def test_argument(guest: Guest, argument: int, wanted: Expected) -> None:
    """PR_SET_PTRACER of neither a process, nor 0, nor PR_SET_PTRACER_ANY is EINVAL and changes nothing."""
    guest.set_sysctl(SCOPE, 1)
    target, tracer, stranger = guest.spawn("target"), guest.spawn("tracer"), guest.spawn("stranger")
    assert target.set_ptracer(tracer) == returned(0)
    assert target.set_ptracer(argument) == wanted
    assert read_memory(tracer, target) == (EPERM if argument == 0 else OK)
    assert read_memory(stranger, target) == (OK if argument == PTRACER_ANY else EPERM)


@pytest.mark.requirement("yama.any")
@pytest.mark.parametrize(
    "argument",
    [
        pytest.param(0xFFFFFFFFFFFFFFFF, id="all-bits"),
        pytest.param(0x00000000FFFFFFFF, id="the-low-32-bits"),
        pytest.param(0x12345678FFFFFFFF, id="the-low-32-bits-and-others"),
    ],
)
def test_any(guest: Guest, argument: int) -> None:
    """PR_SET_PTRACER with -1 in the low 32 bits of its argument admits every process, whatever the high bits."""
    guest.set_sysctl(SCOPE, 1)
    target, stranger = guest.spawn("target"), guest.spawn("shell").spawn("stranger")
    assert read_memory(stranger, target) == EPERM
    assert target.set_ptracer(argument) == OK
    assert read_memory(stranger, target) == OK
    assert stranger.attach(target) == OK


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("yama.any", "yama.set-ptracer", "yama.set-ptracer-argument", "yama.revoke")
def test_32_bit_caller(guest: Guest) -> None:
    """By int 0x80, a number, 0 and -1 mean the same as for a 64-bit caller."""
    guest.set_sysctl(SCOPE, 1)
    target, tracer, stranger = guest.spawn("target"), guest.spawn("tracer"), guest.spawn("stranger")
    with breaks("yama.set-ptracer"):
        assert target.call32("prctl", Prctl.SET_PTRACER, tracer.pid, 0, 0, 0) == OK
        assert read_memory(tracer, target) == OK
        assert read_memory(stranger, target) == EPERM
    with breaks("yama.any"):
        assert target.call32("prctl", Prctl.SET_PTRACER, 0xFFFFFFFF, 0, 0, 0) == OK
        assert read_memory(stranger, target) == OK
    with breaks("yama.set-ptracer-argument"):
        assert target.call32("prctl", Prctl.SET_PTRACER, UNUSED_PID, 0, 0, 0) == EINVAL
        assert read_memory(stranger, target) == OK
    with breaks("yama.revoke"):
        assert target.call32("prctl", Prctl.SET_PTRACER, 0, 0, 0, 0) == OK
        assert read_memory(stranger, target) == EPERM


@pytest.mark.requirement("yama.set-ptracer-argument")
def test_other_arguments_do_not_matter(guest: Guest) -> None:
    """prctl()'s third to fifth arguments are ignored."""
    guest.set_sysctl(SCOPE, 1)
    target, tracer = guest.spawn("target"), guest.spawn("tracer")
    assert target.call("prctl", Prctl.SET_PTRACER, tracer.pid, 1, 2, 3) == OK
    assert read_memory(tracer, target) == OK
    assert target.call("prctl", Prctl.SET_PTRACER, 0, 1, 2, 3) == OK
    assert read_memory(tracer, target) == EPERM


@pytest.mark.requirement("yama.revoke")
def test_revoked(guest: Guest) -> None:
    """PR_SET_PTRACER 0 revokes the exception, works without one, and does not prevent a new declaration."""
    guest.set_sysctl(SCOPE, 1)
    target, tracer = guest.spawn("target"), guest.spawn("tracer")
    assert target.set_ptracer(0) == OK
    for who in (tracer, PTRACER_ANY):
        assert target.set_ptracer(who) == OK
        assert read_memory(tracer, target) == OK
        assert target.set_ptracer(0) == OK
        assert read_memory(tracer, target) == EPERM
        assert target.set_ptracer(0) == OK
        assert read_memory(tracer, target) == EPERM


@pytest.mark.requirement("yama.revoke")
def test_revoking_affects_only_the_caller(guest: Guest) -> None:
    """PR_SET_PTRACER 0 leaves others' exceptions alone: for the caller, for another tracer, and for any tracer."""
    guest.set_sysctl(SCOPE, 1)
    caller, tracer, stranger = guest.spawn("caller"), guest.spawn("tracer"), guest.spawn("stranger")
    for_caller, for_tracer, for_any = (guest.spawn(name) for name in ("for-caller", "for-tracer", "for-any"))
    assert for_caller.set_ptracer(caller) == OK
    assert for_tracer.set_ptracer(tracer) == OK
    assert for_any.set_ptracer(PTRACER_ANY) == OK
    assert caller.set_ptracer(tracer) == OK
    assert caller.set_ptracer(0) == OK
    assert read_memory(tracer, caller) == EPERM
    assert read_memory(caller, for_caller) == OK
    assert read_memory(tracer, for_tracer) == OK
    assert read_memory(stranger, for_any) == OK


@pytest.mark.requirement("yama.replace")
def test_second_declaration_replaces_the_first(guest: Guest) -> None:
    """A tracee has one exception: the first does not come back when the second is revoked."""
    guest.set_sysctl(SCOPE, 1)
    target, first, second = guest.spawn("target"), guest.spawn("first"), guest.spawn("second")
    assert target.set_ptracer(first) == OK
    assert read_memory(first, target) == OK
    assert target.set_ptracer(second) == OK
    assert read_memory(first, target) == EPERM
    assert read_memory(second, target) == OK
    assert target.set_ptracer(0) == OK
    assert read_memory(first, target) == EPERM
    assert read_memory(second, target) == EPERM


@pytest.mark.requirement("yama.replace")
def test_any_and_one_replace_each_other(guest: Guest) -> None:
    """Naming one tracer after PR_SET_PTRACER_ANY ends the access of all others."""
    guest.set_sysctl(SCOPE, 1)
    target, tracer, stranger = guest.spawn("target"), guest.spawn("tracer"), guest.spawn("stranger")
    assert target.set_ptracer(PTRACER_ANY) == OK
    assert read_memory(stranger, target) == OK
    assert target.set_ptracer(tracer) == OK
    assert read_memory(stranger, target) == EPERM
    assert read_memory(tracer, target) == OK
    assert target.set_ptracer(PTRACER_ANY) == OK
    assert read_memory(stranger, target) == OK


@pytest.mark.requirement("yama.set-ptracer", "yama.revoke")
def test_many_tracees_and_tracers(guest: Guest) -> None:
    """Each tracee has its own exception, and many may name one tracer: 5 of each, all 25 pairs."""
    guest.set_sysctl(SCOPE, 1)
    tracers = [guest.spawn(f"tracer-{number}") for number in range(5)]
    targets = [guest.spawn(f"target-{number}") for number in range(5)]
    named = (0, 1, 1, 3, 3)
    with breaks("yama.set-ptracer"):
        for target, number in zip(targets, named, strict=True):
            assert target.set_ptracer(tracers[number]) == OK
        for target, number in zip(targets, named, strict=True):
            for tracer in tracers:
                assert read_memory(tracer, target) == (OK if tracer is tracers[number] else EPERM)
    with breaks("yama.revoke"):
        assert targets[1].set_ptracer(0) == OK
        assert read_memory(tracers[1], targets[1]) == EPERM
        assert read_memory(tracers[1], targets[2]) == OK
        assert read_memory(tracers[3], targets[4]) == OK


@pytest.mark.requirement("yama.set-ptracer")
def test_naming_itself_or_a_child(guest: Guest) -> None:
    """Naming itself admits all of a process's descendants; naming a child admits that child and its own only."""
    guest.set_sysctl(SCOPE, 1)
    target = guest.spawn("target")
    child, other = target.spawn("child"), target.spawn("other")
    grandchild = child.spawn("grandchild")
    assert target.set_ptracer(child) == OK
    assert read_memory(child, target) == OK
    assert read_memory(grandchild, target) == OK
    assert read_memory(other, target) == EPERM
    assert target.set_ptracer(target) == OK
    for tracer in (child, other, grandchild):
        assert read_memory(tracer, target) == OK
    assert read_memory(guest.spawn("stranger"), target) == EPERM


@pytest.mark.requirement("yama.set-ptracer")
def test_one_direction(guest: Guest) -> None:
    """An exception works in one direction: the declarer gets no access to the tracer that it named."""
    guest.set_sysctl(SCOPE, 1)
    target, tracer = guest.spawn("target"), guest.spawn("tracer")
    assert target.set_ptracer(tracer) == OK
    assert read_memory(target, tracer) == EPERM
    assert tracer.set_ptracer(target) == OK
    assert read_memory(target, tracer) == OK
    assert read_memory(tracer, target) == OK


@pytest.mark.requirement("yama.whole-process")
def test_declared_by_any_thread(guest: Guest) -> None:
    """Any thread can declare for its process, replace another thread's declaration, and revoke it."""
    guest.set_sysctl(SCOPE, 1)
    leader, first, second = guest.spawn("leader"), guest.spawn("first"), guest.spawn("second")
    one, two = leader.thread("one"), leader.thread("two")
    assert one.set_ptracer(first) == OK
    for target in (leader, one, two):
        assert read_memory(first, target) == OK
        assert read_memory(second, target) == EPERM
    assert two.set_ptracer(second) == OK
    for target in (leader, one, two):
        assert read_memory(first, target) == EPERM
        assert read_memory(second, target) == OK
    assert one.set_ptracer(0) == OK
    for target in (leader, one, two):
        assert read_memory(second, target) == EPERM


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("yama.pid-namespace")
def test_numbers_of_the_callers_pid_namespace(guest: Guest) -> None:
    r"""PR_SET_PTRACER takes a number of the declarer's pid namespace, not one of the initial namespace.

    init ── first ── target            first is pid 1 of a namespace
               └──── tracer
    """
    guest.set_sysctl(SCOPE, 1)
    first = guest.spawn("first", flags=Clone.NEWPID)
    target, tracer = first.spawn("target"), first.spawn("tracer")
    require(tracer.own_tid < tracer.tid, f"{tracer} has the same number in both pid namespaces")
    assert target.set_ptracer(tracer.tid) == EINVAL
    assert target.set_ptracer(tracer.own_tid) == OK
    # The tracer, too, uses the number that the target has inside the namespace.
    read = (target.own_tid, vector(tracer), 1, vector(target), 1, 0)
    assert tracer.call("process_vm_readv", *read, shown=f"process_vm_readv({target})") == OK
    assert target.set_ptracer(1) == OK
    assert tracer.call("process_vm_readv", *read, shown=f"process_vm_readv({target})") == OK
    assert target.set_ptracer(0) == OK
    assert tracer.call("process_vm_readv", *read, shown=f"process_vm_readv({target})") == EPERM


@pytest.mark.needs("PID_NS")
@pytest.mark.requirement("yama.pid-namespace")
def test_declared_across_pid_namespaces(guest: Guest) -> None:
    """A process may name a tracer in a descendant namespace, whose descendants there are admitted too."""
    guest.set_sysctl(SCOPE, 1)
    first = guest.spawn("first", flags=Clone.NEWPID)
    inside, outside, stranger = first.spawn("inside"), guest.spawn("outside"), guest.spawn("stranger")
    assert read_memory(outside, inside) == EPERM
    assert inside.set_ptracer(PTRACER_ANY) == OK
    assert read_memory(outside, inside) == OK
    assert inside.set_ptracer(0) == OK
    assert read_memory(outside, inside) == EPERM
    assert inside.open_proc(outside, "mem") == EACCES
    assert outside.set_ptracer(inside) == OK
    assert inside.spawn("child").open_proc(outside, "mem") == OK
    assert read_memory(stranger, outside) == EPERM
