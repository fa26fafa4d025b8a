# SPDX-License-Identifier: GPL-2.0-or-later
"""What a filter sees of a call: every word of struct seccomp_data, for every way to make a call."""

from __future__ import annotations

import errno

import pytest

from guests import bpf
from guests.abis import BY_NAME
from guests.bpf import AUDIT_ARCH, Action, Instruction, Program, deny, load, policy, ret
from guests.call_arguments import Argument
from guests.guest import Guest
from guests.outcome import EINVAL, ENOSYS, OK, killed, mismatches, returned
from guests.promises import breaks
from guests.protocol.wire import Entry
from guests.task import Task
from guests.uapi import NR_X32, Signal, number
from suites.seccomp.support.filtered_tasks import ENTRIES, no_call, unprivileged

pytestmark = pytest.mark.needs("SECCOMP_FILTER")

FIRST_REPORT = 0x1000
"""Calls from this number on do not exist; for FIRST_REPORT + n, the filter's signal holds the n-th half word."""
HALVES = 32

VALUES = tuple(0x1122334455667788 + 0x0101010101010101 * i for i in range(6))
HIGH = tuple(0xFFFFFFFF00000000 | i for i in range(6))


def reporting_filter() -> Program:
    """TRAP with 16 bits of struct seccomp_data as its data; the call's number says which 16."""
    program = []
    for half in range(HALVES):
        word = [load(half // 2 * 4), Instruction(bpf.RSH, 16 * (half % 2)), Instruction(bpf.AND, 0xFFFF)]
        returning = [Instruction(bpf.OR, Action.TRAP), Instruction(bpf.RET_A)]
        program += [load(bpf.NR), Instruction(bpf.AND, 0xFFFF), Instruction(bpf.JEQ, FIRST_REPORT + half, 0, 5)]
        program += word + returning
    return (*program, ret(Action.ALLOW))


def seen(task: Task, extra: int, arguments: tuple[int, ...], entry: Entry = Entry.NATIVE) -> dict[str, int]:
    """What the filter sees of a call with these arguments, whose number has `extra` bits set."""
    halves = []
    address = 0
    for half in range(HALVES):
        nr = extra | FIRST_REPORT + half
        task.call(nr, *arguments, entry=entry)
        reported = task.caught_signals()
        if not reported or reported[-1].syscall != nr:
            return {"calls that raised their signal": half}
        halves.append(reported[-1].errno)
        address = reported[-1].call_address
    words = [halves[i] | halves[i + 1] << 16 for i in range(0, HALVES, 2)]
    fields_at = [bpf.INSTRUCTION_POINTER, *(bpf.ARGS + 8 * i for i in range(6))]
    places = [bpf.halves(at, task.abi.name) for at in fields_at]
    wide = [words[high // 4] << 32 | words[low // 4] for high, low in places]
    # Each call had another number; its lower half word comes from the first call.
    fields = {"nr": words[0], "arch": words[1], "instruction_pointer - si_call_addr": wide[0] - address}
    return {**fields, **{f"args[{i}]": value for i, value in enumerate(wide[1:])}}


def wanted(nr: int, arch: str, arguments: tuple[int, ...]) -> dict[str, int]:
    fields = {"nr": nr, "arch": AUDIT_ARCH[arch], "instruction_pointer - si_call_addr": 0}
    return {**fields, **{f"args[{i}]": value for i, value in enumerate(BY_NAME[arch].passed(arguments))}}


def low(values: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(value & 0xFFFFFFFF for value in values)


def task_with_reporting_filter(guest: Guest) -> Task:
    task = unprivileged(guest)
    task.catch(Signal.SYS).result()
    task.install(reporting_filter()).result()
    return task


@pytest.mark.requirement("seccomp.data", "seccomp.data-native")
@pytest.mark.parametrize("values", [VALUES, HIGH, (0,) * 6], ids=["all-bytes-differ", "high-halves", "zeros"])
def test_native(guest: Guest, values: tuple[int, ...]) -> None:
    """For a native call, a filter sees number, architecture, address and both halves of each argument."""
    assert seen(task_with_reporting_filter(guest), 0, values) == wanted(FIRST_REPORT, guest.arch, values)


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.data", "seccomp.data-int80")
def test_int80(guest: Guest) -> None:
    """For an int 0x80 call, a filter sees i386's architecture and 32-bit arguments, as from a 32-bit process."""
    assert seen(task_with_reporting_filter(guest), 0, low(VALUES), Entry.INT80) == wanted(
        FIRST_REPORT, "i386", low(VALUES)
    )


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.data-int80-upper-halves")
def test_int80_with_upper_halves(guest: Guest) -> None:
    """A 64-bit process can set upper halves, which a filter may see; both see the lower halves that the call uses."""
    found = seen(task_with_reporting_filter(guest), 0, VALUES, Entry.INT80)
    lower = {name: value & 0xFFFFFFFF for name, value in found.items()}
    assert lower == wanted(FIRST_REPORT, "i386", low(VALUES))

    task = unprivileged(guest)
    judge = (load(bpf.ARGS), Instruction(bpf.JEQ, 7, 0, 1), ret(Action.ERRNO, errno.EINVAL), ret(Action.ALLOW))
    umask = number("umask", "i386")
    task.install((load(bpf.NR), Instruction(bpf.JEQ, umask, 1, 0), ret(Action.ALLOW), *judge)).result()
    assert task.call(umask, 1 << 32 | 7, entry=Entry.INT80) == EINVAL
    assert task.call(umask, 1 << 32 | 5, entry=Entry.INT80) == OK
    assert task.call(umask, 0, entry=Entry.INT80) == returned(5)


@pytest.mark.needs("X86_64")
@pytest.mark.requirement("seccomp.data", "seccomp.data-x32")
def test_x32(guest: Guest) -> None:
    """For an x32 call, a filter sees the number's bit, x86-64 and whole arguments, even if the kernel lacks x32."""
    assert seen(task_with_reporting_filter(guest), NR_X32, VALUES) == wanted(NR_X32 | FIRST_REPORT, "x86_64", VALUES)


@pytest.mark.requirement("seccomp.data-upper-half")
def test_the_upper_half_of_the_number_is_ignored(guest: Guest) -> None:
    """Only the lower 32 bits of the register form the number, for the filter and for the kernel.

    Where the kernel takes all of them, there is no such call.
    """
    task = unprivileged(guest)
    unfiltered, filtered = task.abi.whole_number
    getppid, getuid = task.number("getppid") | 5 << 32, task.number("getuid") | 5 << 32
    assert task.call(getppid) == (ENOSYS if unfiltered else returned(guest.init.tid))
    task.install(policy(deny("getppid", errno=EINVAL))).result()
    assert task.call(getppid) == EINVAL
    assert task.call(getuid) == (ENOSYS if filtered else returned(1000))


# fmt: off
NO_CALLS = {
    "minus-one":         0xFFFFFFFF,
    "minus-two":         0xFFFFFFFE,
    "the-largest":       0x7FFFFFFF,
    "the-smallest":      0x80000000,
    "beyond-the-table":  0x00001000,
}
# fmt: on


@pytest.mark.requirement("seccomp.data-no-call")
@pytest.mark.parametrize("entry", ENTRIES)
def test_numbers_of_no_call(guest: Guest, entry: Entry) -> None:
    """Numbers that belong to no call, including -1, are filtered like any other; if allowed, they are ENOSYS.

    Or, on Arm, SIGILL.
    """
    found: dict[str, tuple[object, object]] = {}
    arch = {Entry.NATIVE: guest.arch, Entry.INT80: "i386"}[entry]
    for name, nr in NO_CALLS.items():
        task = unprivileged(guest)
        seen_as = task.abi.seen_number(nr) if entry is Entry.NATIVE else nr
        unfiltered = guest.spawn("unfiltered")
        found[f"{name}, unfiltered"] = (unfiltered.call(nr, entry=entry), no_call(task, nr))
        task.install(_deny_number(seen_as, arch)).result()
        found[f"{name}, filtered"] = (task.call(nr, entry=entry), EINVAL)
        found[f"{name}, another one"] = (task.call(nr ^ 0x4000, entry=entry), no_call(task, nr ^ 0x4000))
        # Without syscall work, kernels take a shorter way to the same result.
        allowing = unprivileged(guest)
        allowing.install((ret(Action.ALLOW),)).result()
        found[f"{name}, allowed"] = (allowing.call(nr, entry=entry), no_call(allowing, nr, filtered=True))
    assert mismatches(found) == []


def _deny_number(nr: int, arch: str) -> Program:
    return (
        *(load(bpf.ARCH), Instruction(bpf.JEQ, AUDIT_ARCH[arch], 1, 0), ret(Action.ALLOW)),
        *(load(bpf.NR), Instruction(bpf.JEQ, nr, 0, 1), ret(Action.ERRNO, errno.EINVAL)),
        ret(Action.ALLOW),
    )


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.data-int80")
def test_one_number_two_architectures(guest: Guest) -> None:
    """A filter that checks only the number also denies an int 0x80 call of that number, which is another call."""
    task = unprivileged(guest)
    nr = task.number("getppid")
    task.install(
        (load(bpf.NR), Instruction(bpf.JEQ, nr, 0, 1), ret(Action.ERRNO, errno.EINVAL), ret(Action.ALLOW))
    ).result()
    assert task.call(nr) == EINVAL
    assert task.call(nr, entry=Entry.INT80) == EINVAL
    assert task.call32("getppid") == returned(guest.init.tid)


@pytest.mark.needs("IA32_EMULATION")
@pytest.mark.requirement("seccomp.data-native", "seccomp.data-int80", "seccomp.data-x32")
def test_a_filter_for_one_architecture_leaves_the_others(guest: Guest) -> None:
    """A deny-list of native calls denies neither i386's nor x32's: hence the advice to check the architecture."""
    task = unprivileged(guest)
    task.install(policy(deny("getppid", errno=EINVAL))).result()
    with breaks("seccomp.data-native"):
        assert task.call("getppid") == EINVAL
    with breaks("seccomp.data-int80"):
        assert task.call32("getppid") == returned(guest.init.tid)
    with breaks("seccomp.data-x32"):
        has_x32 = guest.kernel.config.enabled("X86_X32_ABI")
        assert task.call_x32("getppid") == (returned(guest.init.tid) if has_x32 else ENOSYS)


@pytest.mark.needs("X86_64")
@pytest.mark.lacks("IA32_EMULATION")
@pytest.mark.requirement("seccomp.data-int80")
def test_no_int80_at_all(guest: Guest) -> None:
    """On a kernel without 32-bit calls, int 0x80 raises SIGSEGV, filter or not."""
    for filtered in (False, True):
        task = unprivileged(guest)
        if filtered:
            task.install(policy(deny("getppid", errno=EINVAL))).result()
        assert task.call32("getppid") == killed(Signal.SEGV)


def _arguments_at(index: int, value: int) -> tuple[Argument, ...]:
    return tuple(value if i == index else 0 for i in range(6))


@pytest.mark.needs("64BIT")
@pytest.mark.requirement("seccomp.arguments")
@pytest.mark.parametrize("index", range(6), ids=lambda index: f"argument-{index}")
def test_both_halves_of_an_argument_count(guest: Guest, index: int) -> None:
    """A 64-bit comparison detects a difference in either half, and only in the argument that it names."""
    task = unprivileged(guest)
    value = 0x0000000500000007
    task.install(policy(deny("getppid", errno=EINVAL, when=bpf.arg(index) == value))).result()
    found: dict[str, tuple[object, object]] = {
        "the value": (task.call("getppid", *_arguments_at(index, value)), EINVAL),
        "another low half": (task.call("getppid", *_arguments_at(index, value ^ 1)), OK),
        "another high half": (task.call("getppid", *_arguments_at(index, value ^ 1 << 32)), OK),
        "its low half alone": (task.call("getppid", *_arguments_at(index, value & 0xFFFFFFFF)), OK),
        "in another argument": (task.call("getppid", *_arguments_at((index + 1) % 6, value)), OK),
    }
    assert mismatches(found) == []
