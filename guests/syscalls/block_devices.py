# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of block devices: read-only marks, loop devices, device mapper.

Device mapper is spoken to in its own structures (include/uapi/linux/dm-ioctl.h): a struct dm_ioctl, and behind it, to
load a table, a struct dm_target_spec and its parameters for each target.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from guests.call_arguments import InOut
from guests.outcome import Outcome
from guests.syscalls.group import SyscallGroup
from guests.uapi import (
    AT_FDCWD,
    BLKROSET,
    LOOP_CLR_FD,
    LOOP_SET_FD,
    O_CLOEXEC,
    O_RDONLY,
    O_RDWR,
    DmIoctl,
    dm_ioctl_number,
)

SECTOR = 512

_DM_VERSION = (4, 0, 0)
_DM_IOCTL = struct.Struct("<3IIIIiIIIQ128s129s7x")
_DM_TARGET = struct.Struct("<QQiI16s")
_DM_READONLY, _DM_SUSPEND = 1, 2


@dataclass(frozen=True)
class Target:
    """One line of a device mapper table."""

    length: int
    """Sectors of 512 bytes."""
    kind: str
    parameters: str
    start: int = 0


@dataclass(frozen=True)
class Verity:
    """What a device's verity table says of it (Documentation/admin-guide/device-mapper/verity.rst)."""

    root_digest: str
    salt: str
    data_blocks: int
    hash_start: int
    """The first block of the hash tree, which lies behind the data on the same device."""
    block_size: int = 4096

    def target(self, device: str, *options: str) -> Target:
        """`options`: such as `ignore_corruption`."""
        size = self.block_size
        words: list[object] = [1, device, device, size, size, self.data_blocks, self.hash_start]
        words += ["sha256", self.root_digest, self.salt]
        if options:
            words += [len(options), *options]
        return Target(self.data_blocks * size // SECTOR, "verity", " ".join(map(str, words)))


class BlockDeviceCalls(SyscallGroup):
    """What a task does with block devices; it needs CAP_SYS_ADMIN."""

    def set_read_only(self, device: str, read_only: bool) -> Outcome:
        """BLKROSET, as `blockdev --setro` and `--setrw` do."""
        flag = struct.pack("<i", read_only)
        return self._device_ioctl(device, O_RDONLY, BLKROSET, flag, f'set_read_only("{device}", {read_only})')

    def attach_loop(self, loop: str, backing: str, *, read_only: bool = False) -> Outcome:
        """Make a loop device of a file or of another device; it is as writable as `backing` is opened here."""
        file = self.call("openat", AT_FDCWD, backing, (O_RDONLY if read_only else O_RDWR) | O_CLOEXEC, 0).result()
        what = f'attach_loop("{loop}", "{backing}"{", read-only" if read_only else ""})'
        done = self._device_ioctl(loop, O_RDWR, LOOP_SET_FD, file, what)
        self.call("close", file)
        return done

    def detach_loop(self, loop: str) -> Outcome:
        return self._device_ioctl(loop, O_RDWR, LOOP_CLR_FD, 0, f'detach_loop("{loop}")')

    def create_mapped(self, name: str, *table: Target) -> str:
        """A read-only mapped device of that table, made, loaded and resumed.  The test needs it; returns its path."""
        device = self.create_dm(name)
        self.load_table(name, *table).result()
        self.resume_dm(name).result()
        return device

    def create_dm(self, name: str) -> str:
        """A device without a table yet; returns its path."""
        answer = self._dm(DmIoctl.DEV_CREATE, name, shown=f'create_dm("{name}")').read()
        device = _DM_IOCTL.unpack_from(answer)[10]
        return f"/dev/dm-{device & 0xFF | device >> 12 & ~0xFF}"

    def load_table(self, name: str, *table: Target, read_only: bool = True) -> Outcome:
        """Give the device a table, which counts from its next resume on."""
        body = b""
        for target in table:
            parameters = target.parameters.encode() + b"\0"
            parameters += bytes(-len(parameters) % 8)
            step = _DM_TARGET.size + len(parameters)
            body += _DM_TARGET.pack(target.start, target.length, 0, step, target.kind.encode()) + parameters
        kinds = ", ".join(target.kind for target in table)
        flags = _DM_READONLY if read_only else 0
        shown = f'load_table("{name}", {kinds})'
        return self._dm(DmIoctl.TABLE_LOAD, name, flags, body, count=len(table), shown=shown)

    def suspend_dm(self, name: str) -> Outcome:
        return self._dm(DmIoctl.DEV_SUSPEND, name, _DM_SUSPEND, shown=f'suspend_dm("{name}")')

    def resume_dm(self, name: str) -> Outcome:
        return self._dm(DmIoctl.DEV_SUSPEND, name, shown=f'resume_dm("{name}")')

    def remove_dm(self, name: str) -> Outcome:
        return self._dm(DmIoctl.DEV_REMOVE, name, shown=f'remove_dm("{name}")')

    def _dm(
        self, command: DmIoctl, name: str, flags: int = 0, body: bytes = b"", *, count: int = 0, shown: str
    ) -> Outcome:
        start = _DM_IOCTL.size
        header = _DM_IOCTL.pack(*_DM_VERSION, start + len(body), start, count, 0, flags, 0, 0, 0, name.encode(), b"")
        control = self.call("openat", AT_FDCWD, "/dev/mapper/control", O_RDWR | O_CLOEXEC, 0).result()
        done = self.call("ioctl", control, dm_ioctl_number(command), InOut(header + body), shown=shown)
        self.call("close", control)
        return done

    def _device_ioctl(self, device: str, flags: int, request: int, argument: int | bytes, shown: str) -> Outcome:
        fd = self.call("openat", AT_FDCWD, device, flags | O_CLOEXEC, 0, shown=f'open("{device}")').result()
        done = self.call("ioctl", fd, request, argument, shown=shown)
        self.call("close", fd)
        return done
