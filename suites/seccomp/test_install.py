# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing filters: who may, with which flags, in which order errors are detected, and what is installed."""

from __future__ import annotations

import pytest

from guests import bpf
from guests.bpf import Action, Instruction, Program, deny, notify, pack, policy, ret
from guests.call_arguments import Argument
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EACCES, EBUSY, EFAULT, EINVAL, EMFILE, OK, Expected, Outcome, mismatches, returned
from guests.syscalls.seccomp import MODE_FILTER, SET_MODE_FILTER, FilterFlag, fprog
from guests.task import Task
from guests.uapi import RLIMIT_NOFILE, Cap, Clone, Prctl
from suites.seccomp.support.filtered_tasks import caller_cases, status, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

NOWHERE = 0x1000
"""An unmapped address."""
ALLOW_ALL: Program = (ret(Action.ALLOW),)
NO_RETURN: Program = (Instruction(bpf.LD_IMM),)


# Privilege


def with_no_new_privs(guest: Guest) -> Task:
    return unprivileged(guest)


def with_cap_sys_admin(guest: Guest) -> Task:
    return guest.spawn("capable", caps=Cap.SYS_ADMIN, quiet=True)


def with_cap_sys_admin_in_a_user_namespace(guest: Guest) -> Task:
    """It has all capabilities, but only in a user namespace of its own."""
    return guest.spawn("outside").spawn("inside", flags=Clone.NEWUSER, quiet=True)


def with_nothing(guest: Guest) -> Task:
    return guest.spawn("ordinary", quiet=True)


def with_all_other_capabilities(guest: Guest) -> Task:
    return guest.spawn("otherwise", caps=Cap.ALL & ~Cap.SYS_ADMIN, quiet=True)


def root_without_it(guest: Guest) -> Task:
    return guest.spawn("root", uid=0, caps=Cap.ALL & ~Cap.SYS_ADMIN, quiet=True)


def with_it_dropped(guest: Guest) -> Task:
    task = guest.spawn("dropped", caps=Cap.SYS_ADMIN, quiet=True)
    task.set_caps(Cap.NONE, Cap.SYS_ADMIN).result()
    return task


def in_a_user_namespace_without_it(guest: Guest) -> Task:
    task = with_cap_sys_admin_in_a_user_namespace(guest)
    task.set_caps(Cap.NONE, Cap.SYS_ADMIN).result()
    return task


PRIVILEGE = {
    "no-new-privs": (with_no_new_privs, OK),
    "cap-sys-admin": (with_cap_sys_admin, OK),
    "cap-sys-admin-in-its-user-namespace": (with_cap_sys_admin_in_a_user_namespace, OK),
    "nothing": (with_nothing, EACCES),
    "every-other-capability": (with_all_other_capabilities, EACCES),
    "uid-0-without-cap-sys-admin": (root_without_it, EACCES),
    "cap-sys-admin-permitted-but-not-effective": (with_it_dropped, EACCES),
    "user-namespace-without-cap-sys-admin": (in_a_user_namespace_without_it, EACCES),
}


@pytest.mark.requirement("seccomp.privilege")
@pytest.mark.parametrize("who", caller_cases(PRIVILEGE))
def test_who_may_install_a_filter(guest: Guest, who: str) -> None:
    """seccomp() and prctl() require no_new_privs, or CAP_SYS_ADMIN in the caller's own user namespace."""
    build, wanted = PRIVILEGE[who]
    assert build(guest).install(ALLOW_ALL) == wanted
    assert build(guest).install_by_prctl(ALLOW_ALL) == wanted


# Flags


@pytest.mark.requirement("seccomp.flags")
def test_known_flags(guest: Guest) -> None:
    """Every defined flag that does not require a listener (as WAIT_KILLABLE_RECV does) is accepted."""
    leader = unprivileged(guest)
    found: dict[str, tuple[object, object]] = {}
    for flag in (FilterFlag.NONE, FilterFlag.TSYNC, FilterFlag.LOG, FilterFlag.SPEC_ALLOW, FilterFlag.TSYNC_ESRCH):
        found[flag.name or "0"] = (leader.install(ALLOW_ALL, flag), returned(0))
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.flags-unknown")
def test_unknown_flags(guest: Guest) -> None:
    """Bits 7 to 31 are not flags: each of them fails with EINVAL, and nothing is installed."""
    task = unprivileged(guest)
    task.be_quiet()
    pointer = fprog(task.abi, 1, task.store(pack(ALLOW_ALL, task.abi)))
    # Bit 6 is not a flag either, so far, but it has been proposed: SECCOMP_FILTER_FLAG_ALLOW_NESTED_LISTENERS.
    found = {f"bit {bit}": (task.call("seccomp", SET_MODE_FILTER, 1 << bit, pointer), EINVAL) for bit in range(7, 32)}
    assert mismatches(found) == []
    assert status(guest, task)["Seccomp"] == "0"
    # The flags have 32 bits: higher bits are ignored.
    assert task.call("seccomp", SET_MODE_FILTER, 1 << 32, pointer) == OK


# Order of errors: each attempt makes all mistakes from one of them on, and fails with the error of the first.


class Attempt:
    """A call of seccomp(SET_MODE_FILTER) with mistakes, in the order in which the kernel detects them."""

    MISTAKES = (
        *("unknown-flag", "struct-unreadable", "too-long", "no-privilege"),
        *("program-unreadable", "program-invalid"),
    )

    def __init__(self, guest: Guest, *mistakes: str) -> None:
        self.mistakes = mistakes
        self.task = with_nothing(guest) if "no-privilege" in mistakes else unprivileged(guest)

    def make(self) -> Outcome:
        flags = 1 << 31 if "unknown-flag" in self.mistakes else 0
        program = NO_RETURN if "program-invalid" in self.mistakes else ALLOW_ALL
        length = 4097 if "too-long" in self.mistakes else len(program)
        address = NOWHERE if "program-unreadable" in self.mistakes else self.task.store(pack(program, self.task.abi))
        pointer: Argument = fprog(self.task.abi, length, address)
        if "struct-unreadable" in self.mistakes:
            pointer = NOWHERE
        return self.task.call("seccomp", SET_MODE_FILTER, flags, pointer)


ERRORS: dict[str, Expected] = {
    "unknown-flag": EINVAL,
    "struct-unreadable": EFAULT,
    "too-long": EINVAL,
    "no-privilege": EACCES,
    "program-unreadable": EFAULT,
    "program-invalid": EINVAL,
}


@pytest.mark.requirement("seccomp.error-order")
def test_order_of_errors(guest: Guest) -> None:
    """The error is that of the first mistake; once it is fixed, that of the next; without mistakes, it succeeds."""
    found: dict[str, tuple[object, object]] = {}
    for at, first in enumerate(Attempt.MISTAKES):
        found[f"{first} and all later ones"] = (Attempt(guest, *Attempt.MISTAKES[at:]).make(), ERRORS[first])
        found[f"{first} alone"] = (Attempt(guest, first).make(), ERRORS[first])
    found["none"] = (Attempt(guest).make(), OK)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.error-order")
def test_a_null_program(guest: Guest) -> None:
    """A NULL program is EINVAL, any other bad address EFAULT."""
    task = unprivileged(guest)
    assert task.install_stored(0, 1) == EINVAL
    assert task.install_stored(NOWHERE, 1) == EFAULT
    assert task.call("prctl", Prctl.SET_SECCOMP, MODE_FILTER, None, 0, 0) == EFAULT


@pytest.mark.requirement("seccomp.error-order")
def test_errors_of_a_listener(guest: Guest) -> None:
    """An invalid program is detected before a full descriptor table, and a second listener only after it."""
    task = unprivileged(guest)
    listener = task.listen(policy(notify("getppid"))).result()
    full = task.abi.pack("QQ", listener, listener)
    task.call("prlimit64", 0, RLIMIT_NOFILE, full, None).result()
    task.call("dup", listener).require(EMFILE)
    assert task.listen(NO_RETURN) == EINVAL
    assert task.listen(ALLOW_ALL) == EMFILE
    task.close(0).result()
    assert task.listen(ALLOW_ALL) == EBUSY


@pytest.mark.requirement("seccomp.immutable")
def test_a_filter_is_a_copy(guest: Guest) -> None:
    """The filter is the kernel's own copy: later changes to the caller's memory do not affect it."""
    task = unprivileged(guest)
    program = policy(deny("getppid", errno=EINVAL)).program(guest.arch)
    address = task.store(pack(program, task.abi))
    task.install_stored(address, len(program)).result()
    overwritten = pack(ALLOW_ALL * len(program), task.abi)
    task.copy(address, task.store(overwritten), len(overwritten)).result()
    require(task.load(address, len(overwritten)) == overwritten, f"{task}'s memory has not changed")
    assert task.call("getppid") == EINVAL
