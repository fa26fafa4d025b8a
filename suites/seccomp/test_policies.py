# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole policies as users write them, for real programs: minijail's policy files and libseccomp's allow-lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest

from guests.bpf import AUDIT_ARCH, Action, Filter
from guests.errors import require
from guests.guest import Guest
from guests.outcome import EPERM, exited, killed, mismatches, returned
from guests.uapi import Signal, number
from suites.seccomp.support.bpf_interpreter import SeccompData, run_filters
from suites.seccomp.support.filtered_tasks import unprivileged
from suites.seccomp.support.jailed_program import JailedProgram
from suites.seccomp.support.libseccomp import allow_list
from suites.seccomp.support.minijail_policy import parse_policy
from suites.seccomp.support.traced_program import trace
from suites.seccomp.test_talk import DIRECTORY, LISTING, MOTD, TEXT, calls_except_ioctl, with_programs

pytestmark = [
    pytest.mark.needs("SECCOMP_FILTER", "CROSS_MEMORY_ATTACH"),
    pytest.mark.requirement("seccomp.policies"),
]

IOCTL = "ioctl: arg0 == 1\n"


def minijail(calls: Iterable[str], arch: str) -> Filter:
    """cat.policy as in the talk: one line for each call."""
    return parse_policy("# cat.policy\n" + "".join(f"{name}: 1\n" for name in calls), arch=arch)


def meaning(guest: Guest, filter_: Filter, call: str, arguments: tuple[int, ...] = ()) -> tuple[Action, int]:
    """What a policy says of a native call, according to the reference interpreter."""
    data = SeccompData(number(call, guest.arch), AUDIT_ARCH[guest.arch], args=(*arguments, *[0] * 6)[:6])
    return run_filters([filter_], data, guest.arch)


def forbids(guest: Guest, filter_: Filter, call: str) -> Filter:
    """The policy, which kills for this call, says the reference interpreter: otherwise its compiler is wrong."""
    require(meaning(guest, filter_, call)[0] is Action.KILL_PROCESS, f"the compiled policy does not forbid {call}")
    return filter_


COMPILERS: dict[str, Callable[[Iterable[str], str], Filter]] = {"minijail": minijail, "libseccomp": allow_list}


@with_programs
@pytest.mark.parametrize("compiler", COMPILERS)
def test_cat(guest: Guest, compiler: str) -> None:
    """cat works under a policy of its own calls, from a minijail file or compiled by libseccomp."""
    guest.upload(MOTD, TEXT.encode())
    calls = trace(guest, "cat", MOTD).names
    cat = JailedProgram(guest, "cat", MOTD, policy=COMPILERS[compiler](calls, guest.arch))
    assert cat.finish() == exited(0)
    assert cat.output() == TEXT


@with_programs
@pytest.mark.parametrize("compiler", COMPILERS)
def test_ls_under_the_policy_of_cat(guest: Guest, compiler: str) -> None:
    """ls dies under the policy of cat's calls, however it was compiled."""
    guest.upload(MOTD, TEXT.encode())
    calls = trace(guest, "cat", MOTD).names
    first = trace(guest, "ls", DIRECTORY).first_outside(calls)
    forbidding = forbids(guest, COMPILERS[compiler](calls, guest.arch), first)
    jailed = JailedProgram(guest, "ls", DIRECTORY, policy=forbidding)
    assert jailed.run() == killed(Signal.SYS)


@with_programs
def test_ls_with_the_line_for_ioctl(guest: Guest) -> None:
    """With the talk's last line, ls runs; without it, ls dies."""
    guest.upload(MOTD, TEXT.encode())
    text = f"{{{', '.join(calls_except_ioctl(guest))}}}: allow\n"
    allowed = JailedProgram(guest, "ls", DIRECTORY, policy=parse_policy(text + IOCTL, arch=guest.arch))
    assert allowed.finish() == exited(0)
    assert allowed.output() == LISTING
    without = forbids(guest, parse_policy(text, arch=guest.arch), "ioctl")
    assert JailedProgram(guest, "ls", DIRECTORY, policy=without).run() == killed(Signal.SYS)


# fmt: off
COMPARISONS: dict[str, tuple[str, list[int], list[int]]] = {
    # comparison             holds for                                           does not hold for
    "equal":               ("== 0x100000002",  [0x100000002],                      [2, 0x100000000, 0x200000002, 3]),
    "unequal":             ("!= 0x100000002",  [2, 0x100000000, 0x200000002],      [0x100000002]),
    "less":                ("< 0x100000002",   [0, 0x100000001, 0xFFFFFFFF],       [0x100000002, 0x200000000, -1]),
    "at-most":             ("<= 0x100000002",  [0, 0x100000002, 0xFFFFFFFF],       [0x100000003, 0x200000000, -1]),
    "greater":             ("> 0x100000002",   [0x100000003, 0x200000000, -1],     [0, 0x100000002, 0xFFFFFFFF]),
    "at-least":            (">= 0x100000002",  [0x100000002, 0x200000000, -1],     [0, 0x100000001, 0xFFFFFFFF]),
    "any-bit":             ("& 0x100000002",   [2, 0x100000000, 7, -1],            [0, 1, 0x200000000]),
    "no-other-bit":        ("in 0x100000002",  [0, 2, 0x100000000, 0x100000002],   [1, 3, 0x200000000, -1]),
}
# fmt: on


def check_getppid(
    guest: Guest, text: str, allowed: Sequence[tuple[int, ...]], denied: Sequence[tuple[int, ...]]
) -> None:
    """Under the policy of this text, getppid runs with some arguments, and fails with EPERM with others.

    First the reference interpreter has to find the same, so that no mistake of the parser is taken for the kernel's.
    """
    program = parse_policy(text, arch=guest.arch)
    task = unprivileged(guest)
    task.install(program).result()
    found: dict[str, tuple[object, object]] = {}
    for rows, action, wanted in ((allowed, Action.ALLOW, returned(guest.init.tid)), (denied, Action.ERRNO, EPERM)):
        for arguments in rows:
            meant = meaning(guest, program, "getppid", arguments)[0]
            require(meant is action, f"the policy is not {action.name}: {arguments}")
            found[str(arguments)] = (task.call("getppid", *arguments), wanted)
    assert mismatches(found) == []


@pytest.mark.needs("64BIT")
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_comparisons(guest: Guest, comparison: str) -> None:
    """A policy compares whole 64-bit arguments, as unsigned numbers."""
    text, holds, fails = COMPARISONS[comparison]
    policy = f"getppid: arg2 {text}; return EPERM\n@default log\n"
    check_getppid(guest, policy, [(0, 0, value) for value in holds], [(0, 0, value) for value in fails])


def test_terms(guest: Guest) -> None:
    """All terms joined by && must hold, and at least one of the groups joined by ||."""
    text = "getppid: arg0 == 1 && arg1 == 2 || arg0 == 3 \\\n  || arg1 >= 9; return EPERM\n@default log\n"
    check_getppid(guest, text, [(1, 2), (3, 3), (0, 9)], [(1, 3), (2, 2), (0, 8)])
