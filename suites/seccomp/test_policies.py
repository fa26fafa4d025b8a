# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole policies as users write them, for real programs: minijail's policy files and libseccomp's allow-lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from guests.bpf import Program
from guests.guest import Guest
from guests.outcome import EPERM, OK, exited, killed, returned
from guests.uapi import Signal
from suites.seccomp.support.filtered_tasks import mismatches, unprivileged
from suites.seccomp.support.jailed_program import JailedProgram
from suites.seccomp.support.libseccomp import allow_list
from suites.seccomp.support.minijail_policy import parse_policy
from suites.seccomp.support.traced_program import trace
from suites.seccomp.test_talk import DIRECTORY, LISTING, MOTD, TEXT, calls_except_ioctl, with_programs

pytestmark = [pytest.mark.needs("SECCOMP_FILTER"), pytest.mark.requirement("seccomp.policies")]

IOCTL = "ioctl: arg0 == 1\n"


def minijail(calls: Iterable[str]) -> Program:
    """cat.policy as in the talk: one line for each call."""
    return parse_policy("# cat.policy\n" + "".join(f"{name}: 1\n" for name in calls))


COMPILERS: dict[str, Callable[[Iterable[str]], Program]] = {"minijail": minijail, "libseccomp": allow_list}


@with_programs
@pytest.mark.parametrize("compiler", COMPILERS)
def test_cat(guest: Guest, compiler: str) -> None:
    """cat works under a policy of its own calls, from a minijail file or compiled by libseccomp."""
    guest.upload(MOTD, TEXT.encode())
    calls = trace(guest, "cat", MOTD).names
    cat = JailedProgram(guest, "cat", MOTD, policy=COMPILERS[compiler](calls))
    assert cat.finish() == exited(0)
    assert cat.output() == TEXT


@with_programs
@pytest.mark.parametrize("compiler", COMPILERS)
def test_ls_under_the_policy_of_cat(guest: Guest, compiler: str) -> None:
    """ls dies under the policy of cat's calls, however it was compiled."""
    guest.upload(MOTD, TEXT.encode())
    calls = trace(guest, "cat", MOTD).names
    trace(guest, "ls", DIRECTORY).first_outside(calls)
    assert JailedProgram(guest, "ls", DIRECTORY, policy=COMPILERS[compiler](calls)).run() == killed(Signal.SYS)


@with_programs
def test_ls_with_the_line_for_ioctl(guest: Guest) -> None:
    """With the talk's last line, ls runs; without it, ls dies."""
    guest.upload(MOTD, TEXT.encode())
    text = f"{{{', '.join(calls_except_ioctl(guest))}}}: allow\n"
    allowed = JailedProgram(guest, "ls", DIRECTORY, policy=parse_policy(text + IOCTL))
    assert allowed.finish() == exited(0)
    assert allowed.output() == LISTING
    assert JailedProgram(guest, "ls", DIRECTORY, policy=parse_policy(text)).run() == killed(Signal.SYS)


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


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_comparisons(guest: Guest, comparison: str) -> None:
    """A policy compares whole 64-bit arguments, as unsigned numbers."""
    text, holds, fails = COMPARISONS[comparison]
    task = unprivileged(guest)
    task.install(parse_policy(f"getppid: arg2 {text}; return EPERM\n@default log\n")).result()
    found: dict[str, tuple[object, object]] = {
        f"{value:#x}": (task.call("getppid", 0, 0, value), wanted)
        for values, wanted in ((holds, returned(1)), (fails, EPERM))
        for value in values
    }
    assert mismatches(found) == []


def test_terms(guest: Guest) -> None:
    """All terms joined by && must hold, and at least one of the groups joined by ||."""
    task = unprivileged(guest)
    text = "getppid: arg0 == 1 && arg1 == 2 || arg0 == 3 \\\n  || arg1 >= 9; return EPERM\n@default log\n"
    task.install(parse_policy(text)).result()
    found: dict[str, tuple[object, object]] = {
        str(arguments): (task.call("getppid", *arguments), wanted)
        for arguments, wanted in (
            ((1, 2), OK),
            ((1, 3), EPERM),
            ((2, 2), EPERM),
            ((3, 3), OK),
            ((0, 9), OK),
            ((0, 8), EPERM),
        )
    }
    assert mismatches(found) == []
