# SPDX-License-Identifier: GPL-2.0-or-later
"""A control group whose tasks can be frozen (Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

from guests.guest import Guest
from guests.task import Task

_MOUNT = "/sys/fs/cgroup"


class Freezer:
    """A control group with one process."""

    def __init__(self, guest: Guest, task: Task) -> None:
        self._guest = guest
        root = guest.root("freezer")
        root.mount("cgroup2", _MOUNT, "cgroup2").result()
        self._directory = f"{_MOUNT}/frozen"
        root.mkdir(self._directory).result()
        self._write("cgroup.procs", str(task.pid))

    def freeze(self) -> None:
        """Ask for all tasks to be frozen; a task that does not react to signals is frozen later."""
        self._write("cgroup.freeze", "1")

    def thaw(self) -> None:
        self._write("cgroup.freeze", "0")

    def frozen(self) -> bool:
        """Whether all tasks are frozen."""
        return "frozen 1" in self._guest.read_file(f"{self._directory}/cgroup.events").splitlines()

    def wait_until_frozen(self) -> None:
        self._guest.wait_until(self.frozen, "the control group to be frozen")

    def _write(self, name: str, text: str) -> None:
        self._guest.write_file(f"{self._directory}/{name}", text).result()
