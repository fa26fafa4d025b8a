# SPDX-License-Identifier: GPL-2.0-or-later
"""The ABIs that tasks call the kernel by: sizes, layouts and numbers that a call's structures depend on.

A task has its architecture's own ABI.  `Task.become` makes it execute the agent's program for another one.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, TypeVar

_T = TypeVar("_T")
_LETTERS = {4: "I", 8: "Q"}
_ORDERS = {"little": "<", "big": ">"}

ByteOrder = Literal["little", "big"]
"""As int.from_bytes() takes it."""


def size_of(form: str) -> int:
    """The size in bytes of a structure with this format (of the module struct, without a byte order)."""
    return struct.calcsize(f"<{form}")


@dataclass(frozen=True)
class CallRegisters:
    """Where a call is in the registers, by their names."""

    number: str
    """What a tracer changes to make it another call, or with -1 none; in a signal's context, what has the number."""
    result: str
    arguments: tuple[str, ...]
    """One that is not among the registers is out of a tracer's reach."""
    ip: str
    sp: str


class Registers(dict[str, int]):
    """Registers by their names, of which some have a meaning for every ABI."""

    def __init__(self, abi: Abi, calls: CallRegisters, values: Mapping[str, int]) -> None:
        super().__init__(values)
        self._abi, self._calls = abi, calls

    @property
    def nr(self) -> int:
        """The number of the call, as a C int."""
        return (self[self._calls.number] + (1 << 31)) % (1 << 32) - (1 << 31)

    @property
    def result(self) -> int:
        """The register for the result, as a C long."""
        bits = 8 * self._abi.word
        return (self[self._calls.result] + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)

    @property
    def arguments(self) -> tuple[int, ...]:
        """The six arguments of the call.  KeyError if one is not among the registers."""
        return tuple(self[name] for name in self._calls.arguments)

    def has_arguments(self, *values: int) -> bool:
        """Whether these are the arguments of the call, as far as they are among the registers."""
        return all(self.get(name, value) == value for name, value in zip(self._calls.arguments, values, strict=False))

    @property
    def ip(self) -> int:
        """The instruction pointer."""
        return self[self._calls.ip]

    @property
    def sp(self) -> int:
        """The stack pointer."""
        return self[self._calls.sp]


@dataclass(frozen=True)
class Abi:
    """An ABI of an architecture."""

    name: str
    """As `uapi.number` knows it."""
    word: int
    """Size in bytes of a pointer, and of C's long."""
    audit_arch: int
    """What seccomp and audit call it (AUDIT_ARCH_* in include/uapi/linux/audit.h)."""
    user_registers: tuple[str, ...]
    """What a tracer reads, a word each: by PTRACE_GETREGS, or the register set NT_PRSTATUS."""
    call: CallRegisters
    context: tuple[str, ...]
    """The beginning of a signal frame's uc_mcontext, a word each."""
    context_call: CallRegisters
    byte_order: ByteOrder = "little"
    has_getregs: bool = True
    """Whether there is PTRACE_GETREGS, and PTRACE_SETREGS."""
    number_set: int = 0
    """The register set of a C int that has the number of the call, for tracers; 0 if it is one of the registers."""
    trapped_result: Callable[[int, int], int] = lambda number, _: number
    """What a call returns that SECCOMP_RET_TRAP has stopped, if its handler leaves that alone, by the number and the
    first argument (syscall_rollback() in asm/syscall.h)."""
    skipped_result: Callable[[int, int], int] = lambda _, __: -errno.ENOSYS
    """What a call returns that its tracer has skipped, and has given no result, by the same."""
    open_flags: tuple[tuple[int, int], ...] = ()
    """Where it has those flags of open() that x86 has elsewhere: x86's bit, and its own."""
    call_size: int = 2
    """Bytes of the instruction that enters the kernel."""
    breakpoint: bytes = b"\xcc"
    """The instruction that a debugger puts in the place of another."""
    number_bits: int = 32
    """How many bits of the number the kernel looks at; 16 where a number of -1 is one of no call, and not none."""
    stepped_bytes: int = 0
    """How far behind a call a tracer stops that lets its tracee do a single step from the call's entry."""
    strict_sigreturn: str = "rt_sigreturn"
    """The call by which handlers return in strict mode (__NR_seccomp_sigreturn in asm/seccomp.h)."""
    flags_of_clone: int = 0
    """Which argument of clone() has the flags: 0, or 1 if the stack comes first."""
    mmap_by_address: bool = False
    """Whether mmap() takes the address of its arguments."""
    option: str = ""
    """The kernel's option for programs with this ABI, unless it is the architecture's own."""

    @property
    def can_skip(self) -> bool:
        """Whether a tracer can make a call none, with a result of its own."""
        return self.number_bits == 32

    def seen_number(self, number: int) -> int:
        """What filters and the kernel see of the number of a call."""
        return number & (1 << self.number_bits) - 1

    def arguments(self, name: str, values: Sequence[_T | int]) -> list[_T | int | bytes]:
        """The arguments of a call, from those that it has in most ABIs."""
        given: list[_T | int | bytes] = list(values)
        if name == "clone" and self.flags_of_clone:
            given[:2] = reversed(given[:2])
        if name == "mmap" and self.mmap_by_address:
            mask = (1 << 8 * self.word) - 1
            return [self.words(*(value & mask if isinstance(value, int) else 0 for value in given))]
        return given

    # Structures of the kernel and of programs.  All of them have the ABI's byte order, which only these methods know.

    def layout(self, form: str) -> struct.Struct:
        """A structure with this format (of the module struct, without a byte order); it has no implicit padding."""
        return struct.Struct(_ORDERS[self.byte_order] + form)

    def pack(self, form: str, *values: int | bytes) -> bytes:
        return self.layout(form).pack(*values)

    def unpack(self, form: str, content: bytes) -> tuple[Any, ...]:
        return self.layout(form).unpack(content)

    def unpack_from(self, form: str, content: bytes, offset: int = 0) -> tuple[Any, ...]:
        return self.layout(form).unpack_from(content, offset)

    def integer(self, content: bytes) -> int:
        """An unsigned integer of any size."""
        return int.from_bytes(content, self.byte_order)

    def words(self, *values: int) -> bytes:
        """An array of unsigned longs, or of pointers."""
        return self.pack(self._words(len(values)), *values)

    def split_words(self, content: bytes, names: tuple[str, ...]) -> dict[str, int]:
        """The words at the beginning of `content`, by name."""
        return dict(zip(names, self.unpack_from(self._words(len(names)), content), strict=True))

    def bit_fields(self, bits: int) -> int:
        """A 64-bit integer of bit-fields of C that are one bit each: the first one declared is bit 0 of `bits`."""
        return bits if self.byte_order == "little" else int(f"{bits:064b}"[::-1], 2)

    def with_padding(self, value: int, size: int) -> bytes:
        """A word that begins with an integer of this size, and continues with padding."""
        return value.to_bytes(size, self.byte_order).ljust(self.word, b"\0")

    def flags_of_open(self, flags: int) -> int:
        """The flags of open(), which guests/uapi.py has as x86 does."""
        moved = [(bit, own) for bit, own in self.open_flags if flags & bit]
        return flags & ~sum(bit for bit, _ in moved) | sum(own for _, own in moved)

    def traced(self, content: bytes, number: bytes = b"") -> Registers:
        """The registers that a tracer has read, and the set with the number, if there is one."""
        values = self.split_words(content, self.user_registers)
        if number:
            values[self.call.number] = self.integer(number)
        return Registers(self, self.call, values)

    def rolled_back(self, content: bytes) -> Registers:
        """The same of a task whose call a filter has ended: the number is where the call had it."""
        return Registers(self, self.context_call, self.split_words(content, self.user_registers))

    def interrupted(self, content: bytes) -> Registers:
        """The registers in a signal frame."""
        return Registers(self, self.context_call, self.split_words(content, self.context))

    def _words(self, count: int) -> str:
        return f"{count}{_LETTERS[self.word]}"


_CALL_OF_X86_64 = CallRegisters("orig_rax", "rax", ("rdi", "rsi", "rdx", "r10", "r8", "r9"), "rip", "rsp")
X86_64 = Abi(
    "x86_64",
    8,
    0xC000003E,
    user_registers=(
        *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
        *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
    ),
    call=_CALL_OF_X86_64,
    # arch/x86/include/uapi/asm/sigcontext.h
    context=(
        *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
        *("rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp", "rip", "eflags"),
    ),
    context_call=replace(_CALL_OF_X86_64, number="rax"),
)
_CALL_OF_I386 = CallRegisters("orig_eax", "eax", ("ebx", "ecx", "edx", "esi", "edi", "ebp"), "eip", "esp")
I386 = Abi(
    "i386",
    4,
    0x40000003,
    user_registers=(
        *("ebx", "ecx", "edx", "esi", "edi", "ebp", "eax", "ds", "es", "fs", "gs"),
        *("orig_eax", "eip", "cs", "eflags", "esp", "ss"),
    ),
    call=_CALL_OF_I386,
    context=(
        *("gs", "fs", "es", "ds", "edi", "esi", "ebp", "esp", "ebx", "edx", "ecx", "eax", "trapno", "err"),
        *("eip", "cs", "eflags", "esp_at_signal", "ss"),
    ),
    context_call=replace(_CALL_OF_I386, number="eax"),
    option="IA32_EMULATION",
)
_X = tuple(f"x{number}" for number in range(31))
_CALL_OF_AARCH64 = CallRegisters("syscallno", "x0", _X[:6], "pc", "sp")
AARCH64 = Abi(
    "aarch64",
    8,
    0xC00000B7,
    # struct user_pt_regs
    user_registers=(*_X, "sp", "pc", "pstate"),
    call=_CALL_OF_AARCH64,
    # arch/arm64/include/uapi/asm/sigcontext.h
    context=("fault_address", *_X, "sp", "pc", "pstate"),
    context_call=replace(_CALL_OF_AARCH64, number="x8"),
    has_getregs=False,
    number_set=0x404,  # NT_ARM_SYSTEM_CALL
    trapped_result=lambda _, first: first,
    # el0_svc_common() in arch/arm64/kernel/syscall.c: x0 is left as the tracer has set it.
    skipped_result=lambda _, first: first,
    # O_DIRECTORY, O_NOFOLLOW and O_DIRECT in arch/arm64/include/uapi/asm/fcntl.h
    open_flags=((0o200000, 0o40000), (0o400000, 0o100000), (0o40000, 0o200000)),
    call_size=4,
    breakpoint=bytes.fromhex("00 00 20 d4"),  # brk #0
)
_GPR = tuple(f"gpr{number}" for number in range(16))
# do_syscall() in arch/s390/kernel/syscall.c: at a stop, gpr2 has the number, or the result, and orig_gpr2 the first
# argument.
_CALL_OF_S390X = CallRegisters("gpr2", "gpr2", ("orig_gpr2", *_GPR[3:8]), "psw_addr", "gpr15")
S390X = Abi(
    "s390x",
    8,
    0x80000016,
    # s390_regs in arch/s390/include/uapi/asm/ptrace.h; each word of the access registers is two of them.
    user_registers=("psw_mask", "psw_addr", *_GPR, *(f"acrs{number}" for number in range(0, 16, 2)), "orig_gpr2"),
    call=_CALL_OF_S390X,
    # _s390_regs_common in arch/s390/include/uapi/asm/sigcontext.h
    context=("psw_mask", "psw_addr", *_GPR),
    # The agent enters the kernel by `svc 0`, which has the number in gpr1.
    context_call=replace(_CALL_OF_S390X, number="gpr1"),
    byte_order="big",
    has_getregs=False,
    # do_syscall(): what syscall_rollback() has restored is overwritten.
    trapped_result=lambda _, __: -errno.ENOSYS,
    breakpoint=bytes.fromhex("00 01"),  # S390_BREAKPOINT_U16
    number_bits=16,  # do_syscall()
    # user_enable_single_step() in arch/s390/kernel/ptrace.c: of one instruction, and the call has begun already.
    stepped_bytes=4,
    strict_sigreturn="sigreturn",
    flags_of_clone=1,  # CONFIG_CLONE_BACKWARDS2
    mmap_by_address=True,  # sys_old_mmap in arch/s390/kernel/syscalls/syscall.tbl
)

NATIVE: Mapping[str, Abi] = MappingProxyType({"x86_64": X86_64, "aarch64": AARCH64, "s390x": S390X})
"""Each architecture's own, by `uname -m`."""
COMPAT: Mapping[str, Abi] = MappingProxyType({"x86_64": I386})
"""The ABI of 32-bit programs, for architectures that have one for which the agent has a program."""
BY_NAME: Mapping[str, Abi] = MappingProxyType({abi.name: abi for abi in (*NATIVE.values(), *COMPAT.values())})
"""All of them."""


@dataclass(frozen=True)
class AgentProgram:
    """A program of the agent in a guest: one that obeys a slot after a task has executed it."""

    path: str
    abi: Abi
