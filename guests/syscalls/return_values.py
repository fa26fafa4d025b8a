# SPDX-License-Identifier: GPL-2.0-or-later
"""Which calls return 0 if they succeed, by their manual pages: any other value of these is no success."""

from __future__ import annotations

from collections.abc import Sequence

from guests.call_arguments import Argument
from guests.syscalls.seccomp import (
    GET_ACTION_AVAIL,
    GET_NOTIF_SIZES,
    NOTIF_ID_VALID,
    NOTIF_ID_VALID_OLD,
    NOTIF_RECV,
    NOTIF_SEND,
    NOTIF_SET_FLAGS,
    SET_MODE_FILTER,
    SET_MODE_STRICT,
    FilterFlag,
)
from guests.uapi import Prctl, Ptrace

_ALWAYS = frozenset(
    {
        *("execve", "execveat", "setns", "unshare", "get_robust_list", "set_robust_list"),
        *("kill", "tkill", "tgkill", "pidfd_send_signal", "rt_sigprocmask"),
        *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load"),
        *("mount", "umount2", "close", "setresuid", "setresgid", "setgroups", "capset"),
    }
)
_REQUESTS = frozenset(Ptrace) - {
    Ptrace.PEEKSIGINFO,
    Ptrace.SECCOMP_GET_FILTER,
    Ptrace.SECCOMP_GET_METADATA,
    Ptrace.GET_SYSCALL_INFO,
}
"""Of ptrace(): the others return a number of bytes or of things that were read."""
_OPERATIONS = frozenset({SET_MODE_STRICT, GET_ACTION_AVAIL, GET_NOTIF_SIZES})
_ON_A_LISTENER = frozenset({NOTIF_RECV, NOTIF_SEND, NOTIF_ID_VALID, NOTIF_ID_VALID_OLD, NOTIF_SET_FLAGS})
_SETTINGS = frozenset(one for one in Prctl if one.name.startswith("SET_"))


def returns_zero(name: str | int, arguments: Sequence[Argument]) -> bool:
    """Whether a call with these arguments returns 0 if it succeeds.  False if that depends on more, or is unknown."""
    first, second = (*arguments, None, None)[:2]
    if name == "seccomp" and first == SET_MODE_FILTER:
        # It returns a listener if it is asked for one; the number of a divergent thread is an error.
        return isinstance(second, int) and not second & FilterFlag.NEW_LISTENER
    chosen = {"seccomp": _OPERATIONS, "prctl": _SETTINGS, "ptrace": _REQUESTS}.get(str(name), frozenset())
    return name in _ALWAYS or first in chosen or (name == "ioctl" and second in _ON_A_LISTENER)
