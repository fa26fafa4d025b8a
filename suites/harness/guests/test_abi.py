# SPDX-License-Identifier: GPL-2.0-or-later
"""What calls look like on each architecture, compared with constants of the kernel's headers."""

from __future__ import annotations

import errno
import struct

import pytest

from guests.abi import Abi
from guests.abis import AARCH64, I386, NATIVE, PPC64LE, RISCV64, X86_64
from guests.uapi import BLKROSET, LOOP_SET_FD, Ptrace
from kconfigs.architectures import ARCHITECTURES

FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FIFREEZE = 0x80086601, 0x40086602, 0xC0045877


def test_each_architecture_has_one() -> None:
    assert set(NATIVE) == set(ARCHITECTURES)
    assert [name for name, abi in NATIVE.items() if abi.name != name] == []


@pytest.mark.parametrize("abi", [*NATIVE.values(), I386], ids=lambda abi: abi.name)
def test_its_registers_are_in_its_tables(abi: Abi) -> None:
    by_tracer = {*abi.user_registers, *([abi.call.number] if abi.number_set else [])}
    for call, registers in ((abi.call, by_tracer), (abi.context_call, {*abi.context})):
        assert {call.number, call.result, call.ip, call.sp} <= registers
        assert set(call.arguments[1:]) <= registers
    assert len(abi.context) * abi.word <= 320


@pytest.mark.parametrize(("abi", "size"), [(X86_64, 32), (I386, 20), (AARCH64, 32), (RISCV64, 24), (PPC64LE, 32)])
def test_the_action_of_a_signal(abi: Abi, size: int) -> None:
    """struct sigaction; that of riscv64 has no restorer."""
    assert abi.action_size == size
    content = abi.action(0x1234, 4, 0x5678, 1 << 40)
    assert content[-8:] == struct.pack("<Q", 1 << 40)
    restorer = 0x5678 if abi.has_restorer else 0
    assert abi.split_action(content) == (0x1234, 4, restorer, 1 << 40)


@pytest.mark.parametrize(
    ("request_", "on_powerpc"),
    [
        (FS_IOC_GETFLAGS, 0x40086601),
        (FS_IOC_SETFLAGS, 0x80086602),
        (FIFREEZE, 0xC0045877),
        (BLKROSET, 0x2000125D),
        (LOOP_SET_FD, LOOP_SET_FD),
    ],
    ids=["read", "write", "both", "none", "old"],
)
def test_the_number_of_an_ioctl(request_: int, on_powerpc: int) -> None:
    """_IOC_NONE, _IOC_READ and _IOC_WRITE are 1, 2 and 4 there, in three bits."""
    assert PPC64LE.ioctl(request_) == on_powerpc
    assert X86_64.ioctl(request_) == RISCV64.ioctl(request_) == request_


def test_the_number_of_a_request() -> None:
    assert (X86_64.ptrace_request(Ptrace.SYSEMU), PPC64LE.ptrace_request(Ptrace.SYSEMU)) == (31, 29)
    assert PPC64LE.ptrace_request(Ptrace.SEIZE) == Ptrace.SEIZE


@pytest.mark.parametrize(
    ("r3", "ccr", "result"),
    [(5, 0, 5), (errno.EPERM, 0x10000000, -errno.EPERM), (errno.EPERM, 0x20000000, errno.EPERM)],
    ids=["no-error", "an-error", "another-bit"],
)
def test_a_bit_for_errors(r3: int, ccr: int, result: int) -> None:
    """A tracer sees a positive number, and the summary overflow bit of cr0."""
    values = dict.fromkeys(PPC64LE.user_registers, 0) | {"r3": r3, "ccr": ccr}
    assert PPC64LE.traced(PPC64LE.words(*values.values())).result == result


def test_the_first_argument_on_riscv64() -> None:
    """It is in orig_a0, which tracers do not see; in the context of a signal, it is in a0."""
    assert [X86_64.reaches(name) for name in ("arg0", "arg5", "rip", "a0")] == [True, True, True, False]
    assert [RISCV64.reaches(name) for name in ("arg0", "arg1", "a0", "a7")] == [False, True, True, True]
    assert AARCH64.reaches("syscallno")
    content = RISCV64.words(*range(len(RISCV64.context)))
    assert RISCV64.interrupted(content).arguments == tuple(range(10, 16))
