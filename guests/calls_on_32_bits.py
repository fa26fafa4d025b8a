# SPDX-License-Identifier: GPL-2.0-or-later
"""What 32-bit ABIs call differently: their first calls had 16-bit ids, 32-bit times, and files of up to 2 GiB."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_IDS = (
    *("getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setgroups"),
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid"),
    *("chown", "fchown", "lchown"),
)
_TIMES = ("clock_gettime", "clock_settime", "timer_gettime", "timer_settime", "timerfd_gettime", "timerfd_settime")
_WAITS = ("clock_nanosleep", "futex", "ppoll", "pselect6", "recvmmsg", "rt_sigtimedwait", "semtimedop")
NAMES_ON_32_BITS: Mapping[str, str] = MappingProxyType(
    {
        **{name: f"{name}32" for name in _IDS},
        **{name: f"{name}64" for name in _TIMES},
        **{name: f"{name}_time64" for name in (*_WAITS, "utimensat")},
        "getrlimit": "ugetrlimit",
        "mmap": "mmap2",
        "fstat": "fstat64",
        "newfstatat": "fstatat64",
    }
)
"""The calls that do what those of 64-bit ABIs do, by the names of these."""
OFFSETS: Mapping[str, int] = MappingProxyType({"pread64": 3, "pwrite64": 3})
"""Calls with an argument of 64 bits: its place."""
