# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of an ABI that tasks call the kernel by: sizes, layouts and numbers that structures depend on.

A task has its architecture's own ABI.  `Task.become` makes it execute the agent's program for another one.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from guests.call_registers import CallRegisters, Registers
from guests.calls_on_32_bits import OFFSETS
from guests.uapi import has_number, number

_T = TypeVar("_T")
_LETTERS = {4: "I", 8: "Q"}
_PAGE = 4096
_OLD_IOCTLS = (0x4C, 0x54)
"""The types of ioctls that are no _IO(): loop devices, terminals."""
_ORDERS = {"little": "<", "big": ">"}

ByteOrder = Literal["little", "big"]
"""As int.from_bytes() takes it."""


def size_of(form: str) -> int:
    """The size in bytes of a structure with this format (of the module struct, without a byte order)."""
    return struct.calcsize(f"<{form}")


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
    has_restorer: bool = True
    """Whether struct sigaction has sa_restorer."""
    returns_by_vdso: bool = False
    """Whether handlers return to code of the vdso, and not to the restorer."""
    single_step: bool = True
    """Whether there is PTRACE_SINGLESTEP (arch_has_single_step() in asm/ptrace.h)."""
    emulates_calls: bool = True
    """Whether there is PTRACE_SYSEMU."""
    number_set: int = 0
    """The register set of a C int that has the number of the call, for tracers; 0 if it is one of the registers."""
    trapped_result: Callable[[int, int], int] = lambda number, _: number
    """What a call returns that SECCOMP_RET_TRAP has stopped, if its handler leaves that alone, by the number and the
    first argument (syscall_rollback() in asm/syscall.h)."""
    whole_number: tuple[bool, bool] = (False, False)
    """Whether the kernel takes all bits of the number's register for the number, and not the lower half: for a task
    without a filter, and for one with a filter, which sees the lower half."""
    skipped_result: Callable[[int, int], int] = lambda _, __: -errno.ENOSYS
    """The result of a call that its tracer has skipped without setting one, by the number and the first argument."""
    keeps_result_beyond: bool = False
    """Whether a call that its tracer changes to a number beyond the table returns the result that the tracer sets."""
    keeps_result_at_entry: bool = True
    """Whether a call whose number its tracer sets to -1 at its entry stop keeps the result that the tracer sets."""
    error_bit: tuple[str, int] | None = None
    """The register, and the bit in it, by which the result of a call that has returned is a positive error number."""
    number_request: int = 0
    """The request of ptrace() that sets the number of the call; 0 if tracers set that as they do registers."""
    unused_number: int = 390
    """A number between those of calls, which belongs to none."""
    illegal_from: int = 1 << 32
    """Calls that do not exist raise SIGILL, and not ENOSYS, from this number on."""
    skips_minus_one: bool = False
    """Whether a call of number -1 that a filter allows returns its first argument, like one that is skipped."""
    action_flags: int = 0
    """Flags of its own in struct sigaction."""
    open_flags: tuple[tuple[int, int], ...] = ()
    """Where it has those flags of open() that x86 has elsewhere: x86's bit, and its own."""
    requests: tuple[tuple[int, int], ...] = ()
    """The same of requests of ptrace(): x86's number, and its own."""
    ioctl_directions: tuple[int, ...] = ()
    """What it has in the highest three bits of an ioctl's number, by what others have in the highest two."""
    call_names: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Its names for calls of 64-bit ABIs, where they are others: if possible, those with the same structures."""
    pair_alignment: int = 0
    """The registers of a 64-bit argument, which are two, begin at a multiple of this; 0 if one register holds it."""
    call_size: int = 2
    """Bytes of the instruction that enters the kernel."""
    breakpoint: bytes = b"\xcc"
    """The instruction that a debugger puts in the place of another."""
    number_bits: int = 32
    """Bits of a call's number that the kernel uses.  With 16, a tracer's -1 is an unknown call, not a skipped one."""
    stepped_bytes: int = 0
    """Bytes past the instruction of a call at which a PTRACE_SINGLESTEP from its entry stop ends."""
    strict_sigreturn: str = "rt_sigreturn"
    """The call by which handlers return in strict mode (__NR_seccomp_sigreturn in asm/seccomp.h)."""
    flags_of_clone: int = 0
    """Which argument of clone() has the flags: 0, or 1 if the stack comes first."""
    memory_begins: int = 0
    """Where the memory of QEMU's machine begins, if the kernel checks that what kexec_load() loads is to be in it: on
    arm, in machine_kexec_prepare().  Elsewhere 0, wherever it begins."""
    mmap_by_address: bool = False
    """Whether mmap() takes the address of its arguments."""
    option: str = ""
    """The kernel's option for programs with this ABI, unless it is the architecture's own."""

    @property
    def can_skip(self) -> bool:
        """Whether a tracer can skip a call and set its result."""
        return self.number_bits == 32

    def seen_number(self, number: int) -> int:
        """What filters and the kernel see of the number of a call."""
        return number & (1 << self.number_bits) - 1

    def call_number(self, name: str) -> int:
        """The number of a call by the name that 64-bit ABIs have for it, or by its own.  KeyError if it has none."""
        return number(self.call_names.get(name, name), self.name)

    def has_call(self, name: str) -> bool:
        """Whether it has a call of that name."""
        return has_number(self.call_names.get(name, name), self.name)

    def arguments(self, name: str, values: Sequence[_T | int]) -> list[_T | int | bytes]:
        """The arguments of a call, from those that it has in most ABIs."""
        given: list[_T | int | bytes] = list(values)
        place = OFFSETS.get(name, len(given))
        if self.pair_alignment and place < len(given) and isinstance(offset := given[place], int):
            padding = [0] * (-place % self.pair_alignment)
            given[place : place + 1] = [*padding, offset & 0xFFFFFFFF, offset >> 32 & 0xFFFFFFFF]
        if self.pair_alignment and name == "mmap" and len(given) == 6 and isinstance(offset := given[5], int):
            given[5] = offset // _PAGE
        if name == "clone" and self.flags_of_clone:
            given[:2] = reversed(given[:2])
        if name == "ioctl" and isinstance(given[1], int):
            given[1] = self.ioctl(given[1])
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

    def all_words(self, content: bytes) -> tuple[int, ...]:
        """All words of `content`."""
        return self.unpack(self._words(len(content) // self.word), content)

    def pairs(self, content: bytes) -> dict[int, int]:
        """Pairs of words, as an auxiliary vector has them; of several with the same first word, the last."""
        words = self.all_words(content)
        return dict(zip(words[::2], words[1::2], strict=True))

    @property
    def siginfo_union(self) -> int:
        """Where the union in siginfo is, which begins with a pointer, and is aligned as one."""
        return 12 + -12 % self.word

    @property
    def highest_bit(self) -> int:
        """That of a register."""
        return 1 << 8 * self.word - 1

    def passed(self, arguments: Sequence[int]) -> tuple[int, ...]:
        """The arguments of a call as registers pass them: those of 32 bits lose their upper halves."""
        return tuple(value & 2 * self.highest_bit - 1 for value in arguments)

    def bit_fields(self, bits: int) -> int:
        """A 64-bit integer of bit-fields of C that are one bit each: the first one declared is bit 0 of `bits`."""
        return bits if self.byte_order == "little" else int(f"{bits:064b}"[::-1], 2)

    def with_padding(self, value: int, size: int) -> bytes:
        """A word that begins with an integer of this size, and continues with padding."""
        return value.to_bytes(size, self.byte_order).ljust(self.word, b"\0")

    def action(self, handler: int, flags: int, restorer: int, mask: int = 0) -> bytes:
        """struct sigaction of the kernel; without the restorer if it has none."""
        return self.words(handler, flags, *((restorer,) if self.has_restorer else ())) + self.pack("Q", mask)

    def split_action(self, content: bytes) -> tuple[int, int, int, int]:
        """Handler, flags, restorer and mask; the restorer is 0 if it has none."""
        names = ("handler", "flags", "restorer") if self.has_restorer else ("handler", "flags")
        found = self.split_words(content, names)
        (mask,) = self.unpack_from("Q", content, len(names) * self.word)
        return found["handler"], found["flags"], found.get("restorer", 0), mask

    @property
    def action_size(self) -> int:
        """Bytes of struct sigaction."""
        return len(self.action(0, 0, 0))

    def reaches(self, register: str) -> bool:
        """Whether tracers can read and change a register: by its name, or `arg0` to `arg5`."""
        arguments = {f"arg{index}": name for index, name in enumerate(self.call.arguments)}
        return arguments.get(register, register) in {*self.user_registers, self.call.number}

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

    def ptrace_request(self, request: int) -> int:
        """The request of ptrace(), which guests/uapi.py has as x86 does."""
        return dict(self.requests).get(request, request)

    def ioctl(self, request: int) -> int:
        """The number of an ioctl by x86's.  Old numbers, without direction and size, are the same everywhere."""
        if not self.ioctl_directions or (request < 0x10000 and request >> 8 in _OLD_IOCTLS):
            return request
        return self.ioctl_directions[request >> 30] << 29 | request & 0x1FFFFFFF

    def _words(self, count: int) -> str:
        return f"{count}{_LETTERS[self.word]}"


@dataclass(frozen=True)
class AgentProgram:
    """A program of the agent in a guest: one that obeys a slot after a task has executed it."""

    path: str
    abi: Abi
