# SPDX-License-Identifier: GPL-2.0-or-later
"""The ABIs of all architectures, a row each."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from guests.abi import Abi
from guests.call_registers import CallRegisters
from guests.calls_on_32_bits import NAMES_ON_32_BITS
from guests.uapi import number

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
    single_step=False,
    emulates_calls=False,
    number_request=23,  # PTRACE_SET_SYSCALL
    illegal_from=0xF0000,  # arm_syscall() in arch/arm/kernel/traps.c: those of Arm itself begin there
    skips_minus_one=True,  # __sys_trace in arch/arm/kernel/entry-common.S
    action_flags=0x02000000,  # SA_THIRTYTWO
    unused_number=223,
    trapped_result=lambda _, first: first,
    # __sys_trace in arch/arm/kernel/entry-common.S: r0 is left as the tracer has set it.
    skipped_result=lambda _, first: first,
    # O_DIRECTORY, O_NOFOLLOW and O_DIRECT in arch/arm/include/uapi/asm/fcntl.h
    open_flags=AARCH64.open_flags,
    call_names=NAMES_ON_32_BITS,
    pair_alignment=2,
    memory_begins=0x40000000,  # hw/arm/virt.c
    call_size=4,
    breakpoint=bytes.fromhex("f0 01 f0 e7"),
    option="COMPAT",
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

NATIVE: Mapping[str, Abi] = MappingProxyType(
    {
        "x86_64": X86_64,
        "aarch64": AARCH64,
        "riscv64": RISCV64,
        "ppc64le": PPC64LE,
        "s390x": S390X,
        "i386": replace(I386, option=""),
        "arm": replace(ARM, option=""),
    }
)
"""Each architecture's own, by `uname -m`."""
COMPAT: Mapping[str, Abi] = MappingProxyType({"x86_64": I386, "aarch64": ARM})
"""The ABI of 32-bit programs, for architectures that have one for which the agent has a program."""
BY_NAME: Mapping[str, Abi] = MappingProxyType({abi.name: abi for abi in (*NATIVE.values(), *COMPAT.values())})
"""All of them."""


def call_number(name: str, abi: str) -> int:
    """The number of a call by the name that 64-bit ABIs have for it, on an ABI of this name, such as `x32`, too."""
    return BY_NAME[abi].call_number(name) if abi in BY_NAME else number(name, abi)
