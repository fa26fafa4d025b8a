# SPDX-License-Identifier: GPL-2.0-or-later
"""The ABIs that tasks call the kernel by: sizes, layouts and numbers that a call's structures depend on.

A task has its architecture's own ABI.  `Task.become` makes it execute the agent's program for another one.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

_LETTERS = {4: "I", 8: "Q"}
_OLD_IOCTLS = (0x4C, 0x54)
"""The types of ioctls that are no _IO(): loop devices, terminals."""


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
        """The register for the result, as a C long; an error is negative."""
        bits = 8 * self._abi.word
        value = (self[self._calls.result] + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
        register, bit = self._abi.error_bit or (self._calls.result, 0)
        return -value if self[register] & bit else value

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
    """What a tracer reads, a word each: by PTRACE_GETREGS, or the register set NT_PRSTATUS."""
    call: CallRegisters
    context: tuple[str, ...]
    """The beginning of a signal frame's uc_mcontext, a word each."""
    context_call: CallRegisters
    has_getregs: bool = True
    """Whether there is PTRACE_GETREGS, and PTRACE_SETREGS."""
    has_restorer: bool = True
    """Whether struct sigaction has sa_restorer."""
    returns_by_vdso: bool = False
    """Whether handlers return to code of the vdso, and not to the restorer."""
    single_step: bool = True
    """Whether there is PTRACE_SINGLESTEP (arch_has_single_step() in asm/ptrace.h)."""
    number_set: int = 0
    """The register set of a C int that has the number of the call, for tracers; 0 if it is one of the registers."""
    trapped_result: Callable[[int, int], int] = lambda number, _: number
    """What a call returns that SECCOMP_RET_TRAP has stopped, if its handler leaves that alone, by the number and the
    first argument (syscall_rollback() in asm/syscall.h)."""
    whole_number: tuple[bool, bool] = (False, False)
    """Whether the kernel takes all bits of the number's register for the number, and not the lower half: for a task
    without a filter, and for one with a filter, which sees the lower half."""
    skipped_result: Callable[[int, int], int] = lambda _, __: -errno.ENOSYS
    """What a call returns that its tracer has skipped, and has given no result, by the same."""
    keeps_result_beyond: bool = False
    """Whether a call that its tracer changes to a number beyond the table returns the result that the tracer sets."""
    keeps_result_at_entry: bool = True
    """Whether a call does whose number its tracer sets to -1 at its entry, if there is no filter."""
    error_bit: tuple[str, int] | None = None
    """The register, and the bit in it, by which the result of a call that has returned is a positive error number."""
    open_flags: tuple[tuple[int, int], ...] = ()
    """Where it has those flags of open() that x86 has elsewhere: x86's bit, and its own."""
    requests: tuple[tuple[int, int], ...] = ()
    """The same of requests of ptrace(): x86's number, and its own."""
    ioctl_directions: tuple[int, ...] = ()
    """What it has in the highest three bits of an ioctl's number, by what others have in the highest two."""
    call_size: int = 2
    """Bytes of the instruction that enters the kernel."""
    breakpoint: bytes = b"\xcc"
    """The instruction that a debugger puts in the place of another."""
    option: str = ""
    """The kernel's option for programs with this ABI, unless it is the architecture's own."""

    def words(self, *values: int) -> bytes:
        """An array of unsigned longs, or of pointers."""
        return struct.pack(self._form(len(values)), *values)

    def split_words(self, content: bytes, names: tuple[str, ...]) -> dict[str, int]:
        """The words at the beginning of `content`, by name."""
        return dict(zip(names, struct.unpack_from(self._form(len(names)), content), strict=True))

    def action(self, handler: int, flags: int, restorer: int, mask: int = 0) -> bytes:
        """struct sigaction of the kernel; without the restorer if it has none."""
        return self.words(handler, flags, *((restorer,) if self.has_restorer else ())) + struct.pack("<Q", mask)

    def split_action(self, content: bytes) -> tuple[int, int, int, int]:
        """Handler, flags, restorer and mask; the restorer is 0 if it has none."""
        names = ("handler", "flags", "restorer") if self.has_restorer else ("handler", "flags")
        found = self.split_words(content, names)
        (mask,) = struct.unpack_from("<Q", content, len(names) * self.word)
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
            values[self.call.number] = int.from_bytes(number, "little")
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
_A = tuple(f"a{number}" for number in range(8))
# do_trap_ecall_u() in arch/riscv/kernel/traps.c: the first argument is in orig_a0, which no register set has, and a0
# is ENOSYS from the beginning.
_CALL_OF_RISCV64 = CallRegisters("a7", "a0", ("orig_a0", *_A[1:6]), "pc", "sp")
_USER_REGISTERS_OF_RISCV64 = (
    *("pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1"),
    *_A,
    *("s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"),
)
RISCV64 = Abi(
    "riscv64",
    8,
    0xC00000F3,
    # struct user_regs_struct
    user_registers=_USER_REGISTERS_OF_RISCV64,
    call=_CALL_OF_RISCV64,
    # arch/riscv/include/uapi/asm/sigcontext.h
    context=_USER_REGISTERS_OF_RISCV64,
    context_call=replace(_CALL_OF_RISCV64, arguments=_A[:6]),
    has_getregs=False,
    has_restorer=False,
    returns_by_vdso=True,
    single_step=False,
    # syscall_trace_enter() in kernel/entry/common.c gets it anew, as an int, for those calls that it looks at.
    whole_number=(True, False),
    keeps_result_beyond=True,
    trapped_result=lambda _, first: first,
    call_size=4,
    breakpoint=bytes.fromhex("73 00 10 00"),  # ebreak
)
_R = tuple(f"r{number}" for number in range(32))
_CALL_OF_PPC64LE = CallRegisters("r0", "r3", ("orig_gpr3", *_R[4:9]), "nip", "r1")
PPC64LE = Abi(
    "ppc64le",
    8,
    0xC0000015,
    # struct pt_regs
    user_registers=(
        *_R,
        *("nip", "msr", "orig_gpr3", "ctr", "link", "xer", "ccr", "softe", "trap", "dar", "dsisr", "result"),
    ),
    call=_CALL_OF_PPC64LE,
    # The beginning of gp_regs in arch/powerpc/include/uapi/asm/sigcontext.h
    context=(*_R, "nip", "msr", "orig_gpr3", "ctr", "link", "xer", "ccr"),
    context_call=_CALL_OF_PPC64LE,
    error_bit=("ccr", 0x10000000),
    returns_by_vdso=True,
    whole_number=(True, True),
    keeps_result_at_entry=False,
    trapped_result=lambda _, first: first,
    # O_DIRECTORY, O_NOFOLLOW and O_DIRECT in arch/powerpc/include/uapi/asm/fcntl.h
    open_flags=((0o200000, 0o40000), (0o400000, 0o100000), (0o40000, 0o400000)),
    requests=((31, 29),),  # PTRACE_SYSEMU
    ioctl_directions=(1, 4, 2, 6),
    call_size=4,
    breakpoint=bytes.fromhex("08 00 e0 7f"),  # trap
)

NATIVE: Mapping[str, Abi] = MappingProxyType(
    {"x86_64": X86_64, "aarch64": AARCH64, "riscv64": RISCV64, "ppc64le": PPC64LE}
)
"""Each architecture's own, by `uname -m`."""
COMPAT: Mapping[str, Abi] = MappingProxyType({"x86_64": I386})
"""The ABI of 32-bit programs, for architectures that have one for which the agent has a program."""


@dataclass(frozen=True)
class AgentProgram:
    """A program of the agent in a guest: one that obeys a slot after a task has executed it."""

    path: str
    abi: Abi
