# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing filters: who may, in which order errors are detected, and the limits."""

from __future__ import annotations

import struct

import pytest

from guests import bpf
from guests.bpf import Action, Instruction, Program, deny, notify, pack, policy, ret
from guests.call_arguments import Argument
from guests.guest import Guest
from guests.outcome import (
    EACCES,
    EBUSY,
    EFAULT,
    EINVAL,
    EMFILE,
    ENOMEM,
    ESRCH,
    OK,
    Expected,
    Outcome,
    returned,
)
from guests.syscalls.seccomp import MODE_FILTER, SET_MODE_FILTER, FilterFlag
from guests.task import Task
from guests.uapi import MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE, RLIMIT_NOFILE, Cap, Clone, Prctl
from suites.seccomp.support.filtered_tasks import mismatches, status, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

NOWHERE = 0x1000
"""An unmapped address."""
ALLOW_ALL: Program = (ret(Action.ALLOW),)
NO_RETURN: Program = (Instruction(bpf.LD_IMM),)


class LongFilters:
    """Filters of any length in a task's memory, which its children inherit: loads of 0, with a return at the end."""

    def __init__(self, task: Task) -> None:
        protection, sharing = PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
        start = task.call("mmap", None, 0x8000, protection, sharing, -1, 0).result()
        # Eight zero bytes are a load of the constant 0.
        task.copy(start + 0x7FF8, task.store(pack(ALLOW_ALL)), 8).result()
        self._end = start + 0x8000

    def install(self, task: Task, length: int, flags: FilterFlag = FilterFlag.NONE) -> Outcome:
        return task.install_stored(self._end - 8 * min(length, 4096), length, flags)


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


@pytest.mark.needs("USER_NS")
@pytest.mark.requirement("seccomp.privilege")
@pytest.mark.parametrize("who", PRIVILEGE)
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
        found[flag.name or "0"] = (leader.install(ALLOW_ALL, flag), OK)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.flags-unknown")
def test_unknown_flags(guest: Guest) -> None:
    """Bits 7 to 31 are not flags: each of them fails with EINVAL, and nothing is installed."""
    task = unprivileged(guest)
    task.be_quiet()
    fprog = struct.pack("<H6xQ", 1, task.store(pack(ALLOW_ALL)))
    # Bit 6 is not a flag either, so far, but it has been proposed: SECCOMP_FILTER_FLAG_ALLOW_NESTED_LISTENERS.
    found = {f"bit {bit}": (task.call("seccomp", SET_MODE_FILTER, 1 << bit, fprog), EINVAL) for bit in range(7, 32)}
    assert mismatches(found) == []
    assert status(guest, task)["Seccomp"] == "0"
    # The flags have 32 bits: higher bits are ignored.
    assert task.call("seccomp", SET_MODE_FILTER, 1 << 32, fprog) == OK


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
        address = NOWHERE if "program-unreadable" in self.mistakes else self.task.store(pack(program))
        pointer: Argument = struct.pack("<H6xQ", length, address)
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
    task.listen(policy(notify("getppid"))).result()
    full = struct.pack("<QQ", 3, 3)
    task.call("prlimit64", 0, RLIMIT_NOFILE, full, None).result()
    for _ in range(8):
        if task.call("dup", 3).errno:
            break
    assert task.listen(NO_RETURN) == EINVAL
    assert task.listen(ALLOW_ALL) == EMFILE
    task.close(0).result()
    assert task.listen(ALLOW_ALL) == EBUSY


# Limits


LENGTHS = {1: OK, 2: OK, 4095: OK, 4096: OK, 4097: EINVAL, 0x7FFF: EINVAL, 0xFFFF: EINVAL}


@pytest.mark.requirement("seccomp.length")
def test_length(guest: Guest) -> None:
    """A filter has 1 to 4096 instructions; more are EINVAL, and install nothing."""
    parent = unprivileged(guest)
    long = LongFilters(parent)
    found: dict[str, tuple[object, object]] = {}
    for length, wanted in LENGTHS.items():
        task = parent.spawn(f"of-{length}")
        found[f"{length}"] = (long.install(task, length), wanted)
        found[f"{length}, afterwards"] = (status(guest, task)["Seccomp"], "2" if wanted == OK else "0")
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.length")
def test_empty_filter(guest: Guest) -> None:
    """A filter without instructions fails with EINVAL."""
    task = unprivileged(guest)
    assert task.install(()) == EINVAL
    assert task.install_stored(task.store(pack(ALLOW_ALL)), 0) == EINVAL


# A filter of n such instructions counts n + 4 (translation lengthens its beginning and end), and 4 more when others
# follow.
SEVEN = 7 * (4096 + 4 + 4)
LEFT = 32768 - SEVEN - 4
# fmt: off
REMAINING_LENGTHS = {
    # after seven filters of 4096 instructions, the lengths of further filters
    "exactly-full":       ([LEFT],        OK),
    "one-too-many":       ([LEFT + 1],    ENOMEM),
    "much-too-many":      ([4096],        ENOMEM),
    "in-two-parts":       ([2000, 2028],  OK),
    "in-two-and-one-more": ([2000, 2029], ENOMEM),
    "full-but-for-nine":  ([4027, 1],     OK),
    "full-but-for-eight": ([4028, 1],     ENOMEM),
    "nothing-left":       ([LEFT, 1],     ENOMEM),
}
# fmt: on


def check_nearly_full(guest: Guest) -> tuple[Task, LongFilters]:
    """A task to which seven long filters, which it may install, have left little room."""
    task = unprivileged(guest)
    long = LongFilters(task)
    for _ in range(7):
        assert long.install(task, 4096) == OK
    return task, long


@pytest.mark.requirement("seccomp.total-length")
def test_total_length(guest: Guest) -> None:
    """A task's filters have at most 32768 instructions, as translated, plus 4 for each filter already installed.

    Children start from their parent's count, each separately.
    """
    parent, long = check_nearly_full(guest)
    found: dict[str, tuple[object, object]] = {}
    for name, (lengths, wanted) in REMAINING_LENGTHS.items():
        task = parent.spawn(name[:15])
        for length in lengths[:-1]:
            assert long.install(task, length) == OK, name
        found[name] = (long.install(task, lengths[-1]), wanted)
    assert mismatches(found) == []


@pytest.mark.requirement("seccomp.total-length", "seccomp.tsync")
def test_total_length_of_threads(guest: Guest) -> None:
    """TSYNC obeys the limit, too: a filter that does not fit fails, and one that fits reaches every thread."""
    task, long = check_nearly_full(guest)
    thread = task.thread("thread")
    assert long.install(task, 4037, FilterFlag.TSYNC) == ENOMEM
    assert long.install(task, 4036, FilterFlag.TSYNC) == OK
    assert status(guest, thread)["Seccomp_filters"] == status(guest, task)["Seccomp_filters"] == "8"


@pytest.mark.requirement("seccomp.total-length")
def test_a_rejected_filter_does_not_count(guest: Guest) -> None:
    """A filter rejected for its length does not count towards the limit."""
    task, long = check_nearly_full(guest)
    assert long.install(task, 2000) == OK
    assert long.install(task, 2029) == ENOMEM
    assert long.install(task, 2028) == OK


# Modes


@pytest.mark.requirement("seccomp.modes")
def test_filter_then_strict(guest: Guest) -> None:
    """A filtered task cannot enter strict mode, which might allow what its filter denies; its filters stay."""
    task = unprivileged(guest)
    task.install(ALLOW_ALL).result()
    assert task.enter_strict_mode() == EINVAL
    assert task.call("prctl", Prctl.SET_SECCOMP, 1, 0, 0, 0) == EINVAL
    assert task.install(policy(deny("getppid", errno=ESRCH))) == OK
    assert task.call("getppid") == ESRCH


# fmt: off
OPERATIONS = {
    # seccomp(operation, flags, pointer)
    "unknown-operation":       ((4, 0, None),           EINVAL),
    "negative-operation":      ((0xFFFFFFFF, 0, None),  EINVAL),
    "strict-with-flags":       ((0, 1, None),           EINVAL),
    "strict-with-a-pointer":   ((0, 0, b"\0" * 16),     EINVAL),
    "avail-with-flags":        ((2, 1, b"\0" * 4),      EINVAL),
    "sizes-with-flags":        ((3, 1, b"\0" * 8),      EINVAL),
    "filter-without-pointer":  ((1, 0, None),           EFAULT),
}
PRCTL = {
    # prctl(PR_SET_SECCOMP, mode, pointer)
    "mode-0":                  ((0, None),              EINVAL),
    "mode-3":                  ((3, None),              EINVAL),
    "mode-minus-one":          ((-1, None),             EINVAL),
    "mode-beyond-32-bits":     ((1 << 32 | 1, None),    EINVAL),
}
# fmt: on


@pytest.mark.requirement("seccomp.operations")
def test_wrong_operations(guest: Guest) -> None:
    """Undefined operations and modes are rejected and change nothing."""
    task = unprivileged(guest)
    task.be_quiet()
    found: dict[str, tuple[object, object]] = {
        name: (task.call("seccomp", *arguments), wanted) for name, (arguments, wanted) in OPERATIONS.items()
    }
    found |= {
        name: (task.call("prctl", Prctl.SET_SECCOMP, *arguments, 0, 0), wanted)
        for name, (arguments, wanted) in PRCTL.items()
    }
    assert mismatches(found) == []
    assert status(guest, task)["Seccomp"] == "0"


@pytest.mark.requirement("seccomp.modes")
def test_get_seccomp(guest: Guest) -> None:
    """PR_GET_SECCOMP returns 0 without a filter, and 2 with one that allows prctl()."""
    task = unprivileged(guest)
    assert task.call("prctl", Prctl.GET_SECCOMP) == returned(0)
    task.install(ALLOW_ALL).result()
    assert task.call("prctl", Prctl.GET_SECCOMP) == returned(2)


@pytest.mark.requirement("seccomp.immutable")
def test_a_filter_is_a_copy(guest: Guest) -> None:
    """The filter is the kernel's own copy: later changes to the caller's memory do not affect it."""
    task = unprivileged(guest)
    program = policy(deny("getppid", errno=EINVAL))
    address = task.store(pack(program))
    task.install_stored(address, len(program)).result()
    overwritten = task.store(pack(ALLOW_ALL * len(program)))
    assert task.copy(address, overwritten, 8 * len(program)) == OK
    assert task.call("getppid") == EINVAL


# By 32-bit calls, whose structures are smaller


def install_compat(task: Task, program: Program, *, x32: bool = False) -> Outcome:
    """seccomp(SET_MODE_FILTER) with i386's struct sock_fprog, by int 0x80 or as an x32 call."""
    task.be_quiet()
    fprog = struct.pack("<HxxI", len(program), task.store(pack(program)))
    call = task.call_x32 if x32 else task.call32
    return call("seccomp", SET_MODE_FILTER, 0, fprog)


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.compat")
def test_installed_by_int80(guest: Guest) -> None:
    """A 32-bit call installs a filter for all calls, and gets the same errors."""
    task = unprivileged(guest)
    found: dict[str, tuple[object, object]] = {
        "no program": (install_compat(task, ()), EINVAL),
        "no return": (install_compat(task, NO_RETURN), EINVAL),
        "unreadable": (task.call32("seccomp", SET_MODE_FILTER, 0, NOWHERE), EFAULT),
        "installed": (install_compat(task, policy(deny("getppid", errno=EINVAL))), OK),
        "judged": (task.call("getppid"), EINVAL),
        "the whole of it": (task.call("getuid"), returned(1000)),
        "by prctl": (
            task.call32(
                "prctl",
                Prctl.SET_SECCOMP,
                MODE_FILTER,
                struct.pack("<HxxI", 1, task.store(pack((ret(Action.ERRNO, 3),)))),
                0,
                0,
            ),
            OK,
        ),
        "judged by both": (task.call("getuid"), ESRCH),
    }
    assert mismatches(found) == []


@pytest.mark.needs("X86_X32_ABI")
@pytest.mark.boot("syscall.x32=y")
@pytest.mark.requirement("seccomp.compat")
def test_installed_as_x32(guest: Guest) -> None:
    """An x32 call installs a filter for all calls, too, with the same smaller structure."""
    task = unprivileged(guest)
    assert install_compat(task, policy(deny("getppid", errno=EINVAL)), x32=True) == OK
    assert task.call("getppid") == EINVAL
    assert task.call_x32("getuid") == returned(1000)
