# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk whose reads wait: its file system is mounted through device mapper, which can suspend it."""

from __future__ import annotations

from types import TracebackType

from guests.guest import Guest
from guests.syscalls.block_devices import DmTarget
from guests.task import Task
from guests.uapi import MS_RDONLY

_NAME, _DISK = "suspended", "vdb"


class SuspendedDisk:
    """The writable disk, mounted at `directory`.  As a context, it is suspended from beginning to end.

    What was not read from it before then waits for the end.
    """

    directory = f"/{_NAME}"

    def __init__(self, guest: Guest, root: Task, *, read_only: bool = True) -> None:
        self._root = root
        self._sectors = int(guest.read_file(f"/sys/class/block/{_DISK}/size"))
        device = root.create_mapped(_NAME, DmTarget(self._sectors, "linear", f"/dev/{_DISK} 0"), read_only=read_only)
        root.mount(device, self.directory, "ext2", MS_RDONLY if read_only else 0).result()
        # The task that reads may be the one that waits.
        self._suspending = guest.root("device-mapper")

    def fail(self) -> None:
        """While it is suspended: have everything that is not read yet fail with EIO from the end on."""
        self._suspending.load_table(_NAME, DmTarget(self._sectors, "error", "")).result()

    def __enter__(self) -> None:
        self._suspending.suspend_dm(_NAME).result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._suspending.resume_dm(_NAME).result()
