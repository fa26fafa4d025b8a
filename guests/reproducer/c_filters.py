# SPDX-License-Identifier: GPL-2.0-or-later
"""Seccomp filters in C, one instruction a line."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from guests import bpf
from guests.bpf import Action
from guests.reproducer.constants import Constants, plain
from guests.uapi import names

_INSTRUCTION = struct.Struct("<HBBI")
_SIZE_OF_FPROG = 16
_JUMPS = {bpf.JEQ: "JEQ", bpf.JGT: "JGT", bpf.JGE: "JGE", bpf.JSET: "JSET"}
_FIELDS = {bpf.NR: "the number", bpf.ARCH: "the architecture", bpf.INSTRUCTION_POINTER: "the instruction pointer"}


def program_in(content: bytes) -> bytes | None:
    """The instructions that follow a struct sock_fprog, as the test's calls lay them out; None for anything else."""
    if len(content) < _SIZE_OF_FPROG + _INSTRUCTION.size:
        return None
    (length,) = struct.unpack_from("<H", content)
    instructions = content[_SIZE_OF_FPROG:]
    return instructions if length * _INSTRUCTION.size == len(instructions) and not any(content[2:8]) else None


def lines(instructions: bytes, constants: Constants) -> Iterator[str]:
    """The instructions, each as a macro of the runtime."""
    loaded = -1
    for code, jt, jf, k in _INSTRUCTION.iter_unpack(instructions):
        if code == bpf.LD_W_ABS:
            loaded = k
            comment = _FIELDS.get(k) or f"{'upper' if k & 4 else 'lower'} half of argument {(k - bpf.ARGS) // 8}"
            yield f"LD({k}),\t/* {comment} */" if k < 64 else f"LD({k}),"
        elif code in _JUMPS:
            yield f"{_JUMPS[code]}({_compared(k, loaded if code == bpf.JEQ else -1, constants)}, {jt}, {jf}),"
        elif code == bpf.RET_K:
            yield f"RET({_result(k, constants)}),"
        else:
            yield f"BPF({code:#x}, {jt}, {jf}, {k:#x}),"


def _compared(k: int, loaded: int, constants: Constants) -> str:
    if loaded == bpf.NR and (name := names().get(k)):
        constants.system_call(name, k)
        return f"SYS_{name}"
    return hex(k) if k > 4096 else plain(k)


def _result(k: int, constants: Constants) -> str:
    for action in Action:
        if action == k & 0xFFFF0000:
            name = constants.use(f"SECCOMP_RET_{action.name}", int(action))
            return name if not k & 0xFFFF else f"{name} | {k & 0xFFFF}"
    return hex(k)
