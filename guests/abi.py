# SPDX-License-Identifier: GPL-2.0-or-later
"""The ABIs that tasks call the kernel by: sizes, layouts and numbers that a call's structures depend on.

A task has its architecture's own ABI.  `Task.become` makes it execute the agent's program for another one.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from guests.calls_on_32_bits import NAMES_ON_32_BITS, OFFSETS
from guests.uapi import has_number, number

_T = TypeVar("_T")
_LETTERS = {4: "I", 8: "Q"}


@dataclass(frozen=True)
class CallRegisters:
    """Where a call is in the registers, by their names."""

    number: str
    """What a tracer changes to make it another call, or with -1 none; in a signal's context, what has the number."""
    result: str
    arguments: tuple[str, ...]
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
        """The six arguments of the call."""
        return tuple(self[name] for name in self._calls.arguments)

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
    """What a tracer reads, a word each: struct user_regs_struct by PTRACE_GETREGS, or NT_PRSTATUS."""
    call: CallRegisters
    context: tuple[str, ...]
    """The beginning of a signal frame's uc_mcontext, a word each."""
    context_call: CallRegisters
    number_set: int = 0
    """The register set of a C int that has the number of the call, for tracers; 0 if it is one of the registers, and
    these are read by PTRACE_GETREGS."""
    trapped_result: Callable[[int, int], int] = lambda number, _: number
    """What a call returns that SECCOMP_RET_TRAP has stopped, if its handler leaves that alone, by the number and the
    first argument (syscall_rollback() in asm/syscall.h)."""
    skipped_result: Callable[[int, int], int] = lambda _, __: -errno.ENOSYS
    """What a call returns that its tracer has skipped, and has given no result, by the same."""
    number_request: int = 0
    """The request of ptrace() that sets the number of the call; 0 if tracers set that as they do registers."""
    unused_number: int = 400
    """A number between those of calls, which belongs to none."""
    strict_sigreturn: str = "rt_sigreturn"
    """By which call handlers return in seccomp's strict mode (__NR_seccomp_sigreturn in asm/seccomp.h)."""
    open_flags: tuple[tuple[int, int], ...] = ()
    """Where it has those flags of open() that x86 has elsewhere: x86's bit, and its own."""
    call_names: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Its names for calls of 64-bit ABIs, where they are others: if possible, those with the same structures."""
    pair_alignment: int = 0
    """The registers of a 64-bit argument, which are two, begin at a multiple of this; 0 if one register holds it."""
    call_size: int = 2
    """Bytes of the instruction that enters the kernel."""
    breakpoint: bytes = b"\xcc"
    """The instruction that a debugger puts in the place of another."""
    option: str = ""
    """The kernel's option for programs with this ABI, unless it is the architecture's own."""

    def number(self, name: str) -> int:
        """The number of a call by the name that 64-bit ABIs have for it, or by its own.  KeyError if it has none."""
        return number(self.call_names.get(name, name), self.name)

    def has(self, name: str) -> bool:
        """Whether it has a call of that name."""
        return has_number(self.call_names.get(name, name), self.name)

    def arguments(self, name: str, values: Sequence[_T | int]) -> list[_T | int]:
        """The arguments of a call, one for each register, from those of 64-bit ABIs."""
        given = list(values)
        if not self.pair_alignment:
            return given
        place = OFFSETS.get(name, len(given))
        if place < len(given) and isinstance(offset := given[place], int):
            padding = [0] * (-place % self.pair_alignment)
            given[place : place + 1] = [*padding, offset & 0xFFFFFFFF, offset >> 32 & 0xFFFFFFFF]
        if name == "mmap" and len(given) == 6 and isinstance(offset := given[5], int):
            given[5] = offset // 4096
        return given

    def words(self, *values: int) -> bytes:
        """An array of unsigned longs, or of pointers."""
        return struct.pack(self._form(len(values)), *values)

    def split_words(self, content: bytes, names: tuple[str, ...]) -> dict[str, int]:
        """The words at the beginning of `content`, by name."""
        return dict(zip(names, struct.unpack_from(self._form(len(names)), content), strict=True))

    def all_words(self, content: bytes) -> tuple[int, ...]:
        """All words of `content`."""
        return struct.unpack(self._form(len(content) // self.word), content)

    def pairs(self, content: bytes) -> dict[int, int]:
        """Pairs of words, as an auxiliary vector has them; of several with the same first word, the last."""
        words = self.all_words(content)
        return dict(zip(words[::2], words[1::2], strict=True))

    def action(self, handler: int, flags: int, restorer: int, mask: int = 0) -> bytes:
        """struct sigaction of the kernel."""
        return self.words(handler, flags, restorer) + struct.pack("<Q", mask)

    def split_action(self, content: bytes) -> tuple[int, int, int, int]:
        """Handler, flags, restorer and mask."""
        found = self.split_words(content, ("handler", "flags", "restorer"))
        (mask,) = struct.unpack_from("<Q", content, 3 * self.word)
        return found["handler"], found["flags"], found["restorer"], mask

    @property
    def action_size(self) -> int:
        """Bytes of struct sigaction."""
        return len(self.action(0, 0, 0))

    @property
    def siginfo_union(self) -> int:
        """Where the union in siginfo is, which begins with a pointer, and is aligned as one."""
        return 12 + -12 % self.word

    @property
    def highest_bit(self) -> int:
        """That of a register, which a 32-bit call passes, or loses."""
        return 1 << 8 * self.word - 1

    def flags_of_open(self, flags: int) -> int:
        """The flags of open(), which guests/uapi.py has as x86 does."""
        moved = [(bit, own) for bit, own in self.open_flags if flags & bit]
        return flags & ~sum(bit for bit, _ in moved) | sum(own for _, own in moved)

    def traced(self, content: bytes, number: bytes = b"") -> Registers:
        """The registers that a tracer has read, and the set with the number, if there is one."""
        values = self.split_words(content, self.user_registers)
        if number:
            values[self.call.number] = int.from_bytes(number, "little")
        return Registers(self, self.call, values)

    def rolled_back(self, content: bytes) -> Registers:
        """The same of a task whose call a filter has ended: the number is where the call had it."""
        return Registers(self, self.context_call, self.split_words(content, self.user_registers))

    def interrupted(self, content: bytes) -> Registers:
        """The registers in a signal frame."""
        return Registers(self, self.context_call, self.split_words(content, self.context))

    def _form(self, count: int) -> str:
        return f"<{count}{_LETTERS[self.word]}"


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
    unused_number=285,
    strict_sigreturn="sigreturn",
    call_names=NAMES_ON_32_BITS,
    pair_alignment=1,
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
    number_set=0x404,  # NT_ARM_SYSTEM_CALL
    trapped_result=lambda _, first: first,
    # el0_svc_common() in arch/arm64/kernel/syscall.c: x0 is left as the tracer has set it.
    skipped_result=lambda _, first: first,
    # O_DIRECTORY, O_NOFOLLOW and O_DIRECT in arch/arm64/include/uapi/asm/fcntl.h
    open_flags=((0o200000, 0o40000), (0o400000, 0o100000), (0o40000, 0o200000)),
    call_size=4,
    breakpoint=bytes.fromhex("00 00 20 d4"),  # brk #0
)
_CALL_OF_ARM = CallRegisters("r7", "r0", ("r0", "r1", "r2", "r3", "r4", "r5"), "pc", "sp")
_USER_REGISTERS_OF_ARM = (*(f"r{number}" for number in range(11)), "fp", "r12", "sp", "lr", "pc", "cpsr")
ARM = Abi(
    "arm",
    4,
    0x40000028,
    # struct pt_regs
    user_registers=(*_USER_REGISTERS_OF_ARM, "orig_r0"),
    call=_CALL_OF_ARM,
    # arch/arm/include/uapi/asm/sigcontext.h
    context=("trap_no", "error_code", "oldmask", *_USER_REGISTERS_OF_ARM, "fault_address"),
    context_call=_CALL_OF_ARM,
    number_request=23,  # PTRACE_SET_SYSCALL
    trapped_result=lambda _, first: first,
    # __sys_trace in arch/arm/kernel/entry-common.S: r0 is left as the tracer has set it.
    skipped_result=lambda _, first: first,
    unused_number=223,
    # O_DIRECTORY, O_NOFOLLOW and O_DIRECT in arch/arm/include/uapi/asm/fcntl.h
    open_flags=AARCH64.open_flags,
    call_names=NAMES_ON_32_BITS,
    pair_alignment=2,
    call_size=4,
    breakpoint=bytes.fromhex("f0 01 f0 e7"),
    option="COMPAT",
)

NATIVE: Mapping[str, Abi] = MappingProxyType(
    {
        "x86_64": X86_64,
        "i386": replace(I386, option=""),
        "aarch64": AARCH64,
        "arm": replace(ARM, option=""),
    }
)
"""Each architecture's own, by `uname -m`."""
COMPAT: Mapping[str, Abi] = MappingProxyType({"x86_64": I386, "aarch64": ARM})
"""The ABI of 32-bit programs, for architectures that have one for which the agent has a program."""


def call_number(name: str, abi: str) -> int:
    """The number of a call by the name that 64-bit ABIs have for it, on an ABI of this name, such as `x32`, too."""
    known = _BY_NAME.get(abi)
    return number(name, abi) if known is None else known.number(name)


def passed(arguments: Sequence[int], abi: str) -> tuple[int, ...]:
    """The arguments of a call as an ABI of this name passes them: one of 32 bits loses their upper halves."""
    known = _BY_NAME.get(abi)
    mask = 2 * known.highest_bit - 1 if known is not None else -1
    return tuple(value & mask for value in arguments)


_BY_NAME = {abi.name: abi for abi in (*NATIVE.values(), *COMPAT.values())}


@dataclass(frozen=True)
class AgentProgram:
    """A program of the agent in a guest: one that obeys a slot after a task has executed it."""

    path: str
    abi: Abi
