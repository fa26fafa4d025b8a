# SPDX-License-Identifier: GPL-2.0-or-later
"""System call numbers by name, and the constants of <linux/...> that tests use, under their kernel names."""

from __future__ import annotations

import enum
from functools import cache

import system_calls

NR_X32 = 0x40000000
"""The bit that marks an x32 call in the number (__X32_SYSCALL_BIT)."""

_NAMES_IN_TABLE = {"aarch64": "arm64", "ppc64le": "powerpc64"}
"""What the table calls architectures, if that is not `uname -m`."""


@cache
def _table() -> system_calls.syscalls:
    return system_calls.syscalls()


@cache
def number(name: str, arch: str = "x86_64") -> int:
    """The number of a system call on an architecture: `x86_64`, `i386`, `x32`, `arm64`.

    KeyError if the architecture has no such call.
    """
    try:
        return int(_table().get(name, _NAMES_IN_TABLE.get(arch, arch)))
    except Exception as error:  # the library's exceptions have no other common base
        raise KeyError(f"{arch} has no system call {name!r}") from error


def has_number(name: str, arch: str) -> bool:
    """Whether an architecture has a system call of that name."""
    return name in names(arch).values()


@cache
def names(arch: str = "x86_64") -> dict[int, str]:
    """The names of all system calls of an architecture, by number."""
    found = {}
    for name in _table().names():
        try:
            found[number(name, arch)] = name
        except KeyError:
            continue
    return found


class Signal(enum.IntEnum):
    """Signals by their Linux numbers, whatever system Python runs on."""

    HUP = 1
    INT = 2
    ILL = 4
    TRAP = 5
    ABRT = 6
    KILL = 9
    USR1 = 10
    SEGV = 11
    USR2 = 12
    TERM = 15
    CHLD = 17
    CONT = 18
    STOP = 19
    TSTP = 20
    URG = 23
    SYS = 31


class Cap(enum.IntFlag):
    """Capabilities as bits of a set (include/uapi/linux/capability.h)."""

    NONE = 0
    DAC_OVERRIDE = 1 << 1
    KILL = 1 << 5
    SETGID = 1 << 6
    SETUID = 1 << 7
    SYS_MODULE = 1 << 16
    SYS_RAWIO = 1 << 17
    SYS_CHROOT = 1 << 18
    SYS_PTRACE = 1 << 19
    SYS_ADMIN = 1 << 21
    SYS_BOOT = 1 << 22
    SYS_NICE = 1 << 23
    SYS_RESOURCE = 1 << 24
    AUDIT_CONTROL = 1 << 30
    SYSLOG = 1 << 34
    ALL = (1 << 41) - 1


class Clone(enum.IntFlag):
    """Flags of clone() (include/uapi/linux/sched.h)."""

    NONE = 0
    VM = 0x100
    FS = 0x200
    FILES = 0x400
    SIGHAND = 0x800
    PTRACE = 0x2000
    VFORK = 0x4000
    PARENT = 0x8000
    THREAD = 0x10000
    NEWNS = 0x20000
    SYSVSEM = 0x40000
    UNTRACED = 0x800000
    NEWUTS = 0x4000000
    NEWIPC = 0x8000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000


THREAD_FLAGS = Clone.VM | Clone.FS | Clone.FILES | Clone.SIGHAND | Clone.THREAD | Clone.SYSVSEM
"""The flags that pthread_create() passes."""


class Prctl(enum.IntEnum):
    SET_PDEATHSIG = 1
    GET_DUMPABLE = 3
    SET_DUMPABLE = 4
    SET_NAME = 15
    GET_SECCOMP = 21
    SET_SECCOMP = 22
    SET_CHILD_SUBREAPER = 36
    GET_TSC = 25
    SET_NO_NEW_PRIVS = 38
    GET_NO_NEW_PRIVS = 39
    GET_SPECULATION_CTRL = 52
    SET_SPECULATION_CTRL = 53
    SET_SYSCALL_USER_DISPATCH = 59
    SET_PTRACER = 0x59616D61


PTRACER_ANY = (1 << 64) - 1


class Ptrace(enum.IntEnum):
    """Requests of ptrace() (include/uapi/linux/ptrace.h, arch/x86/include/uapi/asm/ptrace-abi.h)."""

    TRACEME = 0
    PEEKDATA = 2
    POKEDATA = 5
    POKEUSR = 6
    CONT = 7
    KILL = 8
    SINGLESTEP = 9
    GETREGS = 12
    SETREGS = 13
    ATTACH = 16
    DETACH = 17
    SYSCALL = 24
    SYSEMU = 31
    SYSEMU_SINGLESTEP = 32
    SETOPTIONS = 0x4200
    GETEVENTMSG = 0x4201
    GETSIGINFO = 0x4202
    SETSIGINFO = 0x4203
    GETREGSET = 0x4204
    SETREGSET = 0x4205
    SEIZE = 0x4206
    INTERRUPT = 0x4207
    LISTEN = 0x4208
    PEEKSIGINFO = 0x4209
    GETSIGMASK = 0x420A
    SETSIGMASK = 0x420B
    SECCOMP_GET_FILTER = 0x420C
    SECCOMP_GET_METADATA = 0x420D
    GET_SYSCALL_INFO = 0x420E
    SET_SYSCALL_INFO = 0x4212


class PtraceOption(enum.IntFlag):
    NONE = 0
    TRACESYSGOOD = 1
    TRACEFORK = 2
    TRACEVFORK = 4
    TRACECLONE = 8
    TRACEEXEC = 16
    TRACEVFORKDONE = 32
    TRACEEXIT = 64
    TRACESECCOMP = 128
    EXITKILL = 1 << 20
    SUSPEND_SECCOMP = 1 << 21


PTRACE_EVENT_FORK = 1
PTRACE_EVENT_EXEC = 4
PTRACE_EVENT_VFORK_DONE = 5
PTRACE_EVENT_EXIT = 6
PTRACE_EVENT_SECCOMP = 7
PTRACE_EVENT_STOP = 128
SIGINFO_SIZE = 128
"""Of siginfo_t (include/uapi/asm-generic/siginfo.h)."""
NT_PRSTATUS = 1

O_RDONLY, O_WRONLY, O_RDWR = 0, 1, 2
O_CREAT, O_EXCL, O_TRUNC, O_APPEND = 0o100, 0o200, 0o1000, 0o2000
O_NONBLOCK, O_DIRECT, O_DIRECTORY = 0o4000, 0o40000, 0o200000
O_CLOEXEC, O_PATH = 0o2000000, 0o10000000
AT_FDCWD = -100
ADDR_NO_RANDOMIZE = 0x0040000
WNOHANG, WALL = 1, 0x40000000
MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS = 1, 2, 0x20
RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_SIGPENDING = 4, 6, 7, 11
BLKROSET, BLKPG = 0x125D, 0x1269
KCMP_FILE, KCMP_VM = 0, 1
SCHED_NORMAL, SCHED_FIFO = 0, 1
MADV_DONTNEED, MADV_COLD = 4, 20
LSM_ID_YAMA = 105
LSM_ID_LOADPIN = 106
STATX_MODE, STATX_BASIC_STATS = 2, 0x7FF
LOOP_SET_FD, LOOP_CTL_GET_FREE = 0x4C00, 0x4C82
LOADPIN_SET_TRUSTED_DIGESTS = 0x40044C00
MODULE_INIT_IGNORE_MODVERSIONS, MODULE_INIT_COMPRESSED_FILE = 1, 4
KEXEC_ON_CRASH = 1


class KexecFile(enum.IntFlag):
    """Flags of kexec_file_load() (include/uapi/linux/kexec.h)."""

    NONE = 0
    UNLOAD = 1
    ON_CRASH = 2
    NO_INITRAMFS = 4
    DEBUG = 8


class DmIoctl(enum.IntEnum):
    """Commands of device mapper (include/uapi/linux/dm-ioctl.h)."""

    DEV_CREATE = 3
    DEV_REMOVE = 4
    DEV_SUSPEND = 6
    TABLE_LOAD = 9


def dm_ioctl_number(command: DmIoctl) -> int:
    """_IOWR(DM_IOCTL, command, struct dm_ioctl), whose size is 312."""
    return 0xC138FD00 | command
