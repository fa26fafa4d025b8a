# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls for block devices: the read-only flag, partitions, loop devices, device mapper.

Device mapper has its own structures (include/uapi/linux/dm-ioctl.h): a struct dm_ioctl, followed, to load a table, by
a struct dm_target_spec and its parameters for each target.
"""

from __future__ import annotations

from dataclasses import dataclass

from guests.call_arguments import InOut
from guests.outcome import Outcome
from guests.syscalls.base import SyscallGroup
from guests.uapi import (
    AT_FDCWD,
    BLKPG,
    BLKROSET,
    LOOP_CTL_GET_FREE,
    LOOP_SET_FD,
    O_CLOEXEC,
    O_RDONLY,
    O_RDWR,
    DmIoctl,
    dm_ioctl_number,
)

SECTOR = 512

_DM_VERSION = (4, 0, 0)
_DM_IOCTL = "3IIIIiIIIQ128s129s7x"
_DM_TARGET = "QQiI16s"
_DM_READONLY, _DM_SUSPEND = 1, 2

_PARTITION = "qqi128s4x"
"""struct blkpg_partition (include/uapi/linux/blkpg.h), whose names the kernel ignores."""
_ADD_PARTITION = 1


@dataclass(frozen=True)
class DmTarget:
    """One line of a device mapper table."""

    length: int
    """In sectors of 512 bytes."""
    kind: str
    parameters: str
    start: int = 0


@dataclass(frozen=True)
class Verity:
    """The parameters of a device's verity table (Documentation/admin-guide/device-mapper/verity.rst)."""

    root_digest: str
    salt: str
    data_blocks: int
    hash_start: int
    """The first block of the hash tree, which follows the data on the same device."""
    block_size: int = 4096

    def target(self, device: str, *options: str) -> DmTarget:
        """The table's line for a device.  `options`: such as `ignore_corruption`."""
        size = self.block_size
        fields: list[object] = [1, device, device, size, size, self.data_blocks, self.hash_start]
        fields += ["sha256", self.root_digest, self.salt]
        if options:
            fields += [len(options), *options]
        return DmTarget(self.data_blocks * size // SECTOR, "verity", " ".join(map(str, fields)))


class BlockDeviceCalls(SyscallGroup):
    """Operations on block devices, for which the task needs CAP_SYS_ADMIN."""

    def set_read_only(self, device: str, read_only: bool) -> Outcome:
        """BLKROSET, as `blockdev --setro` and `--setrw` do."""
        flag = self.abi.pack("i", read_only)
        return self._device_ioctl(device, O_RDONLY, BLKROSET, flag, f'set_read_only("{device}", {read_only})')

    def add_partition(self, disk: str, number: int, *, start: int, length: int) -> str:
        """Tell the kernel of a partition, as `partx --add` does, and return its path.  Must succeed.

        No table on the disk needs to have it.  `start` and `length` are in sectors of 512 bytes.
        """
        partition = self.abi.pack(_PARTITION, start * SECTOR, length * SECTOR, number, b"")
        head = self.abi.pack("3i", _ADD_PARTITION, 0, len(partition)) + bytes(self.abi.word - 4)
        argument = head + self.abi.words(self.store(partition))
        self._device_ioctl(disk, O_RDONLY, BLKPG, argument, f'add_partition("{disk}", {number})').result()
        return f"{disk}{number}"

    def attach_loop(self, backing: str, *, read_only: bool = False) -> str:
        """Attach a free loop device to a file or another device, opened for writing unless `read_only`, and return
        its path.  Must succeed.

        A kernel need not have any until one is asked for (CONFIG_BLK_DEV_LOOP_MIN_COUNT).
        """
        free = self._device_ioctl("/dev/loop-control", O_RDWR, LOOP_CTL_GET_FREE, 0, "free_loop()").result()
        loop = f"/dev/loop{free}"
        file = self.call("openat", AT_FDCWD, backing, (O_RDONLY if read_only else O_RDWR) | O_CLOEXEC, 0).result()
        what = f'attach_loop("{loop}", "{backing}"{", read-only" if read_only else ""})'
        self._device_ioctl(loop, O_RDWR, LOOP_SET_FD, file, what).result()
        self.call("close", file)
        return loop

    def create_mapped(self, name: str, *table: DmTarget, read_only: bool = True) -> str:
        """Create a mapped device with this table, and return its path.  Must succeed."""
        device = self.create_dm(name)
        self.load_table(name, *table, read_only=read_only).result()
        self.resume_dm(name).result()
        return device

    def create_dm(self, name: str) -> str:
        """Create a device without a table, and return its path."""
        answer = self._dm(DmIoctl.DEV_CREATE, name, shown=f'create_dm("{name}")').read()
        device = self.abi.unpack_from(_DM_IOCTL, answer)[10]
        return f"/dev/dm-{device & 0xFF | device >> 12 & ~0xFF}"

    def load_table(self, name: str, *table: DmTarget, read_only: bool = True) -> Outcome:
        """Load a table into the device, which takes effect when the device is resumed."""
        body, head = b"", self.abi.layout(_DM_TARGET)
        for target in table:
            parameters = target.parameters.encode() + b"\0"
            parameters += bytes(-len(parameters) % 8)
            step = head.size + len(parameters)
            body += head.pack(target.start, target.length, 0, step, target.kind.encode()) + parameters
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
        head = self.abi.layout(_DM_IOCTL)
        start = head.size
        header = head.pack(*_DM_VERSION, start + len(body), start, count, 0, flags, 0, 0, 0, name.encode(), b"")
        control = self.call("openat", AT_FDCWD, "/dev/mapper/control", O_RDWR | O_CLOEXEC, 0).result()
        done = self.call("ioctl", control, dm_ioctl_number(command), InOut(header + body), shown=shown)
        self.call("close", control)
        return done

    def _device_ioctl(self, device: str, flags: int, request: int, argument: int | bytes, shown: str) -> Outcome:
        fd = self.call("openat", AT_FDCWD, device, flags | O_CLOEXEC, 0, shown=f'open("{device}")').result()
        done = self.call("ioctl", fd, request, argument, shown=shown)
        self.call("close", fd)
        return done
