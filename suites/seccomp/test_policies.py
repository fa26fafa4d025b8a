# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole policies as users write them: minijail's files, and libseccomp's allow-lists, around real programs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guests.bpf import Program
from guests.guest import Guest
from guests.outcome import EPERM, OK, exited, killed, returned
from guests.uapi import Signal
from suites.seccomp.support.jail import Jail
from suites.seccomp.support.libseccomp import allow_list
from suites.seccomp.support.minijail_policy import read_policy
from suites.seccomp.support.roles import mismatches, unprivileged
from suites.seccomp.test_talk import CAT_CALLS, MOTD, TEXT, programs

pytestmark = [pytest.mark.needs("SECCOMP_FILTER"), pytest.mark.requirement("seccomp.policies")]

CAT_POLICY = """
# cat.policy, as the talk has it
openat: 1
newfstatat: 1
fadvise64: 1
mmap: 1
read: 1
write: 1
munmap: 1
close: 1
exit_group: 1
"""
LS_POLICY = CAT_POLICY + "{statx, getdents64, getxattr, lgetxattr, fcntl}: allow\n"
IOCTL = "ioctl: arg0 == 1\n"

MAKERS: dict[str, Callable[[], Program]] = {
    "minijail": lambda: read_policy(CAT_POLICY),
    "libseccomp": lambda: allow_list(CAT_CALLS),
}


@programs
@pytest.mark.parametrize("made_by", MAKERS)
def test_cat(guest: Guest, made_by: str) -> None:
    """The talk's nine calls, read from its file and compiled by libseccomp: cat does its work."""
    guest.upload(MOTD, TEXT.encode())
    cat = Jail(guest, "cat", MOTD, policy=MAKERS[made_by]())
    assert cat.run() == exited(0)
    assert cat.output() == TEXT


@programs
@pytest.mark.parametrize("made_by", MAKERS)
def test_ls_under_the_policy_of_cat(guest: Guest, made_by: str) -> None:
    """ls does not get far with either."""
    assert Jail(guest, "ls", "/proc/sys/net", policy=MAKERS[made_by]()).run() == killed(Signal.SYS)


@programs
def test_ls_with_the_line_for_ioctl(guest: Guest) -> None:
    """The talk's last line makes it work: with it ls runs, without it dies."""
    allowed = Jail(guest, "ls", "/proc/sys/net", policy=read_policy(LS_POLICY + IOCTL))
    assert allowed.run() == exited(0)
    assert "unix" in allowed.output().split()
    assert Jail(guest, "ls", "/proc/sys/net", policy=read_policy(LS_POLICY)).run() == killed(Signal.SYS)


# fmt: off
COMPARISONS: dict[str, tuple[str, list[int], list[int]]] = {
    # comparison             holds for                               does not
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
    """A policy's comparisons are of whole 64-bit arguments, unsigned."""
    text, holds, fails = COMPARISONS[comparison]
    task = unprivileged(guest)
    task.install(read_policy(f"getppid: arg2 {text}; return EPERM\n@default log\n")).result()
    found: dict[str, tuple[object, object]] = {
        f"{value:#x}": (task.call("getppid", 0, 0, value), wanted)
        for values, wanted in ((holds, returned(1)), (fails, EPERM))
        for value in values
    }
    assert mismatches(found) == []


def test_terms(guest: Guest) -> None:
    """Terms joined by && must all hold, of groups joined by || one."""
    task = unprivileged(guest)
    text = "getppid: arg0 == 1 && arg1 == 2 || arg0 == 3 \\\n  || arg1 >= 9; return EPERM\n@default log\n"
    task.install(read_policy(text)).result()
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
