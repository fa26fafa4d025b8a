# SPDX-License-Identifier: GPL-2.0-or-later
"""Suspending filters and strict mode: PTRACE_O_SUSPEND_SECCOMP."""

from __future__ import annotations

import pytest

from guests.bpf import deny, policy
from guests.call_arguments import InOut, Out
from guests.guest import Guest
from guests.outcome import EINVAL, EPERM, OK, exited, killed, returned
from guests.promises import breaks
from guests.task import Task
from guests.uapi import Cap, Ptrace, PtraceOption, Signal
from suites.seccomp.support.checkpoint_tracers import (
    ALLOW_ALL,
    DENY,
    capable,
    capable_in_its_own_user_namespace,
    child_of,
    filtered,
    filtered_thread,
    restore,
    stop,
    unfiltered_thread,
    without_capability,
)
from suites.seccomp.support.filtered_tasks import caller_cases, status

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

SUSPEND = PtraceOption.SUSPEND_SECCOMP


@pytest.mark.requirement("seccomp.suspend")
@restore
@pytest.mark.parametrize("way", ["by-seize", "by-setoptions"])
def test_suspended_until_the_tracer_leaves(guest: Guest, way: str) -> None:
    """While PTRACE_O_SUSPEND_SECCOMP is set, denied calls run, until it is cleared or the tracer detaches."""
    tracer = capable(guest)
    tracee = child_of(tracer)
    tracee.install(DENY).result()
    assert tracee.call("getppid") == EINVAL
    if way == "by-seize":
        assert tracer.seize(tracee, SUSPEND) == OK
    else:
        tracer.seize_and_stop(tracee)
        assert tracer.set_options(tracee, SUSPEND) == OK
        tracer.resume(tracee).result()
    assert tracee.call("getppid") == returned(tracer.pid)
    stop(tracer, tracee)
    assert tracer.set_options(tracee, PtraceOption.NONE) == OK
    tracer.resume(tracee).result()
    assert tracee.call("getppid") == EINVAL
    stop(tracer, tracee)
    assert tracer.set_options(tracee, SUSPEND) == OK
    tracer.detach(tracee).result()
    assert tracee.call("getppid") == EINVAL


@pytest.mark.requirement("seccomp.suspend")
@restore
def test_the_tracers_death_ends_the_suspension(guest: Guest) -> None:
    """When the tracer that has suspended filters dies, they are no longer suspended."""
    tracer = capable(guest)
    tracee = child_of(tracer)
    tracee.install(DENY).result()
    assert tracer.seize(tracee, SUSPEND) == OK
    assert tracee.call("getppid") == returned(tracer.pid)
    tracer.exit().require(exited(0))
    assert tracee.call("getppid") == EINVAL


@pytest.mark.requirement("seccomp.suspend")
@restore
def test_strict_mode_is_suspended_too(guest: Guest) -> None:
    """Strict mode is suspended like filters: a call that it forbids runs."""
    tracer = capable(guest)
    tracee = child_of(tracer)
    tracee.enter_strict_mode().result()
    assert tracer.seize(tracee, SUSPEND) == OK
    assert tracee.call("getppid") == returned(tracer.pid)


@pytest.mark.requirement("seccomp.suspend", "seccomp.modes")
@restore
def test_a_suspended_mode_stays(guest: Guest) -> None:
    """A suspended strict mode remains the tracee's mode: no filter can replace it, and it returns afterwards."""
    tracer = capable(guest)
    tracee, free = child_of(tracer), child_of(tracer, "free")
    tracee.enter_strict_mode().result()
    for task in (tracee, free):
        tracer.seize(task, SUSPEND).result()
    with breaks("seccomp.modes"):
        assert tracee.install(ALLOW_ALL) == EINVAL
        assert tracee.enter_strict_mode() == OK
        assert free.install(ALLOW_ALL) == OK
        assert (status(guest, tracee)["Seccomp"], status(guest, free)["Seccomp"]) == ("1", "2")
    stop(tracer, tracee)
    tracer.detach(tracee).result()
    with breaks("seccomp.suspend"):
        assert tracee.call("getppid") == killed(Signal.KILL)


@pytest.mark.requirement("seccomp.suspend")
@restore
def test_only_the_tracee(guest: Guest) -> None:
    """Children and threads that the tracee creates are not traced, and are filtered as usual."""
    tracer = capable(guest)
    tracee = child_of(tracer)
    tracee.install(DENY).result()
    assert tracer.seize(tracee, SUSPEND) == OK
    child, thread = tracee.spawn("child"), tracee.thread("thread")
    assert child.call("getppid") == EINVAL
    assert thread.call("getppid") == EINVAL
    assert tracee.call("getppid") == returned(tracer.pid)


def traced_itself(guest: Guest, options: PtraceOption = PtraceOption.NONE) -> Task:
    """A tracer that is itself a tracee."""
    above = guest.root("above")
    tracer = above.spawn("tracer", uid=1000, caps=Cap.SYS_ADMIN, quiet=True)
    # Otherwise SIGCHLD for its tracee's stops would stop it for its own tracer.
    tracer.block(Signal.CHLD).result()
    above.seize(tracer, options).result()
    return tracer


def suspended_itself(guest: Guest) -> Task:
    """A tracee whose (absent) filters are suspended."""
    return traced_itself(guest, SUSPEND)


# fmt: off
SUSPENDERS = {
    "with-cap-sys-admin":    (capable,             OK),
    "with-every-other-capability":     (without_capability,  EPERM),
    "in-its-own-user-namespace": (capable_in_its_own_user_namespace, EPERM),
    "filtered-itself":       (filtered,            EPERM),
    "filtered-thread":       (filtered_thread,     EPERM),
    "unfiltered-thread":     (unfiltered_thread,   OK),
    "traced-itself":         (traced_itself,       OK),
    "suspended-itself":      (suspended_itself,    EPERM),
}
# fmt: on


@pytest.mark.requirement("seccomp.suspend-privilege")
@restore
@pytest.mark.parametrize("who", caller_cases(SUSPENDERS))
def test_who_may_suspend(guest: Guest, who: str) -> None:
    """Suspending requires CAP_SYS_ADMIN and a tracer not filtered or suspended itself, by SEIZE and SETOPTIONS."""
    build, wanted = SUSPENDERS[who]
    tracer = build(guest)
    by_options, by_seize = child_of(tracer, "by-options"), child_of(tracer, "by-seize")
    for tracee in (by_options, by_seize):
        tracee.install(policy(deny("getgid", errno=EINVAL))).result()
    tracer.seize_and_stop(by_options)
    assert tracer.set_options(by_options, SUSPEND) == wanted
    tracer.resume(by_options).result()
    assert tracer.seize(by_seize, SUSPEND) == wanted
    for tracee in (by_options, by_seize):
        assert tracee.call("getgid") == (returned(1000) if wanted == OK else EINVAL)


@pytest.mark.lacks("CHECKPOINT_RESTORE")
@pytest.mark.requirement("seccomp.suspend-privilege")
def test_without_checkpoint_restore(guest: Guest) -> None:
    """Without CONFIG_CHECKPOINT_RESTORE, filters can be neither suspended nor read: EINVAL (stubs in seccomp.h)."""
    tracer = capable(guest)
    tracee = child_of(tracer)
    tracee.install(DENY).result()
    tracer.seize_and_stop(tracee)
    assert tracer.set_options(tracee, SUSPEND) == EINVAL
    assert tracer.call("ptrace", Ptrace.SECCOMP_GET_FILTER, tracee.tid, 0, Out(8)) == EINVAL
    assert tracer.call("ptrace", Ptrace.SECCOMP_GET_METADATA, tracee.tid, 16, InOut(bytes(16))) == EINVAL
