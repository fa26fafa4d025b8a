# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that return 0 if they succeed."""

from __future__ import annotations

import pytest

from guests.call_arguments import Argument, Out
from guests.syscalls import seccomp
from guests.syscalls.return_values import returns_zero
from guests.syscalls.seccomp import FilterFlag
from guests.uapi import Prctl, Ptrace

# fmt: off
CALLS: list[tuple[tuple[str | int, *tuple[Argument, ...]], bool]] = [
    (("kill", 1, 9),                                                           True),
    (("getppid",),                                                             False),
    ((39,),                                                                    False),
    (("ptrace", Ptrace.SEIZE, 1, 0, 0),                                        True),
    (("ptrace", Ptrace.PEEKDATA, 1, 0, Out(8)),                                True),
    (("ptrace", Ptrace.GET_SYSCALL_INFO, 1, 88, Out(88)),                      False),
    (("prctl", Prctl.SET_PTRACER, 1, 0, 0, 0),                                 True),
    (("prctl", Prctl.GET_DUMPABLE, 0, 0, 0, 0),                                False),
    (("seccomp", seccomp.GET_ACTION_AVAIL, 0, b"\0" * 4),                      True),
    (("seccomp", seccomp.SET_MODE_FILTER, FilterFlag.NONE, b""),               True),
    (("seccomp", seccomp.SET_MODE_FILTER, FilterFlag.TSYNC, b""),              True),
    (("seccomp", seccomp.SET_MODE_FILTER, FilterFlag.NEW_LISTENER, b""),       False),
    (("ioctl", 3, seccomp.NOTIF_SEND, b""),                                    True),
    (("ioctl", 3, seccomp.NOTIF_ADDFD, b""),                                   False),
]
# fmt: on


@pytest.mark.parametrize(("call", "zero"), CALLS, ids=[str(call) for call, _ in CALLS])
def test_calls(call: tuple[str | int, *tuple[Argument, ...]], zero: bool) -> None:
    """That depends on the operation, and on flags; of a number instead of a name, nothing is known."""
    name, *arguments = call
    assert returns_zero(name, arguments) == zero
