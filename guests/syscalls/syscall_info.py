# SPDX-License-Identifier: GPL-2.0-or-later
"""struct ptrace_syscall_info: a tracee's system call, as a stop describes it to its tracer."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from guests.abi import Abi, size_of


class SyscallStop(enum.IntEnum):
    """The kinds of stop (include/uapi/linux/ptrace.h: PTRACE_SYSCALL_INFO_*)."""

    NONE = 0
    ENTRY = 1
    EXIT = 2
    SECCOMP = 3


_HEAD = "BBHIQQ"
_CALL, _RESULT = f"{_HEAD}Q6QII", "qB"
"""The whole of a SECCOMP stop, of which that of an entry is a part; and what follows the head at an exit."""
SYSCALL_INFO_SIZE = size_of(_CALL)


@dataclass(frozen=True)
class SyscallInfo:
    """What PTRACE_GET_SYSCALL_INFO tells, and PTRACE_SET_SYSCALL_INFO takes; what a stop does not have is 0."""

    op: int = SyscallStop.SECCOMP
    reserved: int = 0
    flags: int = 0
    arch: int = 0
    instruction_pointer: int = 0
    stack_pointer: int = 0
    nr: int = 0
    arguments: tuple[int, ...] = (0,) * 6
    data: int = 0
    """The filter's, in a SECCOMP stop."""
    reserved2: int = 0
    result: int = 0
    """At the exit."""
    is_error: int = 0

    @classmethod
    def decode(cls, raw: bytes, abi: Abi) -> SyscallInfo:
        """`abi`: that of the tracer."""
        op, reserved, flags, arch, ip, sp, nr, *arguments, data, reserved2 = abi.unpack_from(_CALL, raw)
        stop = cls(op, reserved, flags, arch, ip, sp)
        if op == SyscallStop.EXIT:
            result, is_error = abi.unpack_from(_RESULT, raw, size_of(_HEAD))
            return replace(stop, result=result, is_error=is_error)
        if op == SyscallStop.ENTRY:
            return replace(stop, nr=nr, arguments=tuple(arguments))
        if op == SyscallStop.SECCOMP:
            return replace(stop, nr=nr, arguments=tuple(arguments), data=data, reserved2=reserved2)
        return stop

    def pack(self, abi: Abi) -> bytes:
        """With the fields of a SECCOMP stop, of which those of a stop at the entry are a part."""
        head = (self.op, self.reserved, self.flags, self.arch, self.instruction_pointer, self.stack_pointer)
        return abi.pack(_CALL, *head, self.nr, *self.arguments, self.data, self.reserved2)
