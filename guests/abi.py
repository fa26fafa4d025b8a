# SPDX-License-Identifier: GPL-2.0-or-later
"""The ABIs that tasks call the kernel by: sizes, layouts and numbers that a call's structures depend on.

A task has its architecture's own ABI.  `Task.become` makes it execute the agent's program for another one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_LETTERS = {4: "I", 8: "Q"}


@dataclass(frozen=True)
class Abi:
    """An ABI of an architecture."""

    name: str
    """As `uapi.number` and `bpf.AUDIT_ARCH` know it."""
    word: int
    """Size in bytes of a pointer, and of C's long."""
    user_registers: tuple[str, ...] = ()
    """struct user_regs_struct, a word each: what PTRACE_GETREGS writes."""
    context: tuple[str, ...] = ()
    """The beginning of a signal frame's uc_mcontext, a word each."""
    option: str = ""
    """The kernel's option for programs with this ABI, unless it is the architecture's own."""

    def words(self, *values: int) -> bytes:
        """An array of unsigned longs, or of pointers."""
        return struct.pack(self._form(len(values)), *values)

    def split_words(self, content: bytes, names: tuple[str, ...]) -> dict[str, int]:
        """The words at the beginning of `content`, by name."""
        return dict(zip(names, struct.unpack_from(self._form(len(names)), content), strict=True))

    def _form(self, count: int) -> str:
        return f"<{count}{_LETTERS[self.word]}"


X86_64 = Abi(
    "x86_64",
    8,
    user_registers=(
        *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
        *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
    ),
    # arch/x86/include/uapi/asm/sigcontext.h
    context=(
        *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
        *("rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp", "rip", "eflags"),
    ),
)
I386 = Abi(
    "i386",
    4,
    user_registers=(
        *("ebx", "ecx", "edx", "esi", "edi", "ebp", "eax", "ds", "es", "fs", "gs"),
        *("orig_eax", "eip", "cs", "eflags", "esp", "ss"),
    ),
    context=(
        *("gs", "fs", "es", "ds", "edi", "esi", "ebp", "esp", "ebx", "edx", "ecx", "eax", "trapno", "err"),
        *("eip", "cs", "eflags", "esp_at_signal", "ss"),
    ),
    option="IA32_EMULATION",
)
AARCH64 = Abi("aarch64", 8)

NATIVE: Mapping[str, Abi] = MappingProxyType({"x86_64": X86_64, "aarch64": AARCH64})
"""Each architecture's own."""
COMPAT: Mapping[str, Abi] = MappingProxyType({"x86_64": I386})
"""The ABI of 32-bit programs, for architectures that have one for which the agent has a program."""


@dataclass(frozen=True)
class AgentProgram:
    """A program of the agent in a guest: one that obeys a slot after a task has executed it."""

    path: str
    abi: Abi
