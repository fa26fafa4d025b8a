# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of a filtered task and of the one that supervises it."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from guests.bpf import Program, pack
from guests.memory import InOut
from guests.numbers import Prctl
from guests.outcome import Outcome
from guests.words import Words

SET_MODE_STRICT, SET_MODE_FILTER, GET_ACTION_AVAIL, GET_NOTIF_SIZES = 0, 1, 2, 3

NOTIF_RECV, NOTIF_SEND, NOTIF_ID_VALID = 0xC0502100, 0xC0182101, 0x40082102
"""The ioctls of a listener, on machines whose ioctl numbers have their size at bit 16."""

_NOTIF = struct.Struct("<QIIiIQ6Q")
_RESPONSE = struct.Struct("<QqiI")


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


@dataclass(frozen=True)
class Notification:
    """struct seccomp_notif: a system call that waits for a supervisor's word."""

    id: int
    pid: int
    flags: int
    nr: int
    arch: int
    instruction_pointer: int
    args: tuple[int, ...]


class SeccompWords(Words):
    """What a task does about filters."""

    def no_new_privs(self) -> Outcome:
        return self.call("prctl", Prctl.SET_NO_NEW_PRIVS, 1, 0, 0, 0, shown="no_new_privs()")

    def install(self, program: Program, flags: FilterFlag = FilterFlag.NONE) -> Outcome:
        """Put a filter on this task.  From then on its process makes no system call that it is not told to make."""
        self.be_quiet()
        instructions = self.store(pack(program)) if program else 0
        fprog = struct.pack("<H6xQ", len(program), instructions)
        shown = f"install({len(program)} instructions{f', {flags.name}' if flags else ''})"
        return self.call("seccomp", SET_MODE_FILTER, flags, fprog, shown=shown)

    def strict_mode(self) -> Outcome:
        self.be_quiet()
        return self.call("seccomp", SET_MODE_STRICT, 0, None, shown="strict_mode()")

    def listen(self, program: Program, flags: FilterFlag = FilterFlag.NONE) -> Outcome:
        """Install a filter and get its listener, a file descriptor."""
        return self.install(program, flags | FilterFlag.NEW_LISTENER)

    # The supervisor's side

    def receive(self, listener: int) -> Notification:
        """SECCOMP_IOCTL_NOTIF_RECV, which must succeed.  Blocks until there is one."""
        raw = self.call("ioctl", listener, NOTIF_RECV, InOut(bytes(80)), shown=f"receive({listener})").read()
        id_, pid, flags, nr, arch, ip, *args = _NOTIF.unpack(raw)
        return Notification(id_, pid, flags, nr, arch, ip, tuple(args))

    def reply(self, listener: int, id_: int, *, value: int = 0, error: int = 0, flags: int = 0) -> Outcome:
        """SECCOMP_IOCTL_NOTIF_SEND.  `error` is negative, as the kernel wants it."""
        response = _RESPONSE.pack(id_, value, error, flags)
        shown = f"reply({listener}, value={value}, error={error}, flags={flags})"
        return self.call("ioctl", listener, NOTIF_SEND, InOut(response), shown=shown)

    def still_waiting(self, listener: int, id_: int) -> Outcome:
        """SECCOMP_IOCTL_NOTIF_ID_VALID."""
        return self.call(
            "ioctl", listener, NOTIF_ID_VALID, struct.pack("<Q", id_), shown=f"still_waiting({listener})"
        )
