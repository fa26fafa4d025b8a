# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls of filtered tasks and their supervisors."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from guests.abi import Abi, size_of
from guests.bpf import Filter, Program, assembled, pack
from guests.call_arguments import InOut, Out
from guests.outcome import Outcome
from guests.protocol import wire
from guests.syscalls.base import Pending, SyscallGroup
from guests.uapi import Prctl, Ptrace

SET_MODE_STRICT, SET_MODE_FILTER, GET_ACTION_AVAIL, GET_NOTIF_SIZES = 0, 1, 2, 3
"""Operations of seccomp()."""
MODE_DISABLED, MODE_STRICT, MODE_FILTER = 0, 1, 2
"""Modes, as PR_SET_SECCOMP takes them and /proc/PID/status shows them."""

NOTIF_RECV, NOTIF_SEND, NOTIF_ID_VALID, NOTIF_ADDFD, NOTIF_SET_FLAGS = (
    *(0xC0502100, 0xC0182101, 0x40082102),
    *(0x40182103, 0x40082104),
)
"""The ioctls of a listener, on architectures whose ioctl numbers have the size at bit 16."""
NOTIF_ID_VALID_OLD = 0x80082102
"""The same as before 5.8, with the wrong direction."""

NOTIF_SIZE, RESPONSE_SIZE, DATA_SIZE = 80, 24, 64
"""sizeof struct seccomp_notif, seccomp_notif_resp and seccomp_data."""
_NOTIF, _RESPONSE, _ADDFD = "QIIiIQ6Q", "QqiI", "QIIII"
_INLINE_MAX = 0x7F00
"""Maximum size in bytes of a program that is sent with its call; a longer one is stored first."""


class FilterFlag(enum.IntFlag):
    """Flags of SECCOMP_SET_MODE_FILTER."""

    NONE = 0
    TSYNC = 1
    LOG = 2
    SPEC_ALLOW = 4
    NEW_LISTENER = 8
    TSYNC_ESRCH = 16
    WAIT_KILLABLE_RECV = 32


USER_NOTIF_FLAG_CONTINUE = 1
USER_NOTIF_FD_SYNC_WAKE_UP = 1


class Poll(enum.IntFlag):
    IN = 1
    OUT = 4
    ERR = 8
    HUP = 16
    NVAL = 32
    RDNORM = 64
    WRNORM = 256


class AddFd(enum.IntFlag):
    """Flags of SECCOMP_IOCTL_NOTIF_ADDFD."""

    NONE = 0
    SETFD = 1
    SEND = 2


@dataclass(frozen=True)
class Notification:
    """struct seccomp_notif: a system call that waits for its supervisor."""

    id: int
    pid: int
    flags: int
    nr: int
    arch: int
    instruction_pointer: int
    args: tuple[int, ...]

    @classmethod
    def decode(cls, raw: bytes, abi: Abi) -> Notification:
        """`abi`: that of the task that has received it."""
        id_, pid, flags, nr, arch, ip, *args = abi.unpack(_NOTIF, raw)
        return cls(id_, pid, flags, nr, arch, ip, tuple(args))


def fprog(abi: Abi, length: int, address: int) -> bytes:
    """struct sock_fprog: the length of a program, which is shorter than a word, and its address."""
    return abi.with_padding(length, 2) + abi.words(address)


def response(abi: Abi, id_: int, *, value: int = 0, error: int = 0, flags: int = 0) -> bytes:
    """struct seccomp_notif_resp, for SECCOMP_IOCTL_NOTIF_SEND.  `error` is negative, as the kernel expects it."""
    return abi.pack(_RESPONSE, id_, value, error, flags)


def addfd_request(
    abi: Abi, id_: int, descriptor: int, *, number: int = 0, flags: int = 0, new_flags: int = 0
) -> bytes:
    """struct seccomp_notif_addfd, for SECCOMP_IOCTL_NOTIF_ADDFD; `new_flags` are those of the new descriptor."""
    return abi.pack(_ADDFD, id_, flags, descriptor & 0xFFFFFFFF, number & 0xFFFFFFFF, new_flags)


class SeccompCalls(SyscallGroup):
    """Installation of filters, supervision, and queries."""

    def set_no_new_privs(self) -> Outcome:
        return self.call("prctl", Prctl.SET_NO_NEW_PRIVS, 1, 0, 0, 0, shown="set_no_new_privs()")

    def install(self, filter_: Filter, flags: FilterFlag = FilterFlag.NONE) -> Outcome:
        """Install a filter.  From then on, the task's process makes no system call without a command."""
        self.be_quiet()
        program = assembled(filter_, self.abi.name)
        shown = f"install({len(program)} instructions{f', {flags.name}' if flags else ''})"
        return self.call("seccomp", SET_MODE_FILTER, flags, self._fprog(program), shown=shown)

    def install_by_prctl(self, filter_: Filter) -> Outcome:
        """The same by the older call, which has no flags."""
        self.be_quiet()
        program = assembled(filter_, self.abi.name)
        shown = f"install_by_prctl({len(program)} instructions)"
        # The program must be the first buffer in the task's memory (_fprog).
        return self.call("prctl", Prctl.SET_SECCOMP, MODE_FILTER, self._fprog(program), 0, 0, shown=shown)

    def _fprog(self, program: Program) -> bytes:
        """struct sock_fprog followed by the program, as the first buffer of a call's arguments."""
        instructions = pack(program, self.abi)
        if not program:
            return fprog(self.abi, 0, 0)
        if len(instructions) > _INLINE_MAX:
            return fprog(self.abi, len(program), self.store(instructions))
        address = wire.data_address(self.slot, 2 * self.abi.word)
        return fprog(self.abi, len(program), address) + instructions

    def install_stored(self, address: int, length: int, flags: FilterFlag = FilterFlag.NONE) -> Outcome:
        """Install the program of this length at this address, valid or not."""
        self.be_quiet()
        pointer = fprog(self.abi, length, address)
        shown = f"install_stored({address:#x}, {length} instructions)"
        return self.call("seccomp", SET_MODE_FILTER, flags, pointer, shown=shown)

    def enter_strict_mode(self) -> Outcome:
        self.be_quiet()
        return self.call("seccomp", SET_MODE_STRICT, 0, None, shown="enter_strict_mode()")

    def listen(self, filter_: Filter, flags: FilterFlag = FilterFlag.NONE) -> Outcome:
        """Install a filter, and return its listener, a file descriptor."""
        return self.install(filter_, flags | FilterFlag.NEW_LISTENER)

    # The supervisor's side

    def receive(self, listener: int) -> Notification:
        """SECCOMP_IOCTL_NOTIF_RECV, which blocks until there is a notification.  Must succeed."""
        return Notification.decode(self.begin_receive(listener).outcome().read(), self.abi)

    def begin_receive(self, listener: int) -> Pending:
        """Start to receive; the outcome's buffer is for `Notification.decode`."""
        return self.begin("ioctl", listener, NOTIF_RECV, InOut(bytes(NOTIF_SIZE)), shown=f"receive({listener})")

    def receive_into(self, listener: int, buffer: bytes | int) -> Outcome:
        """Receive into a buffer that may not be zeroed, or an address that may not be writable."""
        argument = InOut(buffer) if isinstance(buffer, bytes) else buffer
        return self.call("ioctl", listener, NOTIF_RECV, argument, shown=f"receive_into({listener}, ...)")

    def reply(self, listener: int, id_: int, *, value: int = 0, error: int = 0, flags: int = 0) -> Outcome:
        """SECCOMP_IOCTL_NOTIF_SEND.  `error` is negative, as the kernel expects it."""
        argument = InOut(response(self.abi, id_, value=value, error=error, flags=flags))
        shown = f"reply({listener}, value={value}, error={error}, flags={flags})"
        return self.call("ioctl", listener, NOTIF_SEND, argument, shown=shown)

    def let_continue(self, listener: int, id_: int) -> Outcome:
        return self.reply(listener, id_, flags=USER_NOTIF_FLAG_CONTINUE)

    def still_waiting(self, listener: int, id_: int, request: int = NOTIF_ID_VALID) -> Outcome:
        """SECCOMP_IOCTL_NOTIF_ID_VALID."""
        return self.call("ioctl", listener, request, self.abi.pack("Q", id_), shown=f"still_waiting({listener})")

    def begin_add_fd(
        self,
        listener: int,
        id_: int,
        descriptor: int,
        *,
        number: int = 0,
        flags: int = 0,
        new_flags: int = 0,
        size: int = size_of(_ADDFD),
        tail: bytes = b"",
    ) -> Pending:
        """SECCOMP_IOCTL_NOTIF_ADDFD; `size` is what the ioctl's number claims, `tail` follows the structure."""
        request = NOTIF_ADDFD & ~(0x3FFF << 16) | size << 16
        structure = addfd_request(self.abi, id_, descriptor, number=number, flags=flags, new_flags=new_flags) + tail
        shown = f"add_fd({listener}, {descriptor}, number={number}, flags={flags}, new_flags={new_flags:#o})"
        return self.begin("ioctl", listener, request, structure, shown=shown)

    def set_listener_flags(self, listener: int, flags: int) -> Outcome:
        return self.call("ioctl", listener, NOTIF_SET_FLAGS, flags, shown=f"set_listener_flags({listener}, {flags})")

    def poll(self, descriptor: int) -> int:
        """poll() without waiting; returns the events."""
        # struct __kernel_timespec has 64 bits for each number, for tasks with 32-bit words, too.
        pollfd, at_once = self.abi.pack("iHH", descriptor, Poll.IN | Poll.OUT, 0), self.abi.pack("qq", 0, 0)
        raw = self.call("ppoll", InOut(pollfd), 1, at_once, None, 8, shown=f"poll({descriptor})").read()
        return int(self.abi.unpack("iHH", raw)[2])

    # Queries

    def action_avail(self, action: int | bytes | None) -> Outcome:
        """SECCOMP_GET_ACTION_AVAIL with an action's value."""
        pointer = self.abi.pack("I", action) if isinstance(action, int) else action
        shown = f"action_avail({action:#x})" if isinstance(action, int) else "action_avail(...)"
        return self.call("seccomp", GET_ACTION_AVAIL, 0, pointer, shown=shown)

    def filter_length(self, tracee: SyscallGroup, index: int) -> Outcome:
        """PTRACE_SECCOMP_GET_FILTER without a buffer: the length of the filter with this index; 0 is the oldest."""
        return self.call(
            "ptrace", Ptrace.SECCOMP_GET_FILTER, tracee.tid, index, None, shown=f"filter_length({tracee}, {index})"
        )

    def filter_program(self, tracee: SyscallGroup, index: int, length: int) -> Outcome:
        """PTRACE_SECCOMP_GET_FILTER: its length, and in the buffer the program as it was installed."""
        buffer = Out(8 * length)
        shown = f"filter_program({tracee}, {index})"
        return self.call("ptrace", Ptrace.SECCOMP_GET_FILTER, tracee.tid, index, buffer, shown=shown)

    def filter_metadata(self, tracee: SyscallGroup, index: int, size: int = 16) -> Outcome:
        """PTRACE_SECCOMP_GET_METADATA: the buffer has the index and then the filter's flags, 8 bytes each."""
        buffer = InOut(self.abi.pack("QQ", index, 0))
        shown = f"filter_metadata({tracee}, {index}, size={size})"
        return self.call("ptrace", Ptrace.SECCOMP_GET_METADATA, tracee.tid, size, buffer, shown=shown)
