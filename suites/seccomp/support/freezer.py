# SPDX-License-Identifier: GPL-2.0-or-later
"""Control groups whose tasks can be frozen.

Documentation/admin-guide/cgroup-v2.rst; for version 1, cgroup-v1/freezer-subsystem.rst beside it.
"""

from __future__ import annotations

import pytest

from guests.guest import Guest
from guests.task import Task
from suites.lockdown_and_signing import without_legacy_cgroups

_MOUNT = "/sys/fs/cgroup"
_LEGACY_MOUNT = "/tmp/freezer"  # noqa: S108 - the guest's


class Freezer:
    """A control group with one process."""

    def __init__(self, guest: Guest, task: Task, *, below: Freezer | None = None) -> None:
        """Make the group, in that of another freezer or at the root, and move the task's process into it."""
        self._guest = guest
        root = guest.root("freezer")
        if below is None:
            root.mount("cgroup2", _MOUNT, "cgroup2").result()
        self._directory: str = f"{below._directory if below else _MOUNT}/of-{task.name}"
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


class LegacyFreezer:
    """A control group of version 1 with one thread."""

    def __init__(self, guest: Guest, task: Task) -> None:
        if without_legacy_cgroups(guest):
            pytest.skip("needs control groups of version 1, which cgroup_no_v1 turns off")
        self._guest = guest
        root = guest.root("freezer")
        if not guest.exists(f"{_LEGACY_MOUNT}/tasks"):
            root.mount("freezer", _LEGACY_MOUNT, "cgroup", 0, "freezer").result()
        self._directory = f"{_LEGACY_MOUNT}/{task.name}"
        root.mkdir(self._directory).result()
        self._write("tasks", str(task.tid))

    def freeze(self) -> None:
        self._write("freezer.state", "FROZEN")

    def thaw(self) -> None:
        self._write("freezer.state", "THAWED")

    def frozen(self) -> bool:
        """Whether the thread is frozen, and not only to be."""
        return self._guest.read_file(f"{self._directory}/freezer.state").strip() == "FROZEN"

    def wait_until_frozen(self) -> None:
        self._guest.wait_until(self.frozen, f"{self._directory} to be frozen")

    def _write(self, name: str, text: str) -> None:
        self._guest.write_file(f"{self._directory}/{name}", text).result()
