# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ABI says of structures: the same values, in the byte order of its architecture."""

from __future__ import annotations

import struct

import pytest

from guests import bpf
from guests.abi import Abi, size_of
from guests.abis import BY_NAME, I386, NATIVE, S390X, X86_64
from guests.bpf import Action, Instruction, arg, deny, policy
from guests.outcome import EINVAL
from guests.syscalls.process_access import event_attributes
from guests.syscalls.seccomp import Notification, fprog
from guests.uapi import number
from suites.seccomp.support.bpf_interpreter import SeccompData, run

ORDERS = {"little": "<", "big": ">"}
each_abi = pytest.mark.parametrize("abi", BY_NAME.values(), ids=lambda abi: abi.name)


@each_abi
def test_structures_have_the_byte_order_of_the_abi(abi: Abi) -> None:
    order = ORDERS[abi.byte_order]
    packed = abi.pack("QIH2x", 1, 2, 3)
    assert packed == struct.pack(f"{order}QIH2x", 1, 2, 3)
    assert len(packed) == size_of("QIH2x") == 16
    assert abi.unpack("QIH2x", packed) == (1, 2, 3)
    assert abi.unpack_from("I", packed, 8) == (2,)
    assert abi.integer(packed[8:12]) == 2
    assert abi.words(5, 6) == struct.pack(f"{order}2{'I' if abi.word == 4 else 'Q'}", 5, 6)
    assert abi.split_words(abi.words(5, 6), ("a", "b")) == {"a": 5, "b": 6}


@each_abi
def test_the_byte_order_is_that_of_its_audit_arch(abi: Abi) -> None:
    """__AUDIT_ARCH_LE and __AUDIT_ARCH_64BIT in include/uapi/linux/audit.h."""
    assert (abi.byte_order == "little") == bool(abi.audit_arch & 0x40000000)
    assert (abi.word == 8) == bool(abi.audit_arch & 0x80000000)


def test_layouts_on_a_big_endian_machine() -> None:
    """A short member comes before its padding, and the first of several bit-fields is the highest bit."""
    assert fprog(S390X, 3, 0x1000) == bytes.fromhex("0003 000000000000 0000000000001000")
    assert fprog(X86_64, 3, 0x1000) == bytes.fromhex("0300 000000000000 0010000000000000")
    assert fprog(I386, 3, 0x1000) == bytes.fromhex("0300 0000 00100000")
    assert S390X.bit_fields(1) == 1 << 63
    assert event_attributes(S390X, sigtrap=False)[40:48] == bytes.fromhex("86 00000000000000")
    assert event_attributes(X86_64, sigtrap=False)[40:48] == bytes.fromhex("61 00000000000000")
    raw = struct.pack(">QIIiIQ6Q", 7, 8, 0, 9, S390X.audit_arch, 0x1000, *range(6))
    assert Notification.decode(raw, S390X) == Notification(7, 8, 0, 9, S390X.audit_arch, 0x1000, tuple(range(6)))
    assert bpf.pack((Instruction(bpf.JEQ, 5, 1, 2),), S390X) == bytes.fromhex("0015 01 02 00000005")


@pytest.mark.parametrize("arch", NATIVE)
def test_a_policy_compares_both_halves_of_an_argument(arch: str) -> None:
    """The interpreter lays out the call as the architecture does, and the policy loads from there."""
    judge = policy(deny("read", errno=EINVAL, when=arg(1) == 5 << 32 | 7))
    for value, wanted in {5 << 32 | 7: Action.ERRNO, 7 << 32 | 5: Action.ALLOW, 7: Action.ALLOW}.items():
        call = SeccompData(number("read", arch), NATIVE[arch].audit_arch, args=(0, value, 0, 0, 0, 0))
        assert run(judge, call, arch) & 0xFFFF0000 == wanted


def test_arguments_where_an_abi_has_them_elsewhere() -> None:
    """s390x: clone() takes the stack before the flags, and mmap() the address of its arguments."""
    assert S390X.arguments("clone", (17, 0, 1, 2, 3)) == [0, 17, 1, 2, 3]
    assert S390X.arguments("mmap", (None, 4096, 3, 2, -1, 0)) == [struct.pack(">4QqQ", 0, 4096, 3, 2, -1, 0)]
    assert S390X.arguments("read", (1, 2, 3)) == [1, 2, 3]
    assert X86_64.arguments("clone", (17, 0)) == [17, 0]
    assert X86_64.arguments("mmap", (0, 4096, 3, 2, -1, 0)) == [0, 4096, 3, 2, -1, 0]


def test_numbers_of_16_bits() -> None:
    assert S390X.seen_number(0xFFFFFFFF) == 0xFFFF
    assert X86_64.seen_number(0xFFFFFFFF) == 0xFFFFFFFF
    assert [abi.name for abi in NATIVE.values() if not abi.can_skip] == ["s390x"]
