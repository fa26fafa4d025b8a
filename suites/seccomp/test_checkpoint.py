# SPDX-License-Identifier: GPL-2.0-or-later
"""What CONFIG_CHECKPOINT_RESTORE lets a privileged, unfiltered tracer do: read filters, and suspend them."""

from __future__ import annotations

import struct

import pytest

from guests.bpf import Action, deny, load, log, pack, policy, ret
from guests.call_arguments import InOut, Out
from guests.guest import Guest
from guests.outcome import EACCES, EFAULT, EINVAL, ENOENT, EPERM, ESRCH, GONE, OK, Expected, killed, returned
from guests.promises import breaks
from guests.syscalls.seccomp import FilterFlag
from guests.task import Task
from guests.uapi import Cap, Clone, Ptrace, PtraceOption, Signal
from suites.seccomp.support.filtered_tasks import mismatches, status, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")
restore = pytest.mark.needs("CHECKPOINT_RESTORE")

SUSPEND = PtraceOption.SUSPEND_SECCOMP
DENY = policy(deny("getppid", errno=EINVAL))
ALLOW_ALL = (ret(Action.ALLOW),)
FILTERS = (
    DENY,
    (load(0), load(4), load(60), ret(Action.ALLOW, 7)),
    policy(log("getuid"), deny("getgid", errno=EPERM)),
)
NOWHERE = 0x1000


def capable(guest: Guest, caps: Cap = Cap.SYS_ADMIN) -> Task:
    return guest.spawn("tracer", caps=caps, quiet=True)


def capable_in_its_own_user_namespace(guest: Guest) -> Task:
    """It has every capability, but only in the user namespace that it has created."""
    return guest.spawn("outside").spawn("inside", flags=Clone.NEWUSER, quiet=True)


def child_of(tracer: Task, name: str = "tracee") -> Task:
    """The tracer's child, without capabilities, which may install filters."""
    tracee = tracer.spawn(name)
    tracee.set_caps(Cap.NONE).result()
    tracee.set_no_new_privs().result()
    return tracee


def stopped(guest: Guest, *filters: object) -> tuple[Task, Task]:
    """A tracer with CAP_SYS_ADMIN, and its stopped tracee under these filters."""
    tracer = capable(guest)
    tracee = child_of(tracer)
    for program in filters:
        tracee.install(program).result()  # type: ignore[arg-type]
    tracer.seize_and_stop(tracee)
    return tracer, tracee


# Reading


@pytest.mark.requirement("seccomp.get-filter")
@restore
def test_programs_can_be_read(guest: Guest) -> None:
    """PTRACE_SECCOMP_GET_FILTER returns each filter, by its index from the oldest: its length and exact program."""
    tracer, tracee = stopped(guest, *FILTERS)
    for index, program in enumerate(FILTERS):
        assert tracer.filter_length(tracee, index) == returned(len(program))
        read = tracer.filter_program(tracee, index, len(program))
        assert read == returned(len(program))
        assert read.read() == pack(program)
    assert tracer.filter_length(tracee, len(FILTERS)) == ENOENT
    assert tracer.filter_length(tracee, 1 << 40) == ENOENT
    bad = tracer.call("ptrace", Ptrace.SECCOMP_GET_FILTER, tracee.tid, 0, NOWHERE)
    assert bad == EFAULT


@pytest.mark.requirement("seccomp.get-metadata")
@restore
def test_metadata(guest: Guest) -> None:
    """PTRACE_SECCOMP_GET_METADATA reports LOG, of all of a filter's flags."""
    tracer = capable(guest)
    tracee = child_of(tracer)
    for flags in (FilterFlag.NONE, FilterFlag.LOG, FilterFlag.SPEC_ALLOW, FilterFlag.LOG | FilterFlag.TSYNC):
        tracee.install(ALLOW_ALL, flags).result()
    tracer.seize_and_stop(tracee)
    reported = [struct.unpack("<QQ", tracer.filter_metadata(tracee, index).read()) for index in range(4)]
    assert reported == [(0, 0), (1, FilterFlag.LOG), (2, 0), (3, FilterFlag.LOG)]


# fmt: off
METADATA: dict[str, tuple[int, int, Expected]] = {
    #                         index, size, outcome: the number of bytes returned
    "both-fields":           (0,     16,   returned(16)),
    "a-larger-buffer":       (0,     64,   returned(16)),
    "the-index-alone":       (0,     8,    returned(8)),
    "half-of-the-flags":     (0,     12,   returned(12)),
    "too-short":             (0,     7,    EINVAL),
    "nothing":               (0,     0,    EINVAL),
    "past-the-end":          (1,     16,   ENOENT),
    "far-past-the-end":      (1 << 40, 16, ENOENT),
}
# fmt: on


@pytest.mark.requirement("seccomp.get-metadata")
@restore
def test_metadata_sizes(guest: Guest) -> None:
    """The caller passes the size of the structure, which may grow; a size too small for the index is EINVAL."""
    tracer, tracee = stopped(guest, DENY)
    found: dict[str, tuple[object, object]] = {
        name: (tracer.filter_metadata(tracee, index, size), wanted)
        for name, (index, size, wanted) in METADATA.items()
    }
    found["unreadable"] = (tracer.call("ptrace", Ptrace.SECCOMP_GET_METADATA, tracee.tid, 16, NOWHERE), EFAULT)
    assert mismatches(found) == []


def without_capability(guest: Guest) -> Task:
    return capable(guest, Cap.ALL & ~Cap.SYS_ADMIN)


def filtered(guest: Guest) -> Task:
    tracer = capable(guest)
    tracer.install(ALLOW_ALL).result()
    return tracer


# fmt: off
READERS = {
    # the tracer is ...                            a filter's length           its metadata
    "with-cap-sys-admin":    (capable,             returned(len(DENY)),        returned(16)),
    "with-every-other-capability":     (without_capability,  EACCES,                     EACCES),
    "in-its-own-user-namespace": (capable_in_its_own_user_namespace, EACCES,   EACCES),
    "filtered-itself":       (filtered,            EACCES,                     EACCES),
}
# fmt: on


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("seccomp.get-filter", "seccomp.get-metadata")
@restore
@pytest.mark.parametrize("who", READERS)
def test_who_may_read(guest: Guest, who: str) -> None:
    """Reading filters requires CAP_SYS_ADMIN, and a tracer that is not filtered itself."""
    build, length, metadata = READERS[who]
    tracer = build(guest)
    tracee = child_of(tracer)
    tracee.install(DENY).result()
    tracer.seize_and_stop(tracee)
    inherited = int(who == "filtered-itself")
    with breaks("seccomp.get-filter"):
        assert tracer.filter_length(tracee, inherited) == length
    with breaks("seccomp.get-metadata"):
        assert tracer.filter_metadata(tracee, inherited) == metadata


@pytest.mark.requirement("seccomp.get-filter", "seccomp.get-metadata")
@restore
def test_whose_filters_may_be_read(guest: Guest) -> None:
    """Only a stopped tracee's filters can be read: EINVAL without filters, ESRCH if not traced or not stopped."""
    tracer = capable(guest)
    found: dict[str, tuple[object, object]] = {}
    for name in ("unfiltered", "strict"):
        tracee = child_of(tracer, name)
        if name == "strict":
            tracee.enter_strict_mode().result()
        tracer.seize_and_stop(tracee)
        found[name] = (tracer.filter_length(tracee, 0), EINVAL)
        found[f"{name}, metadata"] = (tracer.filter_metadata(tracee, 0), EINVAL)
    free = child_of(tracer, "free")
    free.install(DENY).result()
    found["not traced"] = (tracer.filter_length(free, 0), ESRCH)
    tracer.seize(free).result()
    found["not stopped"] = (tracer.filter_metadata(free, 0), ESRCH)
    assert mismatches(found) == []


# Suspending


@pytest.mark.requirement("seccomp.suspend")
@restore
@pytest.mark.parametrize("way", ["by-seize", "by-setoptions"])
def test_suspended_until_the_tracer_leaves(guest: Guest, way: str) -> None:
    """While the option is set, denied calls run; once it is cleared or the tracer detaches, they are denied again."""
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
    _stop(tracer, tracee)
    assert tracer.set_options(tracee, PtraceOption.NONE) == OK
    tracer.resume(tracee).result()
    assert tracee.call("getppid") == EINVAL
    _stop(tracer, tracee)
    assert tracer.set_options(tracee, SUSPEND) == OK
    tracer.detach(tracee).result()
    assert tracee.call("getppid") == EINVAL


def _stop(tracer: Task, tracee: Task) -> None:
    tracer.interrupt(tracee).result()
    tracer.wait(tracee)


@pytest.mark.requirement("seccomp.suspend")
@restore
def test_the_tracers_death_ends_the_suspension(guest: Guest) -> None:
    """When the tracer dies, filters are no longer suspended."""
    tracer = capable(guest)
    tracee = child_of(tracer)
    tracee.install(DENY).result()
    assert tracer.seize(tracee, SUSPEND) == OK
    assert tracee.call("getppid") == returned(tracer.pid)
    tracer.exit()
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
        assert tracer.seize(task, SUSPEND) == OK
    assert tracee.install(ALLOW_ALL) == EINVAL
    assert tracee.enter_strict_mode() == OK
    assert free.install(ALLOW_ALL) == OK
    assert (status(guest, tracee)["Seccomp"], status(guest, free)["Seccomp"]) == ("1", "2")
    _stop(tracer, tracee)
    tracer.detach(tracee).result()
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


def suspended_itself(guest: Guest) -> Task:
    """A tracer that is itself a tracee, with its (absent) filters suspended."""
    above = guest.root("above")
    tracer = above.spawn("tracer", uid=1000, caps=Cap.SYS_ADMIN, quiet=True)
    # Otherwise SIGCHLD for its tracee's stops would stop it for its own tracer.
    tracer.block(Signal.CHLD).result()
    above.seize(tracer, SUSPEND).result()
    return tracer


# fmt: off
SUSPENDERS = {
    "with-cap-sys-admin":    (capable,             OK),
    "with-every-other-capability":     (without_capability,  EPERM),
    "in-its-own-user-namespace": (capable_in_its_own_user_namespace, EPERM),
    "filtered-itself":       (filtered,            EPERM),
    "suspended-itself":      (suspended_itself,    EPERM),
}
# fmt: on


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("seccomp.suspend-privilege")
@restore
@pytest.mark.parametrize("who", SUSPENDERS)
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


@pytest.mark.requirement("seccomp.cache-privilege")
@pytest.mark.needs("SECCOMP_CACHE_DEBUG")
def test_the_cache_requires_privilege(guest: Guest) -> None:
    """Reading /proc/PID/seccomp_cache requires CAP_SYS_ADMIN; an unfiltered task's file is empty."""
    task = unprivileged(guest)
    task.install(ALLOW_ALL).result()
    assert guest.spawn("curious").read_proc(task, "seccomp_cache") == EACCES
    assert capable_in_its_own_user_namespace(guest).read_proc(task, "seccomp_cache") == EACCES
    assert guest.spawn("capable", caps=Cap.SYS_ADMIN).read_proc(task, "seccomp_cache") == OK
    assert guest.read_file(f"/proc/{task.pid}/seccomp_cache") != ""
    assert guest.read_file(f"/proc/{guest.spawn('free').pid}/seccomp_cache") == ""


@pytest.mark.requirement("seccomp.cache-privilege")
@pytest.mark.needs("SECCOMP_CACHE_DEBUG")
def test_the_openers_capability_counts(guest: Guest) -> None:
    """The opener's capability counts, not the reader's: without it, even root reads nothing from the open file."""
    task = unprivileged(guest)
    task.install(ALLOW_ALL).result()
    owner, curious = guest.spawn("capable", caps=Cap.SYS_ADMIN), guest.spawn("curious")
    with_it, without = (
        owner.open_proc(task, "seccomp_cache").result(),
        curious.open_proc(task, "seccomp_cache").result(),
    )
    root = guest.root()
    assert root.read(root.pidfd_getfd(curious, without).result()) == EACCES
    owner.set_caps(Cap.NONE).result()
    assert owner.read(with_it) == OK


@pytest.mark.requirement("seccomp.exited")
@pytest.mark.needs("SECCOMP_CACHE_DEBUG")
def test_exited_threads_have_no_filters(guest: Guest) -> None:
    """A leader that has exited shows no filters, while its process and another thread's filter live on."""
    leader = unprivileged(guest, "leader")
    leader.install(ALLOW_ALL).result()
    thread = leader.thread("thread")

    def has_cache_lines(task: Task) -> bool:
        return guest.read_file(f"/proc/{task.pid}/task/{task.tid}/seccomp_cache") != ""

    assert (has_cache_lines(leader), has_cache_lines(thread)) == (True, True)
    assert leader.exit_thread() == GONE
    leader.wait_state("Z")
    assert (has_cache_lines(leader), has_cache_lines(thread)) == (False, True)
