# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's names for the numbers that calls are made with.

Each name that a reproducer uses is also defined in it, unless its libc has it, so no header has to be new enough.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Mapping, Sequence

from guests import uapi
from guests.reproducer.orders import Name
from guests.syscalls import seccomp
from guests.uapi import Clone, KexecFile, Prctl, Ptrace, PtraceOption, Signal


def _prefixed(prefix: str, kind: type[enum.IntEnum] | type[enum.IntFlag]) -> dict[int, str]:
    return {int(member): prefix + str(member.name) for member in kind if int(member)}


def _of_uapi(*names: str) -> dict[int, str]:
    return {int(getattr(uapi, name)): name for name in names}


_SIGNALS = _prefixed("SIG", Signal)
_PTRACE = {0: "PTRACE_TRACEME", **_prefixed("PTRACE_", Ptrace)}
_PTRACE_OPTIONS = _prefixed("PTRACE_O_", PtraceOption)
_PRCTL = _prefixed("PR_", Prctl)
_CLONE = {value: f"CLONE_{name.removeprefix('CLONE_')}" for value, name in _prefixed("", Clone).items()}
_OPEN = _of_uapi("O_WRONLY", "O_RDWR", "O_CREAT", "O_EXCL", "O_TRUNC", "O_APPEND", "O_NONBLOCK", "O_DIRECTORY")
_OPEN |= _of_uapi("O_CLOEXEC", "O_PATH")
_MOUNT = _of_uapi("MS_RDONLY", "MS_REMOUNT", "MS_BIND", "MS_REC", "MS_PRIVATE")
_AT = {(1 << 64) - 100: "AT_FDCWD"}
_WAIT = {1: "WNOHANG", 0x40000000: "__WALL"}
_FILTER_FLAGS = {value: f"SECCOMP_FILTER_FLAG_{name}" for value, name in _prefixed("", seccomp.FilterFlag).items()}
_SECCOMP = {
    0: "SECCOMP_SET_MODE_STRICT",
    1: "SECCOMP_SET_MODE_FILTER",
    2: "SECCOMP_GET_ACTION_AVAIL",
    3: "SECCOMP_GET_NOTIF_SIZES",
}
_IOCTLS = {
    seccomp.NOTIF_RECV: "SECCOMP_IOCTL_NOTIF_RECV",
    seccomp.NOTIF_SEND: "SECCOMP_IOCTL_NOTIF_SEND",
    seccomp.NOTIF_ID_VALID: "SECCOMP_IOCTL_NOTIF_ID_VALID",
    seccomp.NOTIF_ADDFD: "SECCOMP_IOCTL_NOTIF_ADDFD",
    seccomp.NOTIF_SET_FLAGS: "SECCOMP_IOCTL_NOTIF_SET_FLAGS",
    uapi.BLKROSET: "BLKROSET",
    uapi.LOOP_SET_FD: "LOOP_SET_FD",
    uapi.LOOP_CTL_GET_FREE: "LOOP_CTL_GET_FREE",
    uapi.LOADPIN_SET_TRUSTED_DIGESTS: "LOADPIN_IOC_SET_TRUSTED_VERITY_DIGESTS",
}
_KEXEC = _prefixed("KEXEC_FILE_", KexecFile)
_SECCOMP_MODES = {1: "SECCOMP_MODE_STRICT", 2: "SECCOMP_MODE_FILTER"}
_MAP = _of_uapi("MAP_SHARED", "MAP_PRIVATE", "MAP_ANONYMOUS")
_PROT = _of_uapi("PROT_READ", "PROT_WRITE")
_RLIMIT = _of_uapi("RLIMIT_CORE", "RLIMIT_NPROC", "RLIMIT_NOFILE")

ONE, FLAGS = "one", "flags"

Kind = tuple[str, Mapping[int, str]]
"""Whether an argument is one of the names, or a union of some; and the names."""

ARGUMENTS: Mapping[str, Sequence[Kind | None]] = {
    "ptrace": [(ONE, _PTRACE)],
    "prctl": [(ONE, _PRCTL)],
    "openat": [(ONE, _AT), None, (FLAGS, _OPEN), None],
    "open": [None, (FLAGS, _OPEN), None],
    "faccessat": [(ONE, _AT), None, None],
    "readlinkat": [(ONE, _AT), None, None, None],
    "statx": [(ONE, _AT), None, None, None, None],
    "wait4": [None, None, (FLAGS, _WAIT), None],
    "kill": [None, (ONE, _SIGNALS)],
    "tgkill": [None, None, (ONE, _SIGNALS)],
    "tkill": [None, (ONE, _SIGNALS)],
    "rt_sigaction": [(ONE, _SIGNALS)],
    "seccomp": [(ONE, _SECCOMP), (FLAGS, _FILTER_FLAGS)],
    "unshare": [(FLAGS, _CLONE)],
    "clone": [(FLAGS, _CLONE)],
    "mount": [None, None, None, (FLAGS, _MOUNT), None],
    "umount2": [None, (FLAGS, {2: "MNT_DETACH"})],
    "ioctl": [None, (ONE, _IOCTLS)],
    "kexec_file_load": [None, None, None, None, (FLAGS, _KEXEC)],
    "mmap": [None, None, (FLAGS, _PROT), (FLAGS, _MAP)],
    "setrlimit": [(ONE, _RLIMIT)],
    "prlimit64": [None, (ONE, _RLIMIT)],
}
_MODES = {("openat", 3), ("open", 2), ("mkdir", 1), ("mkdirat", 2), ("chmod", 1), ("fchmod", 1)}
"""Arguments that are permissions, and are written in octal."""
_COUNTS = {"prctl": 5, "wait4": 4, "ptrace": 4, "exit": 1, "exit_group": 1, "close": 1, "kill": 2}
"""The number of arguments, where trailing zeros are shown."""


class Constants:
    """The names that a program uses, with their values."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}

    def use(self, name: str, value: int) -> str:
        """The name, which the program must have."""
        self.used[name] = value
        return name

    def argument(self, call: str, place: int, value: int, before: Sequence[int | Name]) -> str:
        """A number of a call in C; `before` are the arguments before it."""
        kinds = ARGUMENTS.get(call, ())
        kind = kinds[place] if place < len(kinds) else None
        first = before[0] if before else None
        if (call, place) in _MODES:
            return f"0{value:o}"
        if call == "prctl" and place == 1:
            kind = {Prctl.SET_PDEATHSIG: (ONE, _SIGNALS), Prctl.SET_SECCOMP: (ONE, _SECCOMP_MODES)}.get(first)  # type: ignore[call-overload]
            if first == Prctl.SET_PTRACER and value == uapi.PTRACER_ANY:
                return self.use("PR_SET_PTRACER_ANY", value)
        if call == "ptrace" and place == 3 and first in (Ptrace.SEIZE, Ptrace.SETOPTIONS):
            kind = (FLAGS, _PTRACE_OPTIONS)
        if call == "ptrace" and place == 3 and first in (Ptrace.CONT, Ptrace.SYSCALL, Ptrace.DETACH):
            kind = (ONE, _SIGNALS)
        if kind is not None:
            if kind[0] == ONE and value in kind[1]:
                return self.use(kind[1][value], value)
            if kind[0] == FLAGS and value:
                return self.flags(value, kind[1])
        return plain(value)

    def flags(self, value: int, names: Mapping[int, str]) -> str:
        parts = []
        for bit, name in sorted(names.items()):
            if bit and value & bit == bit:
                parts.append(self.use(name, bit))
                value &= ~bit
        if value or not parts:
            parts.append(plain(value))
        return " | ".join(parts)

    def clone_flags(self, value: int) -> str:
        return self.flags(value, _CLONE)

    def capabilities(self, value: int) -> str:
        """A set of capabilities as a mask."""
        if value == int(uapi.Cap.ALL):
            return "(1UL << 41) - 1"
        parts = []
        for member in uapi.Cap:
            if member not in (uapi.Cap.NONE, uapi.Cap.ALL) and value & member:
                bit = int(member).bit_length() - 1
                parts.append(f"1UL << {self.use(f'CAP_{member.name}', bit)}")
                value &= ~int(member)
        if value:
            parts.append(hex(value))
        return " | ".join(parts) or "0"

    def open_flags(self, value: int) -> str:
        return self.flags(value, _OPEN) if value else "0"

    def error(self, number: int) -> str:
        name = errno.errorcode.get(number)
        return self.use(name, number) if name else str(number)

    def signal(self, number: int) -> str:
        name = _SIGNALS.get(number)
        return self.use(name, number) if name else str(number)

    def system_call(self, name: str, number: int) -> None:
        self.use(f"SYS_{name}", number)

    def definitions(self) -> list[str]:
        lines = []
        for name, value in sorted(self.used.items()):
            lines += [f"#ifndef {name}", f"#define {name} {plain(value)}", "#endif"]
        return lines


def plain(value: int) -> str:
    """A 64-bit number in C."""
    if value >= 1 << 63:
        value -= 1 << 64
    if value == -(1 << 63):
        return "LONG_MIN"
    if -4096 < value < 65536:
        return str(value)
    return f"{value:#x}L" if value >= 0 else f"-{-value:#x}L"


def shown_arguments(call: str, numbers: Sequence[int | Name]) -> Sequence[int | Name]:
    """The arguments without trailing zeros that the call does not take."""
    count = _COUNTS.get(call, 0)
    last = max((place + 1 for place, value in enumerate(numbers) if value), default=0)
    return numbers[: max(count, last)]
