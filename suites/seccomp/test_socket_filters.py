# SPDX-License-Identifier: GPL-2.0-or-later
"""Socket filters, which share their checker and their translator with seccomp's, and have loads that seccomp lacks.

Any program may attach one to its sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import AF_UNIX, SOCK_DGRAM, SOL_SOCKET

import pytest

from guests import bpf
from guests.abi import Abi
from guests.bpf import Instruction, Program, load
from guests.call_arguments import Out
from guests.guest import Guest
from guests.outcome import EINVAL, OK, Outcome, mismatches, returned
from guests.syscalls.seccomp import fprog
from guests.task import Task

pytestmark = pytest.mark.needs("SECCOMP_FILTER", "UNIX")

SO_ATTACH_FILTER = 26
MSG_DONTWAIT = 0x40
LD_W_IND = 0x40


class FilteredSocket:
    """A pair of sockets of an unprivileged task, for datagrams, of which one has a filter."""

    def __init__(self, guest: Guest) -> None:
        self.task: Task = guest.spawn("task")
        self.sender, self.receiver = self.task.abi.unpack(
            "ii", self.task.call("socketpair", AF_UNIX, SOCK_DGRAM, 0, Out(8)).read()
        )

    def attach(self, program: Program) -> Outcome:
        """Replace the filter."""
        filter_ = fprog(self.task.abi, len(program), self.task.store(bpf.pack(program, self.task.abi)))
        shown = f"attach({len(program)} instructions)"
        return self.task.call(
            "setsockopt", self.receiver, SOL_SOCKET, SO_ATTACH_FILTER, filter_, len(filter_), shown=shown
        )

    def passed(self, packet: bytes) -> Outcome:
        """Send a packet, and receive what the filter lets pass: as many bytes as it returns."""
        self.task.call("sendto", self.sender, packet, len(packet), 0, None, 0).require(returned(len(packet)))
        return self.task.call("recvfrom", self.receiver, Out(64), 64, MSG_DONTWAIT, None, None)


SKF_AD_NLATTR, SKF_AD_NLATTR_NEST = 0xFFFFF00C, 0xFFFFF010
"""Offsets that stand for the search of an attribute (include/uapi/linux/filter.h)."""
WANTED = 7
"""The type of attribute that the filter looks for."""


def attribute(abi: Abi, kind: int, content: bytes = b"", *, length: int | None = None) -> bytes:
    """A netlink attribute, which may claim another length than it has."""
    return abi.pack("HH", 4 + len(content) if length is None else length, kind) + content


# Packets


def found(abi: Abi) -> bytes:
    return attribute(abi, 1) + attribute(abi, WANTED, b"abcd")


def first(length: int) -> Callable[[Abi], bytes]:
    """The beginning of the same."""
    return lambda abi: found(abi)[:length]


def others(abi: Abi) -> bytes:
    return attribute(abi, 1) * 3


def too_long(abi: Abi) -> bytes:
    return attribute(abi, 1) + attribute(abi, WANTED, length=5)


def nested(abi: Abi) -> bytes:
    return attribute(abi, 1, found(abi))


def nested_too_long(abi: Abi) -> bytes:
    return attribute(abi, 1, found(abi), length=64)


# fmt: off
ATTRIBUTES: dict[str, tuple[int, Callable[[Abi], bytes], int, int]] = {
    #                           search               packet                    from          result: where, or 0
    "behind-another":          (SKF_AD_NLATTR,       found,                    0,            4),
    "where-the-search-begins": (SKF_AD_NLATTR,       found,                    4,            4),
    "of-another-type":         (SKF_AD_NLATTR,       others,                   0,            0),
    "too-long":                (SKF_AD_NLATTR,       too_long,                 0,            0),
    "behind-the-last":         (SKF_AD_NLATTR,       found,                    12,           0),
    "far-behind":              (SKF_AD_NLATTR,       found,                    0x80000010,   0),
    "short":                   (SKF_AD_NLATTR,       first(3),                 0,            0),
    "short-from-behind":       (SKF_AD_NLATTR,       first(3),                 4,            0),
    "short-from-far-behind":   (SKF_AD_NLATTR,       first(3),                 0x80000010,   0),
    "short-from-further":      (SKF_AD_NLATTR,       first(1),                 0xFFFFF000,   0),
    "nested":                  (SKF_AD_NLATTR_NEST,  nested,                   0,            8),
    "nested-too-long":         (SKF_AD_NLATTR_NEST,  nested_too_long,          0,            0),
    "nested-short":            (SKF_AD_NLATTR_NEST,  first(3),                 0x80000010,   0),
}
# fmt: on


@pytest.mark.requirement("seccomp.socket-filter-attributes")
def test_attributes(guest: Guest) -> None:
    """The search for an attribute stays inside the packet, also if that is shorter than an attribute.

    The filter returns what the search returns, and one more, because 0 would discard the packet.
    """
    socket = FilteredSocket(guest)
    results: dict[str, tuple[object, object]] = {}
    for name, (search, packet, begin, where) in ATTRIBUTES.items():
        look = (Instruction(bpf.LD_IMM, begin), Instruction(bpf.LDX_IMM, WANTED), load(search))
        socket.attach((*look, Instruction(bpf.ADD, 1), Instruction(bpf.RET_A))).result()
        results[name] = (socket.passed(packet(socket.task.abi)), returned(where + 1))
    assert mismatches(results) == []


MOST_BYTES = 64


def jump_over_loads(count: int) -> Program:
    """A filter that jumps over this many loads from the packet, each of which becomes nine instructions.

    Direct loads become more, but only where the kernel reads unaligned memory (convert_bpf_ld_abs() in
    net/core/filter.c).
    """
    loads = (Instruction(LD_W_IND, 1),) * count
    return (Instruction(bpf.JA, count), *loads, Instruction(bpf.RET_K, MOST_BYTES))


@pytest.mark.requirement("seccomp.socket-filter-jumps")
def test_far_jumps(guest: Guest) -> None:
    """A jump that becomes longer than 16 bits can say is refused with EINVAL; one that does not is made."""
    # Filters count as the sockets' memory, and these have 8 bytes for each translated instruction.
    guest.set_sysctl("net.core.optmem_max", 1 << 24)
    socket = FilteredSocket(guest)
    assert socket.attach(jump_over_loads(1000)) == OK
    assert socket.passed(b"packet") == returned(6)
    assert socket.attach(jump_over_loads(3900)) == EINVAL
